"""Level and scale of a matrix by what its metadata and its values show.

Level 3 is the logarithm of fluorescence to base 2: never negative, and mostly 4 to 15. Z-scores
(levels 4 and 5) lie around 0 on both sides. Level 2 is the fluorescence itself, up to 60,000.
Wells tell themselves from signatures by ids, plates and vehicles, signatures by counts and
correlations of replicates. Where two readings fit the user has to say which.
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

# Log2 expression has a median of 7 to 9 and stays below 16, z-scores have one of about 0.
MIN_LOG2_MEDIAN, MAX_LOG2 = 2.0, 20.0
# Log10 of fluorescence ends below 5, log2 of it goes beyond 10 in every plate.
MAX_LOG10 = 5.0
# Fluorescence has a median of hundreds, and values of thousands.
MIN_LINEAR_MEDIAN, MIN_LINEAR_MAXIMUM = 30.0, 200.0
# Of z-scores that are not 0 so many are negative at the least.
MIN_NEGATIVE_SHARE = 0.02
# Fewer values than these may all be positive by chance.
MIN_VALUES = 20
# Of more profiles every second, third, ... is looked at.
MAX_PROFILES = 20_000
# So many of the ids have to look alike.
MIN_ALIKE_IDS = 0.9


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a matrix's numbers are, and why they are taken for it."""

    name: str
    because: str


def check_scale_name(scale: str | None, options: OptionNames) -> None:
    """Refuses a scale that is not one of `SCALES`; None is none."""
    if scale is not None and scale not in SCALES:
        raise InputError(f"{options.scale} is {scale!r}; it must be one of {', '.join(SCALES)}.")


def find_scale(
    values: Float32[np.ndarray, "profile gene"],
    source: str,
    *,
    asked: str | None = None,
    options: OptionNames | None = None,
) -> Scale:
    """Scale of some values of a matrix.

    Args:
      values: what was measured; values that are not finite do not count.
      source: what to call the matrix in messages.
      asked: the scale that the user says it has, one of `SCALES`; it counts.
      options: what to call the options that decide.

    Raises:
      InputError: none or two of the scales fit.
    """
    options = options or OptionNames()
    check_scale_name(asked, options)
    some = values[:: max(1, len(values) // MAX_PROFILES)]
    known = some[np.isfinite(some)]
    if not len(known):
        return Scale(asked or ZSCORE, "it was asked for" if asked else "no value is known")
    least, median, most = known.min(), float(np.median(known)), known.max()
    found = f"the values lie between {least:.3g} and {most:.3g}, with the median {median:.3g}"
    if asked:
        if asked != ZSCORE and median < 0:
            raise InputError(f"{options.scale} is {asked}, but {found} in {source}.")
        return Scale(asked, "it was asked for")
    told = known[known != 0]
    negative = float((told < 0).mean()) if len(told) else 0.0
    if negative == 0 and median >= MIN_LINEAR_MEDIAN and most >= MIN_LINEAR_MAXIMUM:
        return Scale(LINEAR, f"{found}, as fluorescence does")
    if negative == 0 and median >= MIN_LOG2_MEDIAN and MAX_LOG10 < most <= MAX_LOG2:
        return Scale(LOG2, "no value is negative, as in log2 expression")
    both_sides = negative >= MIN_NEGATIVE_SHARE or len(told) < MIN_VALUES
    if both_sides and abs(median) < MIN_LOG2_MEDIAN:
        return Scale(ZSCORE, "the values lie around 0")
    log10 = negative == 0 and MIN_LOG2_MEDIAN <= median < most <= MAX_LOG10
    hint = ", as log10 expression does (make it log2: times 3.322)" if log10 else ""
    raise InputError(
        f"{source} has values of no scale that is known: {found}{hint}, {negative:.1%} of them "
        f"negative; give {options.scale}={LOG2}, {LINEAR} or {ZSCORE}."
    )


def check_level(level: int, scale: Scale, source: str, options: OptionNames | None = None) -> None:
    """Refuses a level that was asked for and whose values are on another scale.

    Raises:
      InputError: level 3 has z-scores, or level 4 or 5 has none.
    """
    options = options or OptionNames()
    if level == 3 and scale.name == ZSCORE:
        raise InputError(
            f"{options.level} is 3, log2 expression (never negative, mostly 4 to 15), but of "
            f"{source} {scale.because}; give {options.level}=4 for z-scores of wells."
        )
    if level != 3 and scale.name != ZSCORE:
        raise InputError(
            f"{options.level} is {level}, z-scores, but of {source} {scale.because}; give "
            f"{options.level}=3, or {options.scale}={ZSCORE} where they are z-scores all the same."
        )


def log2_expression(
    values: Float32[np.ndarray, "profile gene"],
) -> Float32[np.ndarray, "profile gene"]:
    """Log2 of fluorescence; what lies below 1 is at the limit of detection and becomes 0."""
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
    """Level of a matrix, and why it is taken for it.

    Args:
      profiles: what `describe_profiles` returns.
      ids: id of each of its rows.
      named_by: the field that holds the ids (`inst_id` or `sig_id`); empty where the matrix
        alone does.
      scale: of the matrix's values.
      source: what to call the metadata in messages.
      options: what to call the options that decide.

    Raises:
      InputError: the metadata fit wells and signatures.
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
            f"count of replicates is told; give {options.level}=4 to make one signature of each "
            f"condition or {options.level}=5 to take each profile as one."
        )
    return 5, "the metadata are not those of wells"


def _signs_of_signatures(profiles: pd.DataFrame, ids: pd.Series) -> list[str]:
    found = [
        f"{name} is told"
        for name in ("n_replicates", "cc_q75", "tas")
        if profiles[name].notna().any()
    ]
    for name in ("distil_ids", "plate", "well"):
        if profiles[name].str.contains("|", regex=False).eq(True).any():
            found.append(f"{name} names several")
    return found + _like(ids, is_signature_id)


def _like(ids: pd.Series, test: Callable[[str], bool]) -> list[str]:
    """That nearly all ids are of a kind."""
    alike = [test(name) for name in ids.astype(str)]
    if not alike or np.mean(alike) < MIN_ALIKE_IDS:
        return []
    return [f"ids such as {ids.iloc[int(np.argmax(alike))]}"]


def _signs_of_wells(profiles: pd.DataFrame, ids: pd.Series, named_by: str) -> list[str]:
    found = _like(ids, is_well_id)
    if named_by == "inst_id":
        found.append("named by inst_id or sample_id")
    return found


def _weak_signs_of_wells(profiles: pd.DataFrame, named_by: str) -> list[str]:
    """What wells have and signatures may have, too; less counts where a sig_id names them."""
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


def _repeated_conditions(profiles: pd.DataFrame, further: list[str]) -> str:
    """That most profiles share their condition with others, empty where they do not.

    A condition counts where compound and dose are told: else profiles may differ in what is not.
    """
    told = profiles[~controls(profiles["pert_type"])].dropna(subset=["dose", *further])
    told = told[told["pert_id"].notna() | told["compound"].notna()]
    keys = ["pert_id", "compound", "cell_line", "dose", "time", *further]
    shared = told.duplicated(keys, keep=False)
    if not len(told) or shared.mean() <= 0.5:
        return ""
    first = told[shared].iloc[0]
    name = first["pert_id"] if first["pert_id"] is not None else first["compound"]
    count = int((told[keys].astype(str) == first[keys].astype(str)).all(axis=1).sum())
    return f"{count} profiles of {name} at {first['dose']}"
