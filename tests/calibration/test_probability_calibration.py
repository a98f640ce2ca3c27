import numpy as np
import pytest
import scipy.special
import sklearn.calibration
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from moa_jax.calibration import probability_calibration
from moa_jax.calibration.probability_calibration import (
    BetaCalibration,
    Temperature,
    expected_calibration_error,
    fit_beta_calibration,
    fit_temperature,
    log_terms,
    reliability_curve,
    top_answers,
    top_label_ece,
)
from moa_jax.evaluation.metrics import average_precision
from moa_jax.schemas import InputError

FITS = (fit_temperature, fit_beta_calibration)


def softmax_sample(seed, *, num_compounds=600, num_moas=5, scale=2.0):
    """Row-normalised probabilities and one MoA each, drawn from them."""
    rng = np.random.default_rng(seed)
    probs = scipy.special.softmax(scale * rng.normal(size=(num_compounds, num_moas)), axis=1)
    drawn = (rng.random((num_compounds, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    return probs, np.eye(num_moas)[drawn]


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found(factor):
    probs, labels = softmax_sample(0, num_compounds=20_000)
    overconfident = scipy.special.softmax(factor * np.log(probs), axis=1)
    found = fit_temperature(overconfident, labels)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    np.testing.assert_allclose(found(overconfident), probs, atol=0.02)
    assert top_label_ece(found(overconfident), labels) < 0.015
    # Any scale of the rows will do.
    half = fit_temperature(overconfident / 2, labels)
    np.testing.assert_allclose(half(overconfident / 2), found(overconfident), rtol=1e-9)


def test_temperature_is_scikit_learns():
    x, y = make_classification(900, 8, n_informative=6, n_classes=4, random_state=0)
    classifier = LogisticRegression(C=100).fit(x[:100], y[:100])
    reference = sklearn.calibration.CalibratedClassifierCV(
        FrozenEstimator(classifier), method="temperature"
    ).fit(x[100:500], y[100:500])
    found = fit_temperature(classifier.predict_proba(x[100:500]), np.eye(4)[y[100:500]])
    np.testing.assert_allclose(
        found(classifier.predict_proba(x[500:])), reference.predict_proba(x[500:]), atol=1e-3
    )


def test_compounds_with_two_moas_count_once():
    probs = np.array([[0.6, 0.3, 0.1], [0.8, 0.1, 0.1], [0.3, 0.4, 0.3]])
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    found = fit_temperature(probs, labels).temperature

    def loss(temperature):
        scaled = scipy.special.log_softmax(np.log(probs) / temperature, axis=1)
        return -((scaled[0, 0] + scaled[0, 1]) / 2 + scaled[1, 0] + scaled[2, 2])

    grid = np.geomspace(0.05, 40, 2000)
    assert loss(found) <= min(map(loss, grid)) + 1e-9


def test_beta_calibration_is_a_logistic_regression():
    probs, labels = softmax_sample(1)
    found = fit_beta_calibration(probs, labels)
    flat = probs.ravel()
    inputs = np.stack([np.log(flat), -np.log1p(-flat)], axis=1)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(inputs, labels.ravel())
    assert (found.a, found.b) == pytest.approx(tuple(reference.coef_[0]), abs=2e-3)
    np.testing.assert_allclose(
        found(probs).ravel(), reference.predict_proba(inputs)[:, 1], atol=1e-3
    )
    # What was drawn from the probabilities needs no map.
    assert (found.a, found.b, found.c) == pytest.approx((1, 1, 0), abs=0.25)


def test_a_known_beta_map_is_found():
    probs, labels = softmax_sample(2, num_compounds=20_000)
    planted = BetaCalibration(0.5, 2.0, -0.7)
    # The inverse of the planted map, by interpolation.
    grid = scipy.special.expit(np.linspace(-13.5, 13.5, 20_001))
    distorted = np.interp(probs, planted(grid[:, None]).ravel(), grid)
    found = fit_beta_calibration(distorted, labels)
    assert (found.a, found.b, found.c) == pytest.approx((0.5, 2.0, -0.7), abs=0.1)
    errors = [
        expected_calibration_error(pairs.ravel(), labels.ravel())
        for pairs in (found(distorted), distorted)
    ]
    assert errors[0] < 0.01 < errors[1]


def test_log_terms_by_hand():
    rise, fall = log_terms(np.array([0.7, 0.4, 0.0, 2.0]))
    np.testing.assert_allclose(rise[:2], np.log([0.7, 0.4]))
    np.testing.assert_allclose(fall[:2], -np.log([0.3, 0.6]))
    assert np.isfinite([rise, fall]).all()


def test_beta_calibration_never_turns_a_ranking():
    probs, labels = softmax_sample(3)
    found = fit_beta_calibration(1 - probs, labels)
    assert found.a >= 0
    assert found.b >= 0
    useful = fit_beta_calibration(probs, labels)
    np.testing.assert_allclose(
        average_precision(useful(probs), labels), average_precision(probs, labels)
    )


def test_beta_calibration_of_useless_scores_is_the_prevalence():
    labels = np.eye(4)[np.arange(40) % 4]
    found = fit_beta_calibration(np.full((40, 4), 0.9), labels)
    np.testing.assert_allclose(found(np.full((1, 4), 0.9)), 0.25, atol=1e-4)


@pytest.mark.parametrize("fit", FITS)
def test_zeros_ones_and_rows_of_zeros_are_handled(fit):
    probs = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]])
    for dtype in (np.float64, np.float32):
        calibrated = fit(probs.astype(dtype), labels)(probs.astype(dtype))
        assert np.isfinite(calibrated).all()
        assert ((calibrated >= 0) & (calibrated <= 1)).all()
        # A row of zeros becomes uniform.
        assert np.ptp(calibrated[1]) == 0
    assert Temperature(1.0, 1e-6)(probs)[1] == pytest.approx([1 / 3] * 3)


