"""Thresholds from validation answers: closed forms, and what they promise."""

import math

import numpy as np
import pytest

from moa_jax.calibration.calibrator import (
    AnswerConfidence,
    confidence_threshold,
    fit_answer_confidence,
    fit_calibrator,
    with_first,
)
from moa_jax.calibration.conformal_sets import calibrate_label_sets
from moa_jax.calibration.probability_calibration import log_terms
from moa_jax.schemas import InputError


def made_up(num_compounds=60, num_moas=4, seed=0):
    """Answers that are right more often the more confident they are."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(num_moas, size=num_compounds)
    logits = rng.normal(size=(num_compounds, num_moas))
    logits[np.arange(num_compounds), truth] += rng.uniform(0, 4, num_compounds)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probs, np.eye(num_moas)[truth]


@pytest.mark.parametrize(
    ("correct", "expected"),
    [
        # All but the last would do, but an answer must be more likely right than wrong.
        ([True, True, True, True, False], 0.6),
        ([True, True, False, False, False], 0.8),
        ([False, True, True, True, True], math.inf),
        ([False, False, True, True, True], math.inf),
    ],
)
def test_the_lowest_threshold_with_enough_right_answers(correct, expected):
    confidence = np.array([0.9, 0.8, 0.6, 0.3, 0.1])
    assert confidence_threshold(confidence, np.array(correct)) == expected


def test_answers_of_equal_confidence_stand_or_fall_together():
    confidence = np.array([0.9, 0.5, 0.5])
    assert confidence_threshold(confidence, np.array([True, True, False])) == 0.9
    many = np.repeat([0.9, 0.5], [7, 3])
    assert confidence_threshold(many, np.arange(10) < 8) == 0.5


def test_what_is_promised_holds_on_validation():
    probs, labels = made_up()
    calibrator = fit_calibrator(probs, labels)
    calibrated = calibrator.calibrate(probs)
    right = probs.argmax(axis=1) == labels.argmax(axis=1)
    assert calibrator.num_compounds == 60
    assert calibrator.coverage == calibrated.is_answered.mean()
    assert calibrator.accuracy == right[calibrated.is_answered].mean() >= 0.8
    assert right[~calibrated.is_answered].mean() < calibrator.accuracy
    # A set misses a true MoA in a tenth of the compounds that it was calibrated on, at most.
    assert (calibrated.in_set & (labels > 0)).any(axis=1).mean() >= 0.9
    # Of four mechanisms the first has a quarter at least.
    first = np.maximum(calibrated.confidence, 0.25)
    np.testing.assert_allclose(calibrated.probs.max(axis=1), first, atol=1e-6)
    np.testing.assert_array_equal(np.argsort(calibrated.probs), np.argsort(probs))
    np.testing.assert_allclose(
        calibrated.p_values, calibrate_label_sets(probs, labels).p_values(probs)
    )


def test_confidence_ranks_as_the_probabilities_do_and_means_what_it_says():
    calibrator = fit_calibrator(*made_up(2000, seed=1))
    probs, labels = made_up(2000, seed=2)
    calibrated = calibrator.calibrate(probs)
    order = np.argsort(calibrator.temperature(probs).max(axis=1))
    assert (np.diff(calibrated.confidence[order]) >= 0).all()
    assert 0 < calibrated.confidence.min() < calibrated.confidence.max() < 1
    right = probs.argmax(axis=1) == labels.argmax(axis=1)
    for rows in np.array_split(order, 5):
        # Four standard errors of a share of 400.
        assert calibrated.confidence[rows].mean() == pytest.approx(right[rows].mean(), abs=0.1)


def test_unlabelled_compounds_are_left_out():
    probs, labels = made_up()
    more = np.concatenate([probs, probs[:5]]), np.concatenate([labels, 0 * labels[:5]])
    with_unlabelled = fit_calibrator(*more)
    calibrator = fit_calibrator(probs, labels)
    assert (with_unlabelled.threshold, with_unlabelled.num_compounds) == (calibrator.threshold, 60)
    with pytest.raises(InputError, match="no labelled compound"):
        fit_calibrator(probs, 0 * labels)


def with_unlearnable(num_compounds=400, share=0.25, seed=3):
    """Compounds of which some have a mechanism that is no column: nothing lifts their answers."""
    probs, labels = made_up(num_compounds, seed=seed)
    rng = np.random.default_rng(seed)
    is_learnable = rng.random(num_compounds) >= share
    flat = np.exp(rng.normal(size=probs.shape))
    probs = np.where(is_learnable[:, None], probs, flat / flat.sum(axis=1, keepdims=True))
    labels[~is_learnable] = 0
    return probs, labels, is_learnable


def test_none_of_these_is_as_likely_as_it_says():
    calibrator = fit_calibrator(*with_unlearnable(4000, seed=4))
    probs, labels, is_learnable = with_unlearnable(4000, seed=5)
    calibrated = calibrator.calibrate(probs)
    np.testing.assert_allclose(calibrated.probs.sum(axis=1) + calibrated.none_of_these, 1.0)
    assert (calibrated.confidence <= 1 - calibrated.none_of_these + 1e-12).all()
    order = np.argsort(calibrated.none_of_these)
    for rows in np.array_split(order, 4):
        # Four standard errors of a share of 1,000.
        assert calibrated.none_of_these[rows].mean() == pytest.approx(
            1 - is_learnable[rows].mean(), abs=0.065
        )
    right = is_learnable & (probs.argmax(axis=1) == labels.argmax(axis=1))
    for rows in np.array_split(np.argsort(calibrated.confidence), 4):
        assert calibrated.confidence[rows].mean() == pytest.approx(right[rows].mean(), abs=0.065)
    # Both promises of the sets are kept: that of the MoAs and that of none of them.
    assert calibrated.in_set[labels > 0].mean() == pytest.approx(0.9, abs=0.03)
    assert calibrated.none_in_set[~is_learnable].mean() == pytest.approx(0.9, abs=0.05)


def test_compounds_of_which_nothing_was_learned_count_as_wrong():
    probs, labels, is_learnable = with_unlearnable()
    calibrator = fit_calibrator(probs, labels, is_learnable)
    assert (calibrator.num_compounds, calibrator.num_unlearnable) == (
        400,
        int((~is_learnable).sum()),
    )
    calibrated = calibrator.calibrate(probs)
    right = is_learnable & (probs.argmax(axis=1) == labels.argmax(axis=1))
    assert calibrator.accuracy == right[calibrated.is_answered].mean()
    # A label that nothing was learned of is no right answer either.
    named = np.where(is_learnable[:, None], labels, np.eye(4)[probs.argmax(axis=1)])
    assert fit_calibrator(probs, named, is_learnable).threshold == calibrator.threshold


def test_without_such_compounds_none_is_ruled_out():
    calibrated = fit_calibrator(*made_up()).calibrate(made_up(seed=9)[0])
    assert not calibrated.none_of_these.any()
    assert not calibrated.none_in_set.any()


def test_many_compounds_correct_the_shape_of_the_confidence():
    """Answers are right in .2 below a probability of .6 and in .7 above: no beta curve."""
    rng = np.random.default_rng(6)
    first = rng.uniform(0.34, 0.99, 6000)
    right = rng.random(6000) < np.where(first < 0.6, 0.2, 0.7)
    signals = dict(zip(("log probability", "log certainty"), log_terms(first), strict=True))
    confidence = fit_answer_confidence(signals, right)
    stated = confidence(signals)
    assert stated[first < 0.55].mean() == pytest.approx(0.2, abs=0.03)
    assert stated[first > 0.65].mean() == pytest.approx(0.7, abs=0.03)
    assert np.abs(confidence.beta(signals) - stated).max() > 0.1
    assert (np.diff(stated[np.argsort(confidence.beta(signals))]) >= 0).all()
    few = {name: values[:999] for name, values in signals.items()}
    assert fit_answer_confidence(few, right[:999]).steps is None


def test_the_first_probability_is_the_confidence_and_the_order_stays():
    probs = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.4, 0.4, 0.2]])
    found = with_first(probs, np.array([0.9, 0.1, 0.45]))
    assert found[0, 0] == pytest.approx(0.9)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    # One power for all: log ratios keep their proportion.
    ratios = np.log(found[0, 0] / found[0, 1:]) / np.log(probs[0, 0] / probs[0, 1:])
    assert ratios[0] == pytest.approx(ratios[1])
    # Nothing is flatter than flat.
    np.testing.assert_allclose(found[1], 1 / 3, atol=1e-6)
    assert found[2, 0] == found[2, 1] == pytest.approx(0.45)


def test_steps_are_joined_by_lines():
    beta = fit_answer_confidence(
        {"log probability": np.log([0.2, 0.8]), "log certainty": np.log([0.2, 0.8])},
        np.array([False, True]),
    ).beta
    joined = AnswerConfidence(beta, (np.array([0.0, 1.0]), np.array([0.1, 0.5])))
    signals = {"log probability": np.log([0.5]), "log certainty": np.log([0.5])}
    assert joined(signals)[0] == pytest.approx(0.1 + 0.4 * beta(signals)[0])
