import numpy as np
import pytest
from scipy.integrate import trapezoid

from moa_jax.evaluation.degradation import DegradationCurve, area_difference
from moa_jax.schemas import InputError

LEVELS = np.array([0.0, 0.5, 1.0, 2.0])


def curve(scores, levels=LEVELS, chance=0.0):
    return DegradationCurve(np.asarray(levels, float), np.asarray(scores, float), chance)


def test_no_loss_is_one_and_a_straight_fall_to_nothing_a_half():
    assert curve([0.4, 0.4, 0.4, 0.4]).area == 1
    assert curve([0.4, 0.3, 0.2, 0.0]).area == pytest.approx(0.5)
    # 1 and 1/2 over a quarter, 1/2 and 1/2 over a quarter, 1/2 and 0 over a half.
    assert curve([0.4, 0.2, 0.2, 0.0]).area == pytest.approx(0.25 * 0.75 + 0.25 * 0.5 + 0.5 * 0.25)


def test_the_area_is_scipys_trapezoid_and_blind_to_both_scales():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1.0, size=(7, 4))
    area = curve(scores).area
    assert area.shape == (7,)
    np.testing.assert_allclose(area, trapezoid(scores, LEVELS) / (2 * scores[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(curve(3 * scores, 10 * LEVELS).area, area, rtol=1e-12)


def test_scores_are_measured_from_chance():
    assert curve([0.5, 0.3, 0.3, 0.1], chance=0.1).area == pytest.approx(
        curve([0.4, 0.2, 0.2, 0.0]).area
    )
    assert np.isnan(curve([0.1, 0.1, 0.1, 0.1], chance=0.1).area)
    assert np.isnan(curve([np.nan, 0.1, 0.1, 0.1]).area)


def test_the_loss_is_linear_between_levels():
    found = curve([0.4, 0.3, 0.2, 0.1])
    losses = [float(found.loss_at(level)) for level in (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(losses, [0, 0.125, 0.25, 0.5, 0.625, 0.75], atol=1e-12)
    with pytest.raises(InputError, match=r"no loss at the level 3\.0"):
        found.loss_at(3.0)


def test_methods_are_compared_relative_to_their_own_clean_score():
    good, steady = curve([0.8, 0.4, 0.4, 0.4]), curve([0.2, 0.2, 0.2, 0.2])
    assert area_difference(steady, good) == pytest.approx(1 - good.area)
    draws = curve(np.stack([good.scores, steady.scores]))
    difference = area_difference(draws, draws)
    np.testing.assert_array_equal(difference, [0, 0])
    with pytest.raises(InputError, match="expected the same"):
        area_difference(good, curve([1, 1], [0.0, 1.0]))


@pytest.mark.parametrize(
    "levels", [[0.5, 1.0, 1.5, 2.0], [0.0, 1.0, 1.0, 2.0], [0.0, 2.0, 1.0, 3.0]]
)
def test_levels_start_clean_and_rise(levels):
    with pytest.raises(InputError, match="expected 0, then higher ones in ascending order"):
        curve([1, 1, 1, 1], levels)
