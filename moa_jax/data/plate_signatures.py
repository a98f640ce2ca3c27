"""A user's wells made into signatures: level 3 or 4 to level 5, as a release is prepared."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from moa_jax.data.preparation_settings import LEVELS, POPULATION, VEHICLE
from moa_jax.lincs.plates import robust_zscore
from moa_jax.lincs.releases import ALIASES, VEHICLE_PERT_TYPE
from moa_jax.lincs.replicates import collapse_replicates
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

# Level 3 is the logarithm of fluorescence to base 2: never negative, and mostly 4 to 15. Z-scores
# lie around 0.
LEAST_LOG2_MEDIAN = 2.0
# Wells that hold no compound: vehicle, vector, untreated.
CONTROL_PREFIX = "ctl_"

_WELL_NAMES = ("inst_id", "sample_id")


@dataclasses.dataclass(frozen=True)
class PlateSettings:
    """How a user's matrix is to be read.

    Attributes:
      level: 3 (log2 expression of wells), 4 (z-scores of wells) or 5 (signatures); None to take
        it from the file.
      zscore_reference: what level 3 is compared with: `vehicle`, the plate's vehicle wells, or
        `population`, all its wells.
    """

    level: int | None = None
    zscore_reference: str = VEHICLE

    def __post_init__(self) -> None:
        if self.level not in (None, *LEVELS):
            raise InputError(f"the level is {self.level}; it must be one of 3, 4 and 5.")
        if self.zscore_reference not in (VEHICLE, POPULATION):
            raise InputError(
                f"the reference of z-scores is {self.zscore_reference!r}; it must be {VEHICLE} or "
                f"{POPULATION}."
            )

    @classmethod
    def of_options(cls, level: str, zscore_reference: str) -> PlateSettings:
        """Settings from a program's options `--level`, empty where not given, and the reference.

        Raises:
          InputError: one of them is not what it can be.
        """
        if level and not level.isdecimal():
            raise InputError(f"--level={level} is no whole number.")
        return cls(int(level) if level else None, zscore_reference)


def names_wells(columns: pd.Index) -> bool:
    """Whether a table of metadata is about wells rather than signatures."""
    return "sig_id" not in columns and any(name in columns for name in _WELL_NAMES)


def find_level(
    columns: pd.Index, has_vehicle: bool, values: Float32[np.ndarray, "profile gene"]
) -> tuple[int, str]:
    """Level of a matrix, and why it is taken for it.

    Args:
      columns: fields of its metadata.
      has_vehicle: some profiles are vehicle wells.
      values: some of its values.
    """
    wells = names_wells(columns)
    if _is_log2(values) and (wells or has_vehicle):
        return 3, "no value is negative, as in log2 expression, and the metadata are those of wells"
    if wells:
        return 4, "the metadata are those of wells, and the values lie around 0"
    return 5, "the metadata are not those of wells"


def _is_log2(values: Float32[np.ndarray, "profile gene"]) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and known.min() >= 0 and np.median(known) >= LEAST_LOG2_MEDIAN)


def vehicle_wells(pert_type: pd.Series) -> Bool[np.ndarray, " profile"]:
    """Which profiles are vehicle wells."""
    return (pert_type == VEHICLE_PERT_TYPE).to_numpy(bool)


def signatures_of_wells(
    values: Float32[np.ndarray, "profile gene"],
    instances: pd.DataFrame,
    settings: PlateSettings,
    source: str,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Signatures of a user's wells.

    At level 3 wells become robust z-scores against their plate's reference. Replicates, grouped by
    sig_id or else by perturbation, cell line, dose, time and batch, become one signature (MODZ).
    Wells of controls, and wells that the metadata mark as failed, make none; failed ones are no
    reference either. A well without pert_id is a compound of its own.

    Args:
      values: what was measured, over the model's genes.
      instances: what `harmonise_instinfo` returns, row by row with `values`.
      settings: `level` 3 or 4, and the reference.
      source: what to call the metadata in messages.

    Returns:
      Signatures; `SIGNATURE_COLUMNS`; and counts of wells, as JSON values.

    Raises:
      InputError: level 3 has a well without plate, a plate without enough vehicle wells, or values
        that are no log2 expression; no well is left; or wells cannot be grouped.
    """
    if settings.level == 3 and not _is_log2(values):
        raise InputError(
            f"{source} is about level 3, log2 expression (never negative, mostly 4 to 15), but the "
            f"values have the median {np.median(values):.3g} and the minimum {values.min():.3g}; "
            "give --level=4 for z-scores."
        )
    num_wells = len(instances)
    passed = instances["qc_pass"].fillna(True).to_numpy(bool)
    values, instances = values[passed], instances[passed].reset_index(drop=True)
    vehicle = vehicle_wells(instances["pert_type"])
    if settings.level == 3:
        values = _zscores(values, instances, vehicle, settings, source)
    kind = instances["pert_type"].fillna("").astype(str)
    treated = ~kind.str.startswith(CONTROL_PREFIX).to_numpy(bool)
    if not treated.any():
        raise InputError(
            f"{source} has no well of a compound: of {num_wells} wells, {(~passed).sum()} "
            f"failed quality control and {len(instances)} are controls."
        )
    wells = instances[treated].reset_index(drop=True)
    wells["pert_id"] = wells["pert_id"].fillna(wells["inst_id"])
    expression, table = collapse_replicates(values[treated], wells)
    report = {
        "wells": num_wells,
        "failed_quality_control": int((~passed).sum()),
        "vehicle_wells": int(vehicle.sum()),
        "control_wells": int((~treated).sum()),
        "wells_used": len(wells),
        "plates": int(instances["plate"].nunique()),
        "replicates_per_signature": {
            str(int(size)): count
            for size, count in sorted(collections.Counter(table["n_replicates"]).items())
        },
    }
    return expression, table[list(SIGNATURE_COLUMNS)], report


def _zscores(
    values: Float32[np.ndarray, "profile gene"],
    instances: pd.DataFrame,
    vehicle: Bool[np.ndarray, " profile"],
    settings: PlateSettings,
    source: str,
) -> Float32[np.ndarray, "profile gene"]:
    nameless = instances["plate"].isna()
    if nameless.any():
        raise InputError(
            f"{source} has no plate ({', '.join(ALIASES['plate'][:3])}) of the well "
            f"{instances['inst_id'][nameless].iloc[0]}; level 3 is normalised by plate."
        )
    if settings.zscore_reference == POPULATION:
        return robust_zscore(values, plate=instances["plate"])
    if not vehicle.any():
        raise InputError(
            f"{source} marks no vehicle well ({VEHICLE_PERT_TYPE} as pert_type); "
            f"--zscore_reference={POPULATION} compares with all wells of the plate instead."
        )
    return robust_zscore(values, plate=instances["plate"], control=vehicle)
