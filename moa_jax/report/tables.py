"""Tables and heat maps as the texts, sort keys, bars and colour classes of their cells."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from numbers import Real

import numpy as np
from jaxtyping import Float

from moa_jax.report.colours import NUM_STEPS, step_of
from moa_jax.report.number_text import (
    MISSING,
    decimals_for,
    exact_text,
    number_text,
    sort_text,
    tidy,
)
from moa_jax.report.parts import Cell, Estimate, HeatMap, Link, Table

# A table with more rows than this has a filter box; one with more than the second scrolls.
ROWS_TO_FILTER = 8
ROWS_TO_SCROLL = 24
# Format of the numbers in a heat map.
HEAT_FORMAT = ".2f"
# Column names longer than this are written vertically over the narrow columns of a heat map.
MAX_FLAT_NAME_LENGTH = 6


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar from zero with its interval, in hundredths of the cell's width."""

    zero: float
    start: float
    width: float
    interval_start: float | None
    interval_width: float | None


@dataclasses.dataclass(frozen=True)
class CellView:
    """A cell as shown: its text, its number for sorting (empty for none) and its extras."""

    text: str
    sort: str = ""
    interval: str = ""
    bar: Bar | None = None
    colour: str = ""
    title: str = ""
    file: str = ""


@dataclasses.dataclass(frozen=True)
class ColumnView:
    """A column's name, whether it holds numbers, and `aria-sort` of its head."""

    name: str
    is_numeric: bool
    sorted: str = "none"


@dataclasses.dataclass(frozen=True)
class RowsView:
    """A table or heat map, ready for its template; the first cell of a row is its head."""

    caption: str
    columns: tuple[ColumnView, ...]
    rows: tuple[tuple[CellView, ...], ...]
    folded: bool = False
    is_heat_map: bool = False
    upright: bool = False
    legend: tuple[str, ...] = ()
    legend_ends: tuple[str, str] = ("", "")

    @property
    def can_filter(self) -> bool:
        """Whether the table has a filter box."""
        return len(self.rows) > ROWS_TO_FILTER

    @property
    def scrolls(self) -> bool:
        """Whether the rows scroll under a fixed header."""
        return len(self.rows) > ROWS_TO_SCROLL


def table_view(table: Table) -> RowsView:
    """The table's cells; a column has one number of decimals and one scale of bars."""
    rows = list(table.rows)
    direction = ""
    if table.sort_by is not None:
        rows = _sorted(rows, list(table.columns).index(table.sort_by))
        direction = "descending"
    columns = [[row[index] for row in rows] for index in range(len(table.columns))]
    return RowsView(
        caption=table.caption,
        columns=tuple(
            ColumnView(
                name,
                any(_number(cell) is not None for cell in cells),
                direction if name == table.sort_by else "none",
            )
            for name, cells in zip(table.columns, columns, strict=True)
        ),
        rows=tuple(zip(*map(_column_cells, columns), strict=True)),
        folded=table.folded,
    )


def _number(cell: Cell) -> float | None:
    """Number by which a cell is sorted; None for text."""
    if isinstance(cell, Estimate):
        return float(cell.value)
    return float(cell) if isinstance(cell, Real) and not isinstance(cell, bool) else None


def _sorted(rows: Sequence[Sequence[Cell]], column: int) -> list[Sequence[Cell]]:
    """Rows by a column, the largest first: numbers by value, text naturally, missing last."""
    cells = [row[column] for row in rows]
    if any(_number(cell) is not None for cell in cells):
        keys = [math.nan if (value := _number(cell)) is None else value for cell in cells]
        missing = [math.isnan(key) for key in keys]
    else:
        keys = [_natural(_text(cell)) for cell in cells]
        missing = [not _text(cell) for cell in cells]
    present = [row for row in range(len(rows)) if not missing[row]]
    present.sort(key=keys.__getitem__, reverse=True)
    absent = [row for row in range(len(rows)) if missing[row]]
    return [rows[row] for row in present + absent]


def _text(cell: Cell) -> str:
    if isinstance(cell, Link):
        return cell.text
    return ("yes" if cell else "no") if isinstance(cell, bool) else str(cell)


