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
        (["a", "a", "b", "b"], [True, True, False, False], "plate b has 0 vehicle wells"),
        (["a", "a", "a", "b"], None, "plate b has 1 wells"),
        (["a", "a", None, "a"], None, "profile 3 has no plate"),
        (["a", "a"], None, "4 profiles have 2 plate names"),
    ],
)
def test_a_plate_without_background_is_refused(plate, control, message):
    control = None if control is None else np.array(control)
    with pytest.raises(InputError, match=message):
        robust_zscore(np.ones((4, 2)), plate=plate, control=control)