def test_zeros_of_votes_stand_below_half_a_vote():
    votes = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.2, 0.0, 0.8]])
    found = fit_temperature(votes, np.eye(3))
    assert found.floor == pytest.approx(0.05)
    raised = np.maximum(votes, 0.05) ** (1 / found.temperature)
    np.testing.assert_allclose(found(votes), raised / raised.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("fit", FITS)
def test_unlabelled_rows_change_nothing(fit):
    probs, labels = softmax_sample(4, num_compounds=50)
    expected = fit(probs, labels)
    padded_probs, padded_labels = np.full((60, 5), np.nan), np.zeros((60, 5))
    padded_probs[5:55], padded_labels[5:55] = probs, labels
    assert fit(padded_probs, padded_labels) == expected
    with pytest.raises(InputError, match="no labelled compound among 60"):
        fit(padded_probs, np.zeros((60, 5)))


def test_reliability_by_hand():
    confidence = np.array([0.05, 0.15, 0.5, 0.55, 1.0, 0.0])
    correct = np.array([True, False, True, False, True, False])
    curve = reliability_curve(confidence, correct, num_bins=2)
    assert curve.to_dict("list") == {
        "low": [0.0, 0.5],
        "high": [0.5, 1.0],
        "num_answers": [3, 3],
        "confidence": pytest.approx([0.2 / 3, 2.05 / 3]),
        "accuracy": pytest.approx([1 / 3, 2 / 3]),
    }
    expected = (abs(0.2 - 1) + abs(2.05 - 2)) / 6
    found = expected_calibration_error(confidence, correct, num_bins=2)
    assert found == pytest.approx(expected)
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, bool)))


@pytest.mark.parametrize("num_bins", [5, 15])
def test_reliability_is_scikit_learns(num_bins):
    rng = np.random.default_rng(5)
    confidence = rng.random(400) ** 2
    correct = rng.random(400) < confidence
    accuracy, stated = sklearn.calibration.calibration_curve(correct, confidence, n_bins=num_bins)
    curve = reliability_curve(confidence, correct, num_bins=num_bins)
    np.testing.assert_allclose(curve["accuracy"], accuracy)
    np.testing.assert_allclose(curve["confidence"], stated)


def test_calibration_error_of_answers():
    probs = np.array([[0.7, 0.3], [0.2, 0.6], [0.9, 0.1], [0.5, 0.5]])
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    confidence, correct = top_answers(probs, labels)
    # The last row has no label and no answer to judge.
    np.testing.assert_array_equal(confidence, [0.7, 0.6, 0.9])
    np.testing.assert_array_equal(correct, [True, False, True])
    # Each in a bin of its own.
    assert top_label_ece(probs, labels) == pytest.approx((0.3 + 0.6 + 0.1) / 3)
    assert probability_calibration.NUM_BINS == 15
