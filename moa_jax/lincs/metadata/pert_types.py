"""Perturbation types: compound, vehicle or another control, by `pert_type` or by name.

Releases give the type as `pert_type` (`trt_cp`, `ctl_vehicle`), older builds in capitals, other
laboratories in other words or not at all. Vehicles are also recognised by name (DMSO, water, PBS).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Bool

# pert_type of wells with vehicle (DMSO) only, in every release.
VEHICLE_PERT_TYPE = "ctl_vehicle"
UNTREATED_PERT_TYPE, COMPOUND_PERT_TYPE = "ctl_untrt", "trt_cp"
# Controls other than vehicle, of unknown type.
OTHER_CONTROL_PERT_TYPE = "ctl_other"
# CMap's control types; `lma_x` are wells of its reference RNA.
_CONTROL = re.compile(r"ctl.*|lma_x")

_KINDS = {
    **dict.fromkeys(
        (
            *("ctl_vehicle", "ctrl_vehicle", "vehicle", "vehicle_control", "control_vehicle"),
            *("vehicle_ctl", "vehicle_ctrl", "negcon", "neg_con", "negative_control", "neg_ctrl"),
            *("negative", "neg_control", "solvent", "solvent_control", "dmso", "dmso_control"),
            *("veh", "ctl_negcon", "ctl_dmso", "ctrl_dmso", "negctrl"),
        ),
        VEHICLE_PERT_TYPE,
    ),
    **dict.fromkeys(("untreated", "untrt", "ctl_untreated", "no_treatment"), UNTREATED_PERT_TYPE),
    **dict.fromkeys(
        ("poscon", "positive_control", "pos_control", "empty", "blank", "mock"),
        OTHER_CONTROL_PERT_TYPE,
    ),
    **dict.fromkeys(
        (
            *("trt", "treatment", "treated", "compound", "cp", "drug", "small_molecule"),
            *("cmpd", "test", "trt_compound", "test_compound", "sample"),
        ),
        COMPOUND_PERT_TYPE,
    ),
}
# Types of an unspecified control.
_ANY_CONTROL = frozenset(("control", "ctl", "ctrl", "controls"))

_VEHICLE_WORDS = frozenset(
    (
        *("dmso", "dimethylsulfoxide", "dimethylsulphoxide", "me2so", "vehicle", "veh", "solvent"),
        *("carrier", "water", "h2o", "dh2o", "ddh2o", "pbs", "dpbs", "saline", "medium", "media"),
        "negcon",
    )
)
# Vehicles of two words that do not mean a vehicle separately, and words that may accompany names.
_VEHICLE_PAIRS = (
    frozenset(("dimethyl", "sulfoxide")),
    frozenset(("dimethyl", "sulphoxide")),
    frozenset(("phosphate", "buffered")),
)
_BESIDE_VEHICLES = frozenset(("distilled", "sterile", "culture", "v", "vol", "rep", "replicate"))
_CONTROL_WORDS = frozenset(("control", "controls", "ctrl", "ctl", "neg", "negative", "well"))
_SOLVENTS = frozenset(("ethanol", "etoh", "methanol", "meoh", "dmf", "acetone", "acetonitrile"))
_UNTREATED = frozenset(("untreated", "untrt", "notreatment", "nontreated", "mock", "blank"))
_AMOUNT = re.compile(r"[\d.,]+%?|%")


def _words(name: str) -> list[str]:
    """The words of a name, without amounts and replicate numbers."""
    words = re.findall(r"[^\W_]+%?|%", re.sub(r"\d+[.,]\d+", "0", name.lower()))
    return [re.sub(r"(?<=[a-z])\d+$", "", word) for word in words if not _AMOUNT.fullmatch(word)]


def is_vehicle_name(name: str) -> bool:
    """Whether a compound's name is a vehicle's, such as `DMSO`, `0.1% DMSO` or `Vehicle control`.

    Ethanol and other solvents that are also tested as compounds do not count.
    """
    words = set(_words(name))
    vehicle_words = words & (_VEHICLE_WORDS | _CONTROL_WORDS - {"well"})
    for pair in _VEHICLE_PAIRS:
        if pair <= words:
            vehicle_words |= pair
    allowed = vehicle_words | _BESIDE_VEHICLES | _CONTROL_WORDS
    return bool(vehicle_words) and words <= allowed


def is_vehicle_id(profile_id: str) -> bool:
    """Whether a profile id names the vehicle, for profiles without other metadata.

    `A549_DMSO_3` and `CPC006_A375_6H:DMSO:-666` do; `vorinostat_vs_DMSO` names a comparison.
    """
    words = set(re.findall(r"[^\W_]+", profile_id.lower()))
    if words & {"vs", "versus", "over", "minus"}:
        return False
    return bool(words & {"dmso", "vehicle", "negcon"}) or is_vehicle_name(profile_id)


def canonical_pert_types(
    pert_type: pd.Series, pert_id: pd.Series, compound: pd.Series
) -> pd.Series:
    """Perturbation type of each profile in the spelling of current releases.

    Case, blanks and hyphens are ignored. Profiles with a vehicle's name are vehicles unless their
    type is another control. Among unspecified controls, those with a vehicle's name are vehicles
    and the rest other controls; if none has such a name, all are vehicles.

    Returns:
      Texts such as `trt_cp`; None if unknown.
    """
    kinds = np.array([_kind(kind) for kind in pert_type], dtype=object)
    named = _by_name(pert_id, is_vehicle_name) | _by_name(compound, is_vehicle_name)
    untreated = _by_name(pert_id, _is_untreated) | _by_name(compound, _is_untreated)
    unknown = np.array([kind is None for kind in kinds], bool)
    any_control = np.array([kind in _ANY_CONTROL for kind in kinds], bool)
    control = np.array([is_control(kind) for kind in kinds], bool)
    solvent = any_control & (_by_name(pert_id, _is_solvent) | _by_name(compound, _is_solvent))
    vehicle = (named & ~control) | solvent
    if any_control.any() and not (vehicle & any_control).any():
        vehicle |= any_control & ~untreated
    kinds[any_control] = OTHER_CONTROL_PERT_TYPE
    kinds[untreated & (unknown | any_control)] = UNTREATED_PERT_TYPE
    kinds[vehicle] = VEHICLE_PERT_TYPE
    return pd.Series(kinds, index=pert_type.index, dtype=object)


def is_control(pert_type: object) -> bool:
    """Whether a canonical type is that of a well without a compound."""
    return isinstance(pert_type, str) and _CONTROL.fullmatch(pert_type) is not None


def controls(pert_type: pd.Series) -> Bool[np.ndarray, " profile"]:
    """Which profiles are controls of any kind; expects canonical types."""
    return np.array([is_control(kind) for kind in pert_type], bool)


def vehicles(pert_type: pd.Series) -> Bool[np.ndarray, " profile"]:
    """Which profiles are vehicles; expects canonical types."""
    return (pert_type == VEHICLE_PERT_TYPE).to_numpy(bool)


def _kind(kind: object) -> str | None:
    if not isinstance(kind, str) or not kind.strip():
        return None
    folded = re.sub(r"[\s\-_.]+", "_", kind.strip().lower()).strip("_")
    return _KINDS.get(folded, folded)


def _is_untreated(name: str) -> bool:
    return "".join(_words(name)) in _UNTREATED


def _is_solvent(name: str) -> bool:
    words = set(_words(name)) - _BESIDE_VEHICLES - _CONTROL_WORDS
    return bool(words) and words <= _SOLVENTS


def _by_name(names: pd.Series, test: Callable[[str], bool]) -> Bool[np.ndarray, " profile"]:
    codes, values = pd.factorize(names.to_numpy(dtype=object))
    passes = np.array([test(str(value)) for value in values] + [False], bool)
    return passes[codes]
