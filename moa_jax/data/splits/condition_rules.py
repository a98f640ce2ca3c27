"""Split rules that hold out experimental conditions: cell lines, doses and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Int

from moa_jax.data.splits.identities import (
    COMPOUND_IDENTITIES,
    dose_level,
    dose_name,
    joined_units,
    time_level,
    time_name,
    values_of,
)
from moa_jax.data.splits.request import SplitParts, SplitRequest, hold_out_units
from moa_jax.schemas import UNUSED, InputError


def _cell_lines(request: SplitRequest) -> tuple[list[str], Bool[np.ndarray, " example"]]:
    """Cell line of each example, empty if unknown, and the mask of known ones."""
    lines = [line[0] if line else "" for line in values_of("cell line", request.rows)]
    return lines, np.array([line != "" for line in lines], bool)


def _require_lines(lines: Sequence[str], expected: int) -> None:
    if len(set(lines)) < expected:
        raise InputError(
            f"the signatures to split have {len(set(lines))} cell lines; expected {expected} or "
            "more (with a validation part, also among those left for training)."
        )


def hold_out_cell_lines(request: SplitRequest) -> SplitParts:
    """New cell lines, known compounds."""
    lines, known = _cell_lines(request)
    _require_lines([line for line in lines if line], request.num_folds)
    part = hold_out_units(request, lines, known)
    held_out = sorted({line for line, name in zip(lines, part, strict=True) if name == "test"})
    return SplitParts(part, "sig_id", tuple(held_out))


def hold_out_cell_lines_and_compounds(request: SplitRequest) -> SplitParts:
    """New cell lines and new compounds, also in the validation part.

    If there are fewer cell lines than folds, folds repeat cell lines with other compounds.
    """
    lines, known = _cell_lines(request)
    compounds = joined_units(request.rows, COMPOUND_IDENTITIES)

    def hold_out(
        rows: Int[np.ndarray, " row"], fold: int, num_folds: int
    ) -> tuple[Bool[np.ndarray, " row"], Bool[np.ndarray, " row"]]:
        here = [lines[row] for row in rows]
        _require_lines(here, 2)
        line_folds = min(num_folds, len(set(here)))
        new_line = request.folds(lines, rows, line_folds) == fold % line_folds
        return new_line, request.folds(compounds, rows, num_folds) == fold

    part = np.full(len(lines), UNUSED, dtype=object)
    rows = np.flatnonzero(known)
    new_line, new_compound = hold_out(rows, request.fold, request.num_folds)
    part[rows[new_line & new_compound]] = "test"
    held_out = tuple(sorted({lines[row] for row in rows[new_line]}))
    rest = rows[~new_line & ~new_compound]
    part[rest] = "train"
    if request.num_inner_folds:
        new_line, new_compound = hold_out(rest, 0, request.num_inner_folds)
        part[rest[new_line | new_compound]] = UNUSED
        part[rest[new_line & new_compound]] = "validation"
    return SplitParts(part, "sig_id", held_out)


def _ranges(levels: Sequence[int], num_folds: int) -> list[list[int]]:
    """Ranges of adjacent levels, each with at least half of an equal share of the signatures.

    Smaller ranges would give nearly empty test parts.
    """
    distinct, counts = np.unique(np.asarray(levels, int), return_counts=True)
    ranges, held = [[]], 0
    for level, count in zip(distinct, counts, strict=True):
        if held * 2 * num_folds >= len(levels) and held:
            ranges.append([])
            held = 0
        ranges[-1].append(int(level))
        held += count
    if held * 2 * num_folds < len(levels) and len(ranges) > 1:
        last = ranges.pop()
        ranges[-1] += last
    return ranges


def _conditions(
    request: SplitRequest, levels: Sequence[int | None], name_of: Callable[[int], str]
) -> SplitParts:
    """Holds out a range of levels and a fold of compounds; folds may repeat ranges.

    The validation part holds out only compounds, since a release may have just two times.
    """
    rows = np.flatnonzero([level is not None for level in levels])
    ranges = _ranges([levels[row] for row in rows], request.num_folds)
    if len(ranges) < 2:
        names = ", ".join(map(name_of, ranges[0])) or "none is known"
        raise InputError(
            f"its values ({names}) make one range, expected 2 or more with at least "
            f"{50 / request.num_folds:.3g} % of the signatures each."
        )
    held_out = ranges[request.fold % len(ranges)]
    compounds = joined_units(request.rows, COMPOUND_IDENTITIES)
    new_level = np.array([levels[row] in held_out for row in rows])
    new_compound = request.folds(compounds, rows, request.num_folds) == request.fold
    part = np.full(len(levels), UNUSED, dtype=object)
    part[rows[new_level & new_compound]] = "test"
    rest = rows[~new_level & ~new_compound]
    part[rest] = "train"
    if request.num_inner_folds:
        inner = request.folds(compounds, rest, request.num_inner_folds)
        part[rest[inner == 0]] = "validation"
    return SplitParts(part, "sig_id", tuple(map(name_of, held_out)))


def hold_out_doses(request: SplitRequest) -> SplitParts:
    """A new range of doses and new compounds."""
    levels = [dose_level(dose) for dose in request.rows.table["dose_um"]]
    return _conditions(request, levels, dose_name)


def hold_out_times(request: SplitRequest) -> SplitParts:
    """New times and new compounds."""
    levels = [time_level(time) for time in request.rows.table["time_h"]]
    return _conditions(request, levels, time_name)
