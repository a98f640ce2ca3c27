"""Recognises level and scale of a matrix from its metadata and values.

Level 3 is log2 of fluorescence: never negative, and mostly 4 to 15. Z-scores (levels 4 and 5) are
around 0. Level 2 is fluorescence, up to 60,000. Wells are recognised by ids, plates and vehicles,
signatures by counts and correlations of replicates. Ambiguous input is refused, with the options
that decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.expression.option_names import OptionNames
from moa_jax.lincs.metadata.pert_types import controls, vehicles
from moa_jax.lincs.metadata.profile_ids import is_plate_of_wells, is_signature_id, is_well_id
from moa_jax.schemas import InputError

LOG2, LINEAR, ZSCORE = SCALES = ("log2", "linear", "zscore")

# Log2 expression has a median of 7 to 9 and is below 16; z-scores have a median near 0.
MIN_LOG2_MEDIAN, MAX_LOG2 = 2.0, 20.0
# Log10 of fluorescence is below 5; log2 exceeds 10 on every plate.
MAX_LOG10 = 5.0
# Fluorescence has a median of hundreds, and values of thousands.
MIN_LINEAR_MEDIAN, MIN_LINEAR_MAXIMUM = 30.0, 200.0
# Smallest share of negative values among non-zero z-scores.
MIN_NEGATIVE_SHARE = 0.02
# Fewer values than this may all be positive by chance.
MIN_VALUES = 20
# Larger matrices are subsampled to about so many profiles.
MAX_PROFILES = 20_000
# Smallest share of ids that must have the same form.
MIN_ALIKE_IDS = 0.9


@dataclasses.dataclass(frozen=True)
class Scale:
    """Scale of a matrix's values, and the reason for it."""

    name: str
    because: str


def check_scale_name(scale: str | None, options: OptionNames) -> None:
    """Refuses a scale that is neither None nor one of `SCALES`."""
    if scale is not None and scale not in SCALES:
        raise InputError(f"{options.scale} is {scale!r}; it must be one of {', '.join(SCALES)}.")