def _natural(text: str) -> list[tuple[int, str]]:
    """Key under which `fold 10` follows `fold 9`."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [
        (int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts) if part
    ]


def _column_cells(cells: Sequence[Cell]) -> list[CellView]:
    estimates = [cell for cell in cells if isinstance(cell, Estimate)]
    floats = [
        float(cell)
        for cell in cells
        if isinstance(cell, Real) and not isinstance(cell, bool | int | np.integer)
    ]
    ends = [
        float(end)
        for cell in estimates
        for end in (cell.value, cell.low, cell.high)
        if math.isfinite(end)
    ]
    decimals = decimals_for(floats + ends)
    scale = (min([0.0, *ends]), max([0.0, *ends]))
    return [_cell_view(cell, decimals, scale) for cell in cells]


def _cell_view(cell: Cell, decimals: int, scale: tuple[float, float]) -> CellView:
    if isinstance(cell, Estimate):
        if math.isnan(cell.value):
            return CellView(MISSING)
        interval = ""
        if not math.isnan(cell.low + cell.high):
            ends = (number_text(cell.low, decimals), number_text(cell.high, decimals))
            interval = f"[{ends[0]}, {ends[1]}]"
        text = number_text(cell.value, decimals)
        return CellView(text, sort_text(cell.value), interval, _bar(cell, scale))
    if (value := _number(cell)) is None:
        return CellView(_text(cell), file=cell.file if isinstance(cell, Link) else "")
    is_whole = isinstance(cell, int | np.integer)
    return CellView(
        number_text(value, 0) if is_whole else exact_text(value, decimals), sort_text(value)
    )


def _bar(cell: Estimate, scale: tuple[float, float]) -> Bar | None:
    low, high = scale
    if not (low < high and math.isfinite(cell.value)):
        return None
    zero = _percent(0.0, low, high)
    start, end = sorted((zero, _percent(cell.value, low, high)))
    if not math.isfinite(cell.low + cell.high):
        return Bar(zero, start, round(end - start, 1), None, None)
    first, last = _percent(cell.low, low, high), _percent(cell.high, low, high)
    return Bar(zero, start, round(end - start, 1), first, round(last - first, 1))


def _percent(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 1)


@dataclasses.dataclass(frozen=True)
class ColourScale:
    """The ramp's name and the values of its first and last colour."""

    ramp: str
    low: float
    high: float

    def colour(self, value: float) -> str:
        """CSS class of the colour that shows `value`."""
        return f"{self.ramp}-{step_of(value, self.low, self.high)}"


def heat_map_view(heat_map: HeatMap) -> RowsView:
    """The map's cells, each with the class of its colour, and the legend of the colours."""
    values = np.asarray(heat_map.values, dtype=np.float64)
    scale = colour_scale(heat_map, values)
    rows = []
    for name, row in zip(heat_map.row_names, values, strict=True):
        cells = [
            _heat_cell(f"{name}, {column}", float(value), scale)
            for column, value in zip(heat_map.column_names, row, strict=True)
        ]
        rows.append((CellView(name, title=name), *cells))
    ends = (tidy(format(end, HEAT_FORMAT)) for end in (scale.low, scale.high))
    return RowsView(
        caption=heat_map.caption,
        columns=(
            ColumnView(heat_map.corner, False),
            *(ColumnView(name, True) for name in heat_map.column_names),
        ),
        rows=tuple(rows),
        is_heat_map=True,
        upright=max(map(len, heat_map.column_names), default=0) > MAX_FLAT_NAME_LENGTH,
        legend=tuple(f"{scale.ramp}-{step}" for step in range(NUM_STEPS)),
        legend_ends=tuple(ends),
    )


def colour_scale(heat_map: HeatMap, values: Float[np.ndarray, "row column"]) -> ColourScale:
    """The colour scale: diverging and symmetric about zero if zero is within the range."""
    finite = values[np.isfinite(values)]
    low = float(finite.min(initial=math.inf) if heat_map.low is None else heat_map.low)
    high = float(finite.max(initial=-math.inf) if heat_map.high is None else heat_map.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return ColourScale("sequential", 0.0, 1.0)
    if low < 0 < high:
        return ColourScale("diverging", -max(-low, high), max(-low, high))
    return ColourScale("sequential", low, high if low < high else low + (abs(low) or 1.0))


def _heat_cell(place: str, value: float, scale: ColourScale) -> CellView:
    if math.isnan(value):
        return CellView("", title=f"{place}: {MISSING}", colour="missing")
    return CellView(
        tidy(format(value, HEAT_FORMAT)),
        sort_text(value),
        colour=scale.colour(value),
        title=f"{place}: {tidy(f'{value:.4g}')}",
    )
