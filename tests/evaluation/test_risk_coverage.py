import numpy as np
import pytest
import sklearn.metrics

from moa_jax.evaluation.risk_coverage import (
    accuracy_at_coverage,
    aurc,
    rejection_auroc,
    risk_coverage_curve,
)


def draw(seed, count=40, *, levels=None):
    rng = np.random.default_rng(seed)
    confidence = rng.random(count)
    correct = rng.random(count) < confidence
    return (confidence if levels is None else np.floor(confidence * levels)), correct


def test_curve_by_hand():
    coverage, risk = risk_coverage_curve(
        np.array([0.2, 0.9, 0.5, 0.7]), np.array([False, True, True, False])
    )
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 2 / 4])
    confidence, correct = np.array([0.9, 0.7, 0.5, 0.2]), np.array([True, False, True, False])
    assert aurc(confidence, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert accuracy_at_coverage(confidence, correct, 0.5) == pytest.approx(1 / 2)
    assert accuracy_at_coverage(confidence, correct, 0.1) == 1
    assert accuracy_at_coverage(confidence, correct, 1.0) == pytest.approx(1 / 2)


@pytest.mark.parametrize("levels", [None, 1, 4])
def test_ties_are_broken_at_random_on_average(levels):
    confidence, correct = draw(0, levels=levels)
    _, found = risk_coverage_curve(confidence, correct)
    rng = np.random.default_rng(1)
    repeats = np.zeros((4000, len(correct)))
    for repeat in repeats:
        order = np.lexsort((rng.random(len(correct)), -confidence))
        repeat[:] = np.cumsum(~correct[order]) / np.arange(1, len(correct) + 1)
    np.testing.assert_allclose(found, repeats.mean(axis=0), atol=0.03)


@pytest.mark.parametrize("levels", [None, 3])
def test_order_of_rows_does_not_matter(levels):
    confidence, correct = draw(2, levels=levels)
    order = np.random.default_rng(0).permutation(len(correct))
    assert aurc(confidence[order], correct[order]) == pytest.approx(aurc(confidence, correct))


def test_a_constant_confidence_gains_nothing():
    _, correct = draw(3)
    _, risk = risk_coverage_curve(np.full(40, 0.5), correct)
    np.testing.assert_allclose(risk, 1 - correct.mean())
    # For many answers the best area tends to r + (1 - r) ln(1 - r) (Geifman 2019, eq. 3).
    many = np.arange(100_000) % 4 > 0
    expected = 0.25 + 0.75 * np.log(0.75)
    assert aurc(many.astype(float), many) == pytest.approx(expected, abs=1e-4)


def test_coverage_is_not_rounded_past_its_share():
    correct = np.arange(30) < 3
    assert accuracy_at_coverage(-np.arange(30.0), correct, 0.1) == 1
    assert accuracy_at_coverage(-np.arange(30.0), correct, 0.11) == pytest.approx(3 / 4)


def test_no_answers_are_nan():
    nothing = np.zeros(0), np.zeros(0, bool)
    assert np.isnan(aurc(*nothing))
    assert np.isnan(accuracy_at_coverage(*nothing, 0.5))


def test_rejection_is_scikit_learns_auroc():
    rng = np.random.default_rng(4)
    unseen = rng.random(60) < 0.3
    confidence = np.round(rng.normal(size=60) - unseen, 1)
    expected = sklearn.metrics.roc_auc_score(unseen, -confidence)
    assert rejection_auroc(confidence, unseen) == pytest.approx(expected)
    assert expected > 0.6
    assert np.isnan(rejection_auroc(confidence, np.zeros(60, bool)))