def find_scale(
    values: Float32[np.ndarray, "profile gene"],
    source: str,
    *,
    requested: str | None = None,
    options: OptionNames | None = None,
) -> Scale:
    """Scale of some values of a matrix.

    Args:
      values: measured values; those that are not finite are ignored.
      source: name of the matrix in messages.
      requested: the scale given by the user, one of `SCALES`, which takes precedence.
      options: option names in messages.

    Raises:
      InputError: no scale fits, or the requested one does not.
    """
    options = options or OptionNames()
    check_scale_name(requested, options)
    some = values[:: max(1, len(values) // MAX_PROFILES)]
    known = some[np.isfinite(some)]
    if not len(known):
        return Scale(requested or ZSCORE, "it was requested" if requested else "no value is known")
    least, median, most = known.min(), float(np.median(known)), known.max()
    found = f"the values are between {least:.3g} and {most:.3g}, with a median of {median:.3g}"
    if requested:
        if requested != ZSCORE and median < 0:
            raise InputError(f"{options.scale} is {requested}, but {found} in {source}.")
        return Scale(requested, "it was requested")
    nonzero = known[known != 0]
    negative = float((nonzero < 0).mean()) if len(nonzero) else 0.0
    if negative == 0 and median >= MIN_LINEAR_MEDIAN and most >= MIN_LINEAR_MAXIMUM:
        return Scale(LINEAR, f"{found}, as in fluorescence")
    if negative == 0 and median >= MIN_LOG2_MEDIAN and MAX_LOG10 < most <= MAX_LOG2:
        return Scale(LOG2, "no value is negative, as in log2 expression")
    both_signs = negative >= MIN_NEGATIVE_SHARE or len(nonzero) < MIN_VALUES
    if both_signs and abs(median) < MIN_LOG2_MEDIAN:
        return Scale(ZSCORE, "the values are around 0")
    log10 = negative == 0 and MIN_LOG2_MEDIAN <= median < most <= MAX_LOG10
    hint = ", as in log10 expression (multiply by 3.322 for log2)" if log10 else ""
    raise InputError(
        f"the scale of {source} is not recognised: {found}{hint}, {negative:.1%} of them "
        f"negative; give {options.scale}={LOG2}, {LINEAR} or {ZSCORE}."
    )


def check_level(level: int, scale: Scale, source: str, options: OptionNames | None = None) -> None:
    """Refuses a requested level that does not fit the scale.

    Raises:
      InputError: level 3 has z-scores, or level 4 or 5 has none.
    """
    options = options or OptionNames()
    if level == 3 and scale.name == ZSCORE:
        raise InputError(
            f"{options.level} is 3, log2 expression (never negative, mostly 4 to 15), but in "
            f"{source} {scale.because}; give {options.level}=4 for z-scores of wells."
        )
    if level != 3 and scale.name != ZSCORE:
        raise InputError(
            f"{options.level} is {level}, z-scores, but in {source} {scale.because}; give "
            f"{options.level}=3, or {options.scale}={ZSCORE} if these are z-scores nevertheless."
        )


def log2_expression(
    values: Float32[np.ndarray, "profile gene"],
) -> Float32[np.ndarray, "profile gene"]:
    """Log2 of fluorescence; values below 1, the limit of detection, become 0."""
    return np.log2(np.maximum(values, np.float32(1)))


def find_level(
    profiles: pd.DataFrame,
    ids: pd.Series,
    *,
    named_by: str,
    scale: Scale,
    source: str,
    options: OptionNames | None = None,
) -> tuple[int, str]:
    """Level of a matrix, and the reason for it.

    Args:
      profiles: output of `describe_profiles`.
      ids: id of each of its rows.
      named_by: the field of the ids (`inst_id` or `sig_id`); empty if only the matrix has them.
      scale: scale of the matrix's values.
      source: name of the metadata in messages.
      options: option names in messages.

    Raises:
      InputError: the metadata fit both wells and signatures.
    """
    options = options or OptionNames()
    signatures = _signs_of_signatures(profiles, ids)
    wells = _signs_of_wells(profiles, ids, named_by)
    if scale.name != ZSCORE:
        if signatures:
            raise InputError(
                f"{source} is about signatures ({signatures[0]}), but {scale.because}; give "
                f"{options.level}=3 for log2 expression of wells, or {options.scale}={ZSCORE}."
            )
        because = f"{scale.because}, and " if wells else scale.because
        return 3, because + (f"the metadata are those of wells ({wells[0]})" if wells else "")
    weak = _weak_signs_of_wells(profiles, named_by)
    if signatures and not wells:
        return 5, f"the metadata are those of signatures ({signatures[0]})"
    if wells and not signatures:
        return 4, f"the metadata are those of wells ({wells[0]}), and {scale.because}"
    if signatures or (weak and named_by == "sig_id"):
        signature = signatures[0] if signatures else "named by sig_id"
        raise InputError(
            f"{source} could be about signatures ({signature}) or wells ({(wells + weak)[0]}); "
            f"give {options.level}=5 for signatures or {options.level}=4 for z-scores of wells."
        )
    if named_by == "sig_id":
        return 5, "the metadata name signatures (sig_id)"
    if weak:
        return 4, f"the metadata are those of wells ({weak[0]}), and {scale.because}"
    repeated = _repeated_conditions(profiles, [])
    if repeated:
        raise InputError(
            f"{source} could be about wells or signatures: {repeated}, and no plate, well or "
            f"number of replicates is given; use {options.level}=4 to pool each condition into one "
            f"signature or {options.level}=5 to treat each profile as a signature."
        )
    return 5, "the metadata are not those of wells"


def _signs_of_signatures(profiles: pd.DataFrame, ids: pd.Series) -> list[str]:
    found = [
        f"{name} is given"
        for name in ("n_replicates", "cc_q75", "tas")
        if profiles[name].notna().any()
    ]
    for name in ("distil_ids", "plate", "well"):
        if profiles[name].str.contains("|", regex=False).eq(True).any():
            found.append(f"{name} names several")
    return found + _ids_of_kind(ids, is_signature_id)


def _ids_of_kind(ids: pd.Series, test: Callable[[str], bool]) -> list[str]:
    """A sign, with an example, if nearly all ids are of a kind."""
    alike = [test(name) for name in ids.astype(str)]
    if not alike or np.mean(alike) < MIN_ALIKE_IDS:
        return []
    return [f"ids such as {ids.iloc[int(np.argmax(alike))]}"]


def _signs_of_wells(profiles: pd.DataFrame, ids: pd.Series, named_by: str) -> list[str]:
    found = _ids_of_kind(ids, is_well_id)
    if named_by == "inst_id":
        found.append("named by inst_id or sample_id")
    return found


def _weak_signs_of_wells(profiles: pd.DataFrame, named_by: str) -> list[str]:
    """Signs of wells that signatures may have, too; fewer of them apply if ids are sig_ids."""
    found = []
    if profiles["well"].notna().any():
        found.append("a column names the well")
    on_plates = profiles[[is_plate_of_wells(plate) for plate in profiles["plate"]]]
    if repeated := _repeated_conditions(on_plates, ["plate"]):
        found.append(f"{repeated} on one plate")
    if named_by == "sig_id":
        return found
    if any(map(is_plate_of_wells, profiles["plate"].dropna().unique())):
        found.append("a column names the plate")
    grouped = profiles.dropna(subset=["sig_id", "pert_id"]).groupby("sig_id")["pert_id"]
    if (grouped.size() > 1).any() and (grouped.nunique() == 1).all():
        found.append("several have one sig_id")
    vehicle = profiles[vehicles(profiles["pert_type"])]
    if vehicle.duplicated(["cell_line", "time", "plate"]).any():
        found.append("several vehicle profiles")
    return found


def _repeated_conditions(profiles: pd.DataFrame, other_keys: list[str]) -> str:
    """A text if most profiles share their condition with others, else empty.

    Profiles of unknown compound or dose are ignored, since their conditions may differ.
    """
    known = profiles[~controls(profiles["pert_type"])].dropna(subset=["dose", *other_keys])
    known = known[known["pert_id"].notna() | known["compound"].notna()]
    keys = ["pert_id", "compound", "cell_line", "dose", "time", *other_keys]
    shared = known.duplicated(keys, keep=False)
    if not len(known) or shared.mean() <= 0.5:
        return ""
    first = known[shared].iloc[0]
    name = first["pert_id"] if first["pert_id"] is not None else first["compound"]
    count = int((known[keys].astype(str) == first[keys].astype(str)).all(axis=1).sum())
    return f"{count} profiles of {name} at {first['dose']}"
