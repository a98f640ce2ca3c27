"""Level 4 from level 3: robust z-scores within each plate (Subramanian 2017)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.schemas import InputError

# Standard deviation of a normal distribution over its median absolute deviation.
MAD_TO_STD = 1.4826
# Lower bound of the deviation, for genes at the detection limit.
MIN_MAD = 0.1
# Share of wells of the cell line in a plate's name above which other lines are table errors.
MIN_SHARE_OF_NAMED_LINE = 0.9
# CMap's plate names: batch_cell_timeH_replicate.
_PLATE_OF_LINE = re.compile(r".+_(?P<line>[^_]+)_\d+(?:\.\d+)?H(?:_.*)?")
# A deviation needs at least two reference wells.
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
      cell_line: cell line of each profile, missing where unknown. On a plate with several lines
        each is normalised on its own, since CMap's rule is for plates of one line. None: every
        plate has one line.
      control: which profiles are vehicle wells, from which medians and deviations are taken
        (ZSVC); None takes all wells of the plate (ZSPC).

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
            others = "" if control is None else ", or use all wells as reference (population)"
            raise InputError(
                f"plate {name} has {len(reference)} {kind}; at least {MIN_REFERENCE_WELLS} are "
                f"needed for a z-score: remove its wells from the table{others}."
            )
        background = values[reference].astype(np.float64)
        median = np.median(background, axis=0)
        mad = np.median(np.abs(background - median), axis=0)
        scores[wells] = (values[wells] - median) / (MAD_TO_STD * np.maximum(mad, MIN_MAD))
    return scores


def plates_and_lines(
    plate: np.ndarray, cell_line: Sequence[str | None] | np.ndarray | pd.Series | None
) -> tuple[Int[np.ndarray, " profile"], list[str]]:
    """Groups wells that are normalised together: those of one plate and one cell line.

    On a plate with one known line, wells of unknown line belong to it. CMap's plate names contain
    the line (LJP005_A375_24H_X1); if nearly all wells have that line, wells with another one are
    errors of the table and stay in the plate's group.

    Returns:
      The group of each profile and the groups' names.

    Raises:
      InputError: a plate has several lines and a well of unknown line.
    """
    codes, plates = pd.factorize(plate)
    names = list(map(str, plates))
    if cell_line is None:
        return codes, names
    lines = pd.Series(np.asarray(cell_line, dtype=object))
    by_plate = lines.groupby(codes)
    several = [
        code
        for code, own in by_plate
        if own.nunique() > 1 and not _is_of_named_line(names[code], own.dropna())
    ]
    mixed = np.isin(codes, several)
    nameless = mixed & lines.isna().to_numpy(bool)
    if nameless.any():
        first = int(np.argmax(nameless))
        found = ", ".join(sorted(set(lines[codes == codes[first]].dropna())))
        raise InputError(
            f"plate {plate[first]} has wells of several cell lines ({found}) and "
            f"{int(nameless[codes == codes[first]].sum())} of unknown line; plates with several "
            "lines are normalised by cell line."
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
