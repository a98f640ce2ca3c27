import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from moa_jax.lincs.plates import robust_zscore
from moa_jax.schemas import InputError


@pytest.fixture
def plates():
    rng = np.random.default_rng(0)
    values = rng.normal(8, 2, (11, 4)).astype(np.float32)
    values[:, 3] = 7.0
    plate = ["b", "a", "b", "a", "a", "b", "a", "b", "b", "a", "a"]
    return values, plate


def test_population_scores_agree_with_scipy(plates):
    values, plate = plates
    scores = robust_zscore(values, plate=plate)
    for name in ("a", "b"):
        wells = np.array(plate) == name
        mad = median_abs_deviation(values[wells], axis=0)
        expected = (values[wells] - np.median(values[wells], axis=0)) / (
            1.4826 * np.maximum(mad, 0.1)
        )
        np.testing.assert_allclose(scores[wells], expected, rtol=1e-5, atol=1e-6)
    assert (scores[:, 3] == 0).all()


def test_a_small_deviation_is_raised():
    scores = robust_zscore(np.array([[0.0], [0.01], [0.02]]), plate=["a"] * 3)
    np.testing.assert_allclose(scores[:, 0], np.array([-0.01, 0, 0.01]) / 0.14826, rtol=1e-6)


def test_vehicle_scores_take_the_background_of_the_vehicle_wells():
    values = np.array([[1.0], [2.0], [3.0], [10.0]])
    control = np.array([True, True, True, False])
    scores = robust_zscore(values, plate=["a"] * 4, control=control)
    np.testing.assert_allclose(scores[:, 0], np.array([-1, 0, 1, 8]) / 1.4826, rtol=1e-6)


def test_the_order_of_wells_does_not_matter(plates):
    values, plate = plates
    order = np.random.default_rng(1).permutation(len(plate))
    shuffled = robust_zscore(values[order], plate=[plate[i] for i in order])
    np.testing.assert_array_equal(shuffled, robust_zscore(values, plate=plate)[order])


@pytest.mark.parametrize(
    ("plate", "control", "message"),
    [
        (["a", "a", "b", "b"], [True, True, True, False], "plate b has 1 vehicle wells"),
        (
            ["a", "a", "b", "b"],
            [True, True, False, False],
            "plate b has 0 vehicle wells; .* remove its wells from the table, or use all",
        ),
        (["a", "a", "a", "b"], None, "plate b has 1 wells"),
        (["a", "a", None, "a"], None, "profile 3 has no plate"),
        (["a", "a"], None, "4 profiles have 2 plate names"),
    ],
)
def test_a_plate_without_background_is_refused(plate, control, message):
    control = None if control is None else np.array(control)
    with pytest.raises(InputError, match=message):
        robust_zscore(np.ones((4, 2)), plate=plate, control=control)


def test_each_cell_line_of_a_plate_is_compared_with_its_own_wells(plates):
    values, _ = plates
    lines = ["A375"] * 6 + ["MCF7"] * 5
    for control in (None, np.arange(11) % 2 == 0):
        scores = robust_zscore(values, plate=["P"] * 11, cell_line=lines, control=control)
        apart = robust_zscore(values, plate=lines, control=control)
        np.testing.assert_array_equal(scores, apart)
    # A line that is not told is that of the plate, where it holds but one.
    whole = robust_zscore(values, plate=["P"] * 11)
    told = ["A375"] * 6 + [None] * 5
    np.testing.assert_array_equal(robust_zscore(values, plate=["P"] * 11, cell_line=told), whole)
    unknown = robust_zscore(values, plate=["P"] * 11, cell_line=[None] * 11)
    np.testing.assert_array_equal(unknown, whole)


def test_a_plate_that_names_its_line_keeps_a_well_that_tells_another():
    values = np.random.default_rng(2).normal(8, 1, (20, 3))
    lines = ["PC3"] * 18 + ["MCF7", None]
    named = robust_zscore(values, plate=["LJP5_PC3_24H_X1_B19"] * 20, cell_line=lines)
    np.testing.assert_array_equal(named, robust_zscore(values, plate=["P"] * 20))
    mixed = ["PC3"] * 10 + ["MCF7"] * 10
    apart = robust_zscore(values, plate=["LJP5_PC3_24H_X1_B19"] * 20, cell_line=mixed)
    np.testing.assert_array_equal(apart, robust_zscore(values, plate=mixed))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a", "a", "b", None],
            r"plate P has wells of several cell lines \(a, b\) and 1 of unknown line",
        ),
        (["a", "a", "a", "b"], "plate P and cell line b has 1 wells"),
    ],
)
def test_lines_that_cannot_be_compared_are_refused(lines, message):
    with pytest.raises(InputError, match=message):
        robust_zscore(np.ones((4, 2)), plate=["P"] * 4, cell_line=lines)
