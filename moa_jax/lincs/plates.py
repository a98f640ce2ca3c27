"""Level 4 from level 3: robust z-scores within each plate (Subramanian 2017)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.schemas import InputError

# The median absolute deviation of a normal distribution times this is its standard deviation.
MAD_TO_STD = 1.4826

# A smaller deviation is raised to this, so that a gene at the detection limit cannot explode.
MIN_MAD = 0.1

# Of the wells of a plate that names its cell line so many are of it.
MIN_SHARE_OF_NAMED_LINE = 0.9

# CMap's plates are called batch_cell_timeH_replicate.
_PLATE_OF_LINE = re.compile(r".+_(?P<line>[^_]+)_\d+(?:\.\d+)?H(?:_.*)?")

# Fewer reference wells have no spread to divide by.
MIN_REFERENCE_WELLS = 2


def robust_zscore(
    values: Float[np.ndarray, "profile gene"],
    *,
    plate: Sequence[str | None] | np.ndarray | pd.Series,
    cell_line: Sequence[str | None] | np.ndarray | pd.Series | None = None,
    control: Bool[np.ndarray, " profile"] | None = None,
) -> Float32[np.ndarray, "profile gene"]:
    """Robust z-score per plate, cell line and gene: (x - median) / (1.4826 * max(MAD, 0.1)).

    Args:
      values: level 3 expression, log2.
      plate: plate of each profile.
      cell_line: cell line of each profile, missing where unknown. Where a plate holds several,
        each is compared with its own wells: CMap's rule holds for plates of one line. None: every
        plate is of one line.
      control: which profiles are vehicle wells. Medians and deviations come from these wells of
        the plate (ZSVC); with None they come from all its wells (ZSPC).

    Raises:
      InputError: a profile has no plate, or no cell line on a plate of several; or a plate (or a
        cell line on it) has fewer than two reference wells.
    """
    plate = np.asarray(plate, dtype=object)
    if len(plate) != len(values):
        raise InputError(f"{len(values)} profiles have {len(plate)} plate names.")
    missing = np.asarray(pd.isna(plate), bool)
    if missing.any():
        raise InputError(f"profile {int(np.argmax(missing)) + 1} has no plate to normalise by.")
    codes, names = plates_and_lines(plate, cell_line)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    scores = np.empty(values.shape, dtype=np.float32)
    for name, start, end in zip(names, ends[:-1], ends[1:], strict=True):
        wells = order[start:end]
        reference = wells if control is None else wells[control[wells]]
        if len(reference) < MIN_REFERENCE_WELLS:
            kind = "wells" if control is None else "vehicle wells"
            others = "" if control is None else ", or compare with all wells (population)"
            raise InputError(
                f"plate {name} has {len(reference)} {kind}; at least {MIN_REFERENCE_WELLS} are "
                f"needed for a z-score: leave its wells out of the table{others}."
            )
        background = values[reference].astype(np.float64)
        median = np.median(background, axis=0)
        mad = np.median(np.abs(background - median), axis=0)
        scores[wells] = (values[wells] - median) / (MAD_TO_STD * np.maximum(mad, MIN_MAD))
    return scores


def plates_and_lines(
    plate: np.ndarray, cell_line: Sequence[str | None] | np.ndarray | pd.Series | None
) -> tuple[Int[np.ndarray, " profile"], list[str]]:
    """Which wells are compared with each other: those of one plate and one cell line.

    On a plate that is known to hold one line, wells whose line is not told are of it. CMap names
    the line in the plate (LJP005_A375_24H_X1); where nearly all wells are of that line, one that
    tells another is an error of the table and stays with its plate.

    Returns:
      The group of each profile and the groups' names.

    Raises:
      InputError: a plate holds several lines and one of its wells tells none.
    """
    codes, plates = pd.factorize(plate)
    names = list(map(str, plates))
    if cell_line is None:
        return codes, names
    lines = pd.Series(np.asarray(cell_line, dtype=object))
    by_plate = lines.groupby(codes)
    several = [
        code
        for code, told in by_plate
        if told.nunique() > 1 and not _is_of_named_line(names[code], told.dropna())
    ]
    mixed = np.isin(codes, several)
    nameless = mixed & lines.isna().to_numpy(bool)
    if nameless.any():
        first = int(np.argmax(nameless))
        found = ", ".join(sorted(set(lines[codes == codes[first]].dropna())))
        raise InputError(
            f"plate {plate[first]} has wells of several cell lines ({found}) and "
            f"{int(nameless[codes == codes[first]].sum())} of which the line is not told; such a "
            "plate is normalised by cell line."
        )
    keys = [
        f"{name} and cell line {line}" if is_mixed else name
        for name, line, is_mixed in zip(np.array(names)[codes], lines, mixed, strict=True)
    ]
    codes, found_keys = pd.factorize(np.array(keys, dtype=object))
    return codes, list(found_keys)


def _is_of_named_line(plate: str, lines: pd.Series) -> bool:
    match = _PLATE_OF_LINE.fullmatch(plate)
    if match is None:
        return False
    named = lines.str.casefold() == match["line"].casefold()
    return bool(named.mean() >= MIN_SHARE_OF_NAMED_LINE)
