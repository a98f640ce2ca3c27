"""A broader class of mechanisms for compounds whose mechanism itself is not sure.

The sum of the calibrated probabilities of a class is too low: where the first mechanism is wrong,
the right one is often of the same class. Beta calibration (Kull 2017) of the sums on out-of-fold
answers corrects this.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.calibration.confidence_signals import Confidence, Signal, fit_confidence
from moa_jax.calibration.probability_calibration import log_terms
from moa_jax.evaluation.metrics import Labels, Probs
from moa_jax.knowledge.mechanism_hierarchy import MechanismClasses

# Least probability of a class that is stated, and of a mechanism that needs no broader class.
MIN_BROADER_PROBABILITY = 0.8


@dataclasses.dataclass(frozen=True)
class BroaderAnswers:
    """The class that is stated for each compound.

    Attributes:
      place: place of the class among the classes; -1 where none is stated.
      probability: that the compound has a mechanism of the class; NaN where none is stated.
    """

    place: Int[np.ndarray, " compound"]
    probability: Signal

    @property
    def is_stated(self) -> Bool[np.ndarray, " compound"]:
        """Whether a class is stated."""
        return self.place >= 0


@dataclasses.dataclass(frozen=True)
class BroaderClasses:
    """The classes of a vocabulary, with the calibration of their probabilities.

    Attributes:
      classes: of the mechanisms of the vocabulary.
      calibration: from the logarithms of a sum of probabilities and of its complement; None where
        there was no class to fit it to, so that none is stated.
    """

    classes: MechanismClasses
    calibration: Confidence | None

    def __call__(self, probs: Probs) -> BroaderAnswers:
        """The narrowest class of each compound's first mechanism that is sure enough.

        The narrowest class is the one with the fewest mechanisms, of several the more probable one.

        Args:
          probs: calibrated probabilities of the mechanisms (`CalibratedAnswers.probs`).
        """
        sums, is_open = _open_classes(probs, self.classes)
        probability = np.zeros(sums.shape)
        if self.calibration is not None and is_open.any():
            probability[is_open] = self.calibration(_signals(sums[is_open]))
        is_sure = is_open & (probability >= MIN_BROADER_PROBABILITY)
        stated = np.flatnonzero(is_sure.any(axis=1))
        place, of_stated = np.full(len(probs), -1), np.full(len(probs), np.nan)
        if not len(stated):
            return BroaderAnswers(place, of_stated)
        # Numbers of mechanisms are whole, and halved probabilities below 1.
        order = self.classes.members.sum(axis=1) - probability / 2
        place[stated] = np.where(is_sure, order, np.inf)[stated].argmin(axis=1)
        of_stated[stated] = probability[stated, place[stated]]
        return BroaderAnswers(place, of_stated)


def fit_broader_classes(probs: Probs, labels: Labels, classes: MechanismClasses) -> BroaderClasses:
    """Fits the probabilities of classes to out-of-fold answers.

    Args:
      probs: calibrated probabilities of the mechanisms.
      labels: the compounds' labels; a mechanism that was not trained on counts for its classes.
      classes: of the mechanisms.
    """
    sums, is_open = _open_classes(probs, classes)
    if not is_open.any():
        return BroaderClasses(classes, None)
    is_right = (labels > 0).astype(np.float32) @ classes.members.T > 0
    return BroaderClasses(classes, fit_confidence(_signals(sums[is_open]), is_right[is_open]))


def _open_classes(
    probs: Probs, classes: MechanismClasses
) -> tuple[Float[np.ndarray, "compound class"], Bool[np.ndarray, "compound class"]]:
    """Sums over each class, and the classes of a first mechanism that is not sure itself."""
    first = probs.argmax(axis=1)
    is_unsure = probs.max(axis=1) < MIN_BROADER_PROBABILITY
    sums = probs @ classes.members.T.astype(probs.dtype)
    return sums, classes.members[:, first].T & is_unsure[:, None]


def _signals(sums: Float[np.ndarray, " pair"]) -> dict[str, Signal]:
    probability, certainty = log_terms(sums)
    return {"log probability": probability, "log certainty": certainty}
