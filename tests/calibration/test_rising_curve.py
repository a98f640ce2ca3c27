"""Probabilities that rise with a score."""

import numpy as np
import pytest
from scipy import special

from moa_jax.calibration.rising_curve import KNOTS, RisingCurve, fit_rising_curve


def test_between_knots_log_odds_are_a_line_over_the_logarithm():
    curve = RisingCurve(tuple(np.arange(len(KNOTS), dtype=float)))
    place = int(np.flatnonzero(KNOTS == -1.0)[0])
    np.testing.assert_allclose(curve(np.array([0.1])), special.expit(place))
    between = 10 ** ((KNOTS[place] + KNOTS[place + 1]) / 2)
    np.testing.assert_allclose(curve(np.array([between])), special.expit(place + 0.5))
    # Smaller scores count as the first knot.
    np.testing.assert_allclose(curve(np.array([0.0, 1e-9])), special.expit(0.0))
    np.testing.assert_allclose(curve.shifted(2.0)(np.array([1.0])), special.expit(len(KNOTS) + 1))


@pytest.mark.parametrize("seed", [0, 1])
def test_known_probabilities_are_found_again(seed):
    rng = np.random.default_rng(seed)
    scores = 10 ** rng.uniform(-4, 0, 400_000)
    true = special.expit(1.5 * np.log10(scores) + 0.5)
    curve = fit_rising_curve(scores, rng.random(len(scores)) < true)
    np.testing.assert_allclose(curve(scores), true, atol=0.02)
    assert (np.diff(curve.log_odds) >= 0).all()


def test_many_improbable_pairs_do_not_decide_about_probable_ones():
    rng = np.random.default_rng(0)
    low, high = 10 ** rng.uniform(-6, -4, 1_000_000), 10 ** rng.uniform(-0.3, 0, 400)
    scores = np.concatenate([low, high])
    right = np.concatenate([rng.random(len(low)) < 1e-4, rng.random(len(high)) < 0.7])
    curve = fit_rising_curve(scores, right)
    assert curve(high).mean() == pytest.approx(0.7, abs=0.05)
    assert curve(low).sum() == pytest.approx(right[: len(low)].sum(), rel=0.05)


def test_a_falling_share_is_no_falling_curve():
    scores = np.repeat([1e-3, 0.5], 100)
    right = np.concatenate([np.arange(100) < 60, np.arange(100) < 20])
    curve = fit_rising_curve(scores, right)
    np.testing.assert_allclose(curve(np.array([1e-3, 0.5])), 0.4, atol=0.01)
