"""Confidence corrected by the number of training compounds of the answer."""

import numpy as np

from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.calibration.support import STRATA, SupportShifts, fit_support_shifts, stratum_of

NUM_COMPOUNDS = np.array([0, 2, 5, 40])


def test_strata_are_none_one_or_two_three_to_nine_and_more():
    counts = np.array([0, 1, 2, 3, 9, 10, 500])
    assert stratum_of(counts).tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_log_odds_are_shifted_and_their_order_stays():
    support = SupportShifts(NUM_COMPOUNDS, np.array([0.0, np.log(1 / 3), 0.0, np.log(2)]))
    np.testing.assert_allclose(
        support(np.array([0.5, 0.5, 0.5]), np.array([1, 2, 3])), [0.25, 0.5, 2 / 3]
    )
    many = support(np.linspace(0, 1, 50), np.full(50, 1))
    assert (np.diff(many) > 0).all() or (np.diff(many[1:-1]) > 0).all()


def test_many_answers_decide_and_few_change_little():
    # Stated .5; of answers with two training compounds a quarter is right, of the others half.
    answer = np.repeat([1, 3], 4000)
    correct = np.concatenate([np.arange(4000) % 4 == 0, np.arange(4000) % 2 == 0])
    # One compound with a right answer stands behind it itself, so one more is needed.
    found = fit_support_shifts(np.full(8000, 0.5), correct, answer, np.array([0, 2, 5, 40]))
    shifted = found(np.array([0.5, 0.5]), np.array([1, 3]))
    np.testing.assert_allclose(shifted, [0.25, 0.5], atol=0.005)
    few = fit_support_shifts(np.full(2, 0.5), np.zeros(2, bool), np.array([1, 1]), NUM_COMPOUNDS)
    assert -0.3 < few.shifts[1] < 0
    assert len(found.shifts) == len(STRATA)
    assert few.shifts[3] == 0


def test_a_right_answer_does_not_count_its_own_compound():
    # Three compounds have the mechanism: the right one was answered by a model of the two others.
    found = fit_support_shifts(
        np.full(2, 0.5), np.array([True, False]), np.array([0, 0]), np.array([3])
    )
    assert found.shifts[1] > 0
    assert found.shifts[2] < 0


def test_a_calibrator_corrects_the_answers_of_rare_mechanisms():
    rng = np.random.default_rng(0)
    count, num_moas = 3000, 4
    answer = rng.integers(0, num_moas, count)
    probs = np.full((count, num_moas), 0.1)
    probs[np.arange(count), answer] = rng.uniform(0.4, 0.9, count)
    # The last mechanism is answered wrongly more often.
    right = rng.random(count) < np.where(answer == 3, 0.3, 0.7)
    true = np.where(right, answer, (answer + 1) % num_moas)
    labels = np.eye(num_moas)[true]
    counts = np.array([50, 60, 70, 2])
    calibrated = fit_calibrator(probs, labels, num_compounds=counts).calibrate(probs)
    for moas, share in (([0, 1, 2], 0.7), ([3], 0.3)):
        own = np.isin(answer, moas)
        np.testing.assert_allclose(calibrated.confidence[own].mean(), share, atol=0.03)
    # The first of four cannot have less than a quarter.
    expected = np.maximum(calibrated.confidence, 1 / num_moas)
    np.testing.assert_allclose(calibrated.probs.max(axis=1), expected, atol=1e-3)
