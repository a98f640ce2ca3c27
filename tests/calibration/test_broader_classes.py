"""A broader class where the mechanism itself is not sure."""

import numpy as np

from moa_jax.calibration.broader_classes import BroaderClasses, fit_broader_classes
from moa_jax.calibration.confidence_signals import Confidence
from moa_jax.calibration.probability_calibration import log_terms
from moa_jax.knowledge.mechanism_hierarchy import MechanismClasses

# Two narrow classes and one of three mechanisms; the last mechanism is in none.
CLASSES = MechanismClasses(
    ("ab", "bc", "abc"),
    np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]], bool),
)


class Uncalibrated(Confidence):
    """The sums themselves as probabilities."""

    def __call__(self, signals):
        return np.exp(signals["log probability"])


def test_the_narrowest_class_of_the_first_mechanism_that_is_sure():
    probs = np.array(
        [
            [0.5, 0.35, 0.1, 0.05],  # ab has .85.
            [0.4, 0.2, 0.3, 0.1],  # Only abc has .8 or more.
            [0.1, 0.45, 0.4, 0.05],  # bc has .85.
            [0.85, 0.1, 0.0, 0.05],  # Sure without a class.
            [0.4, 0.1, 0.1, 0.4],  # No class is sure.
            [0.05, 0.0, 0.0, 0.5],  # The first mechanism has no class.
            [0.02, 0.78, 0.1, 0.1],  # Both narrow classes; bc is more probable.
        ]
    )
    answers = BroaderClasses(CLASSES, Uncalibrated((), None, 0.0))(probs)
    assert answers.place.tolist() == [0, 2, 1, -1, -1, -1, 1]
    assert answers.is_stated.tolist() == [True, True, True, False, False, False, True]
    expected = [0.85, 0.9, 0.85, np.nan, np.nan, np.nan, 0.88]
    np.testing.assert_allclose(answers.probability, expected)


def test_the_sum_is_calibrated_on_answers_whose_mechanism_is_not_sure():
    # The sum of ab and abc is .6; of the compounds three quarters have b.
    unsure, sure = np.tile([0.4, 0.2, 0.0, 0.4], (4000, 1)), np.tile([0.9, 0.1, 0, 0], (4000, 1))
    place = np.where(np.arange(4000) % 4 == 0, 3, 1)
    labels = np.concatenate([np.eye(4)[place], np.eye(4)[np.full(4000, 3)]])
    fitted = fit_broader_classes(np.concatenate([unsure, sure]), labels, CLASSES)
    probability, certainty = log_terms(np.array([0.6]))
    signals = {"log probability": probability, "log certainty": certainty}
    np.testing.assert_allclose(fitted.calibration(signals), 0.75, atol=0.001)
    assert not fitted(unsure[:1]).is_stated.any()


def test_a_mechanism_that_was_not_trained_on_counts_for_its_class():
    probs = np.tile([0.4, 0.0, 0.3, 0.3], (100, 1))
    # The right mechanism has no probability at all, and its class is always right.
    fitted = fit_broader_classes(probs, np.eye(4)[np.full(100, 1)], CLASSES)
    answers = fitted(probs[:1])
    assert (answers.place[0], answers.probability[0]) == (0, 1.0)


def test_without_classes_nothing_is_stated():
    none = MechanismClasses((), np.zeros((0, 4), bool))
    probs = np.array([[0.5, 0.3, 0.1, 0.1]])
    for fitted in (
        fit_broader_classes(probs, np.eye(4)[[0]], none),
        fit_broader_classes(np.array([[0.9, 0.1, 0, 0]]), np.eye(4)[[0]], CLASSES),
    ):
        assert fitted.calibration is None
        assert fitted(probs).place.tolist() == [-1]
        assert np.isnan(fitted(probs).probability).all()
