"""Line charts as coordinates: axes with round ticks, lines, bands and markers.

The drawing is `WIDTH` by `HEIGHT` units, the origin in the upper left corner; the template
`chart.html` turns it into SVG.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Real
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.report.colours import LINE_COLOURS
from moa_jax.report.number_text import MINUS
from moa_jax.report.parts import LineChart, Series

WIDTH, HEIGHT = 520, 340
TOP, RIGHT, BOTTOM = 12, 20, 56
# Left of the plot: room for the axis' name, and for each character of its longest tick.
LEFT, LEFT_PER_CHARACTER = 38, 9
NUM_TICKS = 5
# A line with more points than this has markers on some of them only.
MAX_MARKERS = 12

# Markers around the origin. Their number and that of the dash patterns are coprime, so that
# 28 lines are distinguishable without colours.
MARKERS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "M-3.6,-3.6H3.6V3.6H-3.6Z",
    "M0,-4.8L4.6,3.4H-4.6Z",
    "M0,-5L5,0L0,5L-5,0Z",
    "M0,4.8L4.6,-3.4H-4.6Z",
    "M-4.4,-1.4H-1.4V-4.4H1.4V-1.4H4.4V1.4H1.4V4.4H-1.4V1.4H-4.4Z",
    "M0,-5L4.8,-1.5L2.9,4H-2.9L-4.8,-1.5Z",
)
DASHES = ("none", "7 4", "2 3", "9 3 2 3")


@dataclasses.dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    position: float
    text: str


@dataclasses.dataclass(frozen=True)
class Marker:
    """A point of a line with its tooltip."""

    x: float
    y: float
    title: str


@dataclasses.dataclass(frozen=True)
class Line:
    """One series: SVG paths of its line and its band, its markers and how it is drawn."""

    name: str
    path: str
    band: str
    markers: tuple[Marker, ...]
    colour: int
    dashes: str
    shape: str


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A chart in the coordinates of its picture."""

    chart: LineChart
    left: Real
    right: Real
    top: Real
    bottom: Real
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    diagonal: str
    width: ClassVar[int] = WIDTH
    height: ClassVar[int] = HEIGHT


@dataclasses.dataclass(frozen=True)
class Axis:
    """A linear map from values to positions in the picture."""

    low: Real
    high: Real
    start: Real
    end: Real

    def position(self, value: Real) -> float:
        """Position of `value`, to the hundredth of a unit."""
        fraction = (value - self.low) / (self.high - self.low)
        return round(float(self.start + fraction * (self.end - self.start)), 2)

    def ticks(self, step: Real) -> tuple[Tick, ...]:
        """Labelled positions of the multiples of `step` on the axis."""
        slack = 1e-9 * (self.high - self.low) / step
        first = math.ceil(self.low / step - slack)
        last = math.floor(self.high / step + slack)
        values = [number * step for number in range(first, last + 1)]
        return tuple(Tick(self.position(value), tick_text(value, step)) for value in values)


def nice_step(span: Real) -> float:
    """The 1, 2 or 5 times a power of ten nearest to `span / NUM_TICKS`.

    Heckbert 1990, "Nice numbers for graph labels" (Graphics Gems I), with rounding.
    """
    rough = span / NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    leading = rough / power
    return power * next((nice for nice, end in ((1, 1.5), (2, 3), (5, 7)) if leading < end), 10)


def tick_text(value: Real, step: Real) -> str:
    """`value` with the decimals that distinguish multiples of `step`."""
    largest = max(abs(value), step)
    if largest >= 1e6 or step < 1e-5:
        text = f"{value:.3g}".replace("e-", f"e{MINUS}")
    else:
        text = f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
    zero = not any(digit in "123456789" for digit in text)
    return ("" if zero else MINUS) + text[1:] if text.startswith("-") else text


