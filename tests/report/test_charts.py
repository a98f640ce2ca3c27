import itertools
import math

import numpy as np
import pytest

from moa_jax.report.charts import (
    DASHES,
    MARKERS,
    MAX_MARKERS,
    Axis,
    Tick,
    axis_range,
    draw,
    nice_step,
    tick_text,
)
from moa_jax.report.number_text import MINUS
from moa_jax.report.parts import LineChart, Series


def chart_of(*series, **options):
    return LineChart(series=series, x_label="x", y_label="y", **options)


def test_coordinates_of_a_chart_worked_out_by_hand():
    series = Series("a", [0, 5, 10], [0, 50, 100], low=[0, 40, 90], high=[10, 60, 100])
    drawing = draw(chart_of(series))
    # The longest tick, 100, has three characters: the plot begins at 38 + 3 * 9 and is 435
    # wide; it is 272 high, from 284 up to 12.
    assert (drawing.left, drawing.right, drawing.top, drawing.bottom) == (65, 500, 12, 284)
    assert drawing.x_ticks == (
        Tick(65.0, "0"),
        Tick(152.0, "2"),
        Tick(239.0, "4"),
        Tick(326.0, "6"),
        Tick(413.0, "8"),
        Tick(500.0, "10"),
    )
    assert drawing.y_ticks == (
        Tick(284.0, "0"),
        Tick(229.6, "20"),
        Tick(175.2, "40"),
        Tick(120.8, "60"),
        Tick(66.4, "80"),
        Tick(12.0, "100"),
    )
    (line,) = drawing.lines
    assert line.path == "M65,284L282.5,148L500,12"
    assert line.band == "M65,284L282.5,175.2L500,39.2L500,12L282.5,120.8L65,256.8Z"
    assert [(marker.x, marker.y) for marker in line.markers] == [(65, 284), (282.5, 148), (500, 12)]
    assert line.markers[1].title == "a: 50 at 5 [40, 60]"


def test_the_diagonal_runs_where_both_axes_have_it():
    drawing = draw(chart_of(x_range=(0, 1), y_range=(0.5, 2), diagonal=True))
    # y = x from .5 to 1; the longest tick has three characters.
    assert drawing.diagonal == "M282.5,284L500,193.33"
    apart = draw(chart_of(x_range=(0, 1), y_range=(2, 3), diagonal=True))
    assert not apart.diagonal
    assert not draw(chart_of(x_range=(0, 1), y_range=(0, 1))).diagonal


def test_nan_interrupts_lines_and_bands():
    y = [1, math.nan, 3, 4, math.inf, 6]
    edges = np.array([1, 2, math.nan, 4, 5, 6])
    (line,) = draw(chart_of(Series("a", range(6), y, low=edges, high=edges))).lines
    assert line.path.count("M") == 3
    assert line.path.count("L") == 1
    assert line.band.count("Z") == 2
    assert len(line.markers) == 4
    assert line.markers[1].title == "a: 3 at 2"


def test_points_outside_a_given_range_have_no_marker():
    (line,) = draw(chart_of(Series("a", [0, 1, 2, 3], [0, 1, 2, 3]), y_range=(0.5, 2))).lines
    assert [marker.title for marker in line.markers] == ["a: 1 at 1", "a: 2 at 2"]
    assert line.path.count("L") == 3


def test_long_lines_carry_few_markers_at_different_points():
    x = np.linspace(0, 1, 100)
    first, second = draw(chart_of(Series("a", x, x), Series("b", x, x))).lines
    # Every ninth of a hundred points, from the first and from the second.
    assert len(first.markers) == MAX_MARKERS == len(second.markers) + 1
    assert {marker.x for marker in first.markers}.isdisjoint(marker.x for marker in second.markers)


def test_lines_differ_without_their_colours():
    lines = draw(chart_of(*(Series(f"{i}", [0], [i]) for i in range(28)))).lines
    assert len({(line.dashes, line.shape) for line in lines}) == 28 == len(DASHES) * len(MARKERS)


@pytest.mark.parametrize(
    ("span", "step"), [(1, 0.2), (10, 2), (5, 1), (2.4, 0.5), (364, 100), (4.9e-4, 1e-4), (37, 10)]
)
def test_steps_are_round(span, step):
    assert nice_step(span) == pytest.approx(step)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.2, 0.2, "0.2"),
        (-0.30000000000000004, 0.1, f"{MINUS}0.3"),
        (-1e-17, 0.2, "0.0"),
        (1500, 500, "1,500"),
        (2.5e7, 5e6, "2.5e+07"),
        (2e-6, 1e-6, f"2e{MINUS}06"),
    ],
)
def test_tick_texts(value, step, text):
    assert tick_text(value, step) == text


@pytest.mark.parametrize(
    ("values", "low", "high", "step"),
    [
        ([0.03, 0.97], 0, 1, 0.2),
        ([50, 414], 0, 500, 100),
        ([0.2, 0.8], 0.2, 0.8, 0.1),
        ([3, 3], 2.7, 3.3, 0.1),
        ([0], -0.6, 0.6, 0.2),
        ([], 0, 1, 0.2),
        ([math.nan, -1, math.inf, 1], -1, 1, 0.5),
    ],
)
def test_axes_end_at_ticks_around_the_data(values, low, high, step):
    assert axis_range(np.array(values, float), None) == pytest.approx((low, high, step))


def test_a_given_range_is_kept():
    assert axis_range(np.array([5.0]), (0.03, 0.97)) == pytest.approx((0.03, 0.97, 0.2))
    ticks = Axis(0.03, 0.97, 0, 94).ticks(0.2)
    assert [tick.text for tick in ticks] == ["0.2", "0.4", "0.6", "0.8"]
    assert [tick.position for tick in ticks] == [17, 37, 57, 77]


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 7.0, 1e5, 1e12])
def test_ticks_cover_any_data_evenly(scale):
    rng = np.random.default_rng(int(scale))
    values = scale * rng.normal(size=20)
    low, high, step = axis_range(values, None)
    assert low <= values.min() + 1e-9 * scale
    assert high >= values.max() - 1e-9 * scale
    ticks = Axis(low, high, 0, 1000).ticks(step)
    assert 3 <= len(ticks) <= 11
    assert (ticks[0].position, ticks[-1].position) == (0, 1000)
    gaps = [b.position - a.position for a, b in itertools.pairwise(ticks)]
    np.testing.assert_allclose(gaps, gaps[0], atol=0.02)
    assert len({tick.text for tick in ticks}) == len(ticks)
