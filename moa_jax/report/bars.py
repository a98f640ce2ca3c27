"""Signed horizontal bars with intervals: genes, gene sets, substructures, modalities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from moa_jax.report.charts import Axis, axis_range
from moa_jax.report.number_text import exact_text
from moa_jax.report.shapes import (
    AGAINST,
    AGAINST_RIM,
    FAINT,
    FOR,
    INK,
    MUTED,
    Box,
    Label,
    Line,
    Picture,
    shortened,
    text_width,
)

WIDTH = 560
_ROW, _BAR = 24, 15
_TOP, _BOTTOM, _RIGHT = 12, 46, 24
_NAME_SIZE, _TICK_SIZE = 13, 12
_MAX_NAME_LENGTH = 38


def bars(
    names: Sequence[str],
    values: Float[np.ndarray, " bar"],
    *,
    low: Float[np.ndarray, " bar"] | None = None,
    high: Float[np.ndarray, " bar"] | None = None,
    axis_name: str = "",
    title: str = "",
) -> Picture:
    """One bar per name from zero, from top to bottom in the given order.

    Positive bars are dark, negative ones light with a dashed rim, so that signs are distinguishable
    without colours. Long names are shortened; a tooltip shows them in full.

    Args:
      names: name of each bar.
      values: length of each bar; NaN for none.
      low: lower end of each interval; None for no intervals.
      high: upper end.
      axis_name: name of the values, with their unit if they have one.
      title: what the picture shows, for those who cannot see it.
    """
    if low is None or high is None:
        low = high = np.full(len(values), np.nan)
    shown = [shortened(name, _MAX_NAME_LENGTH) for name in names]
    left = 16 + max((text_width(name, _NAME_SIZE) for name in shown), default=0.0)
    bottom = _TOP + _ROW * len(values)
    start, end, step = axis_range(np.concatenate([values, low, high, [0.0]]), None)
    axis = Axis(start, end, left, WIDTH - _RIGHT)
    shapes: list[Line | Box | Label] = []
    for tick in axis.ticks(step):
        shapes.append(Line(tick.position, _TOP, tick.position, bottom, FAINT))
        shapes.append(
            Label(tick.position, bottom + 14, tick.text, _TICK_SIZE, MUTED, anchor="middle")
        )
    for row, (name, value) in enumerate(zip(names, values.tolist(), strict=True)):
        middle = _TOP + _ROW * (row + 0.5)
        shapes.append(Label(left - 8, middle, shown[row], _NAME_SIZE, anchor="end"))
        if math.isfinite(value):
            ends = (float(low[row]), float(high[row]))
            shapes += _bar(axis, middle, value, ends, name)
    zero = axis.position(0.0)
    shapes.append(Line(zero, _TOP, zero, bottom, INK))
    shapes.append(
        Label((left + WIDTH - _RIGHT) / 2, bottom + 34, axis_name, _TICK_SIZE, anchor="middle")
    )
    return Picture(WIDTH, bottom + _BOTTOM, tuple(shapes), title or axis_name)


def _bar(
    axis: Axis, middle: float, value: float, ends: tuple[float, float], name: str
) -> list[Line | Box | Label]:
    """The bar of one value and its interval."""
    first, last = sorted((axis.position(0.0), axis.position(value)))
    title = f"{name}: {exact_text(value, 3)}"
    if all(map(math.isfinite, ends)):
        title += f" [{exact_text(ends[0], 3)}, {exact_text(ends[1], 3)}]"
    is_for = value > 0
    box = Box(
        first,
        middle - _BAR / 2,
        max(last - first, 0.5),
        _BAR,
        fill=FOR if is_for else AGAINST,
        stroke=FOR if is_for else AGAINST_RIM,
        stroke_width=1.2,
        dashes=() if is_for else (4, 3),
        title=title,
    )
    if not all(map(math.isfinite, ends)):
        return [box]
    start, end = axis.position(ends[0]), axis.position(ends[1])
    # A pale line under a dark one shows on dark and pale bars.
    marks = [(start, middle, end, middle), *((x, middle - 4, x, middle + 4) for x in (start, end))]
    return [
        box,
        *(Line(*mark, colour="#ffffff", width=3.6) for mark in marks),
        *(Line(*mark, colour=INK, width=1.4) for mark in marks),
    ]
