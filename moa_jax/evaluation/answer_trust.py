"""How far a run's answers can be trusted: thresholds from its own validation compounds.

Everything here is fitted to answers for compounds by models that had never seen them (see
`training.kept_answers`). The run's own model learned from those compounds, too, so it is a
little better than what is said here of it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.evaluation.abstention import (
    Confidence,
    Signal,
    fit_confidence,
    max_probability,
)
from moa_jax.evaluation.calibration import Temperature, fit_temperature, log_terms
from moa_jax.evaluation.conformal import LabelSets, calibrate_label_sets
from moa_jax.evaluation.metrics import Labels, Probs, top_k_hits
from moa_jax.schemas import InputError

# Stands where there is no answer.
CANNOT_TELL = "cannot tell"
# Share of compounds one of whose MoAs a label set may miss.
ERROR_RATE = 0.1
# Answers are given down to the confidence at which this share of validation answers was right.
LEAST_ACCURACY = 0.8
# Whatever validation says, no answer is given that is more likely wrong than right.
LEAST_CONFIDENCE = 0.5


@dataclasses.dataclass(frozen=True)
class Judged:
    """Answers for compounds, and how far to trust them.

    Attributes:
      probs: calibrated probabilities; rows sum to one.
      confidence: that the first MoA is right.
      is_answered: confident enough; otherwise the answer is "cannot tell".
      p_values: conformal p-value of each MoA.
      in_set: the MoAs that cannot be ruled out at `ERROR_RATE`.
    """

    probs: Float[np.ndarray, "compound moa"]
    confidence: Float[np.ndarray, " compound"]
    is_answered: Bool[np.ndarray, " compound"]
    p_values: Float[np.ndarray, "compound moa"]
    in_set: Bool[np.ndarray, "compound moa"]


@dataclasses.dataclass(frozen=True)
class Trust:
    """What validation says of answers in one view of a model.

    Attributes:
      temperature: makes probabilities mean what they say.
      confidence: that the first MoA is right.
      threshold: least confidence with which an answer is given; infinite where no threshold
        reached `LEAST_ACCURACY` on validation.
      label_sets: conformal sets.
      num_compounds: validation compounds that all this rests on.
      coverage: share of them that would have been answered.
      accuracy: share of right ones among those; NaN without any.
    """

    temperature: Temperature
    confidence: Confidence
    threshold: float
    label_sets: LabelSets
    num_compounds: int
    coverage: float
    accuracy: float

    def judge(self, probs: Probs) -> Judged:
        """Judges answers for compounds: pooled probabilities, as the model gave them."""
        calibrated = self.temperature(probs)
        confidence = self.confidence(_signals(calibrated))
        p_values = self.label_sets.p_values(probs)
        return Judged(
            probs=calibrated,
            confidence=confidence,
            is_answered=confidence >= self.threshold,
            p_values=p_values,
            in_set=p_values > ERROR_RATE,
        )


def fit_trust(probs: Probs, labels: Labels) -> Trust:
    """Fits everything to validation compounds.

    Confidence is beta calibration (Kull 2017): logistic regression on the logs of the first
    answer's probability and of what it leaves. With positive weights it ranks as they do.

    Args:
      probs: pooled probabilities of a model that never saw the compounds.
      labels: their labels; compounds without any are left out.

    Raises:
      InputError: no compound is labelled.
    """
    labelled = (labels > 0).any(axis=1)
    if not labelled.any():
        raise InputError("there is no labelled validation compound to judge answers by.")
    probs, labels = probs[labelled], labels[labelled]
    temperature = fit_temperature(probs, labels)
    correct = top_k_hits(probs, labels, 1) > 0
    signals = _signals(temperature(probs))
    confidence = fit_confidence(signals, correct)
    stated = confidence(signals)
    threshold = least_confidence(stated, correct)
    answered = stated >= threshold
    return Trust(
        temperature=temperature,
        confidence=confidence,
        threshold=threshold,
        label_sets=calibrate_label_sets(probs, labels),
        num_compounds=len(probs),
        coverage=float(answered.mean()),
        accuracy=float(correct[answered].mean()) if answered.any() else math.nan,
    )


def least_confidence(
    confidence: Signal,
    correct: Bool[np.ndarray, " compound"],
    *,
    least_accuracy: float = LEAST_ACCURACY,
) -> float:
    """The lowest threshold at which enough of the answers given are right; infinite without one.

    It is never below `LEAST_CONFIDENCE`.

    Args:
      confidence: of each answer.
      correct: whether it was right.
      least_accuracy: share of right answers.
    """
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A threshold admits all answers of equal confidence.
    is_last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(
        (share >= least_accuracy) & is_last & (confidence[order] >= LEAST_CONFIDENCE)
    )
    return float(confidence[order][enough[-1]]) if len(enough) else math.inf


def _signals(probs: Probs) -> dict[str, Signal]:
    probability, certainty = log_terms(max_probability(probs))
    return {"log probability": probability, "log certainty": certainty}