def axis_range(
    values: Float[np.ndarray, " value"], given: tuple[Real, Real] | None
) -> tuple[float, float, float]:
    """First and last value of an axis and the step of its ticks.

    Without a given range both ends are ticks, around every finite value.
    """
    if given is not None:
        return float(given[0]), float(given[1]), nice_step(given[1] - given[0])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        margin = abs(low) / 10 or 0.5
        low, high = low - margin, high + margin
    step = nice_step(high - low)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def draw(chart: LineChart) -> Drawing:
    """The chart's coordinates."""
    x_values = _joined([series.x for series in chart.series])
    y_values = _joined(
        [part for series in chart.series for part in (series.y, series.low, series.high)]
    )
    x_low, x_high, x_step = axis_range(x_values, chart.x_range)
    y_low, y_high, y_step = axis_range(y_values, chart.y_range)
    bottom = HEIGHT - BOTTOM
    y_axis = Axis(y_low, y_high, bottom, TOP)
    y_ticks = y_axis.ticks(y_step)
    left = LEFT + LEFT_PER_CHARACTER * max((len(tick.text) for tick in y_ticks), default=0)
    x_axis = Axis(x_low, x_high, left, WIDTH - RIGHT)
    return Drawing(
        chart=chart,
        left=left,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=bottom,
        x_ticks=x_axis.ticks(x_step),
        y_ticks=y_ticks,
        lines=tuple(
            _line(series, number, x_axis, y_axis) for number, series in enumerate(chart.series)
        ),
        diagonal=_diagonal(x_axis, y_axis) if chart.diagonal else "",
    )


def _joined(parts: Sequence[Sequence[Real] | np.ndarray | None]) -> Float[np.ndarray, " value"]:
    arrays = [np.asarray(part, dtype=np.float64) for part in parts if part is not None]
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _line(series: Series, number: int, x_axis: Axis, y_axis: Axis) -> Line:
    x, y = (np.asarray(values, dtype=np.float64) for values in (series.x, series.y))
    drawn = np.isfinite(x) & np.isfinite(y)
    bounds = None
    if series.low is not None and series.high is not None:
        bounds = np.stack([np.asarray(series.low, float), np.asarray(series.high, float)])
    stride = -(-len(x) // MAX_MARKERS) or 1
    shown = [
        point
        # Lines have their markers at different points, so that they overlap less.
        for point in range(number % stride, len(x), stride)
        if drawn[point]
        and x_axis.low <= x[point] <= x_axis.high
        and y_axis.low <= y[point] <= y_axis.high
    ]
    return Line(
        name=series.name,
        path="".join(
            "M" + "L".join(_points(x[run], y[run], x_axis, y_axis)) for run in _runs(drawn)
        ),
        band="" if bounds is None else _band(x, bounds, x_axis, y_axis),
        markers=tuple(
            Marker(
                x_axis.position(x[point]),
                y_axis.position(y[point]),
                _title(
                    series.name, x[point], y[point], None if bounds is None else bounds[:, point]
                ),
            )
            for point in shown
        ),
        colour=number % len(LINE_COLOURS["light"]),
        dashes=DASHES[number % len(DASHES)],
        shape=MARKERS[number % len(MARKERS)],
    )


def _band(x: np.ndarray, bounds: Float[np.ndarray, "2 point"], x_axis: Axis, y_axis: Axis) -> str:
    path = ""
    for run in _runs(np.isfinite(x) & np.isfinite(bounds).all(axis=0)):
        there = _points(x[run], bounds[0, run], x_axis, y_axis)
        back = _points(x[run], bounds[1, run], x_axis, y_axis)[::-1]
        path += "M" + "L".join(there + back) + "Z"
    return path


def _runs(drawn: Bool[np.ndarray, " point"]) -> list[slice]:
    """The stretches of neighbouring points that are drawn."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], drawn, [False]]).astype(int)))
    return [slice(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _points(x: np.ndarray, y: np.ndarray, x_axis: Axis, y_axis: Axis) -> list[str]:
    return [
        f"{x_axis.position(right):g},{y_axis.position(up):g}"
        for right, up in zip(x, y, strict=True)
    ]


def _diagonal(x_axis: Axis, y_axis: Axis) -> str:
    """Path of the part of y = x that both axes show; empty where there is none."""
    ends = np.array([max(x_axis.low, y_axis.low), min(x_axis.high, y_axis.high)])
    return "M" + "L".join(_points(ends, ends, x_axis, y_axis)) if ends[0] < ends[1] else ""


def _title(name: str, x: float, y: float, bounds: np.ndarray | None) -> str:
    text = f"{name}: {y:.4g} at {x:.4g}"
    if bounds is not None and np.isfinite(bounds).all():
        text += f" [{bounds[0]:.4g}, {bounds[1]:.4g}]"
    return text
