"""Calibration of a run's predictions on its out-of-fold answers.

These (see `calibration.calibration_store`) include answers for compounds whose mechanisms were not
trained on, for which only "none of these" is right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special
from sklearn.isotonic import IsotonicRegression

from moa_jax.calibration.confidence_signals import (
    Confidence,
    Signal,
    fit_confidence,
    max_probability,
)
from moa_jax.calibration.conformal_sets import LabelSets, calibrate_label_sets
from moa_jax.calibration.probability_calibration import Temperature, fit_temperature, log_terms
from moa_jax.calibration.support import SupportShifts, fit_support_shifts
from moa_jax.evaluation.metrics import Labels, Probs, top_k_hits
from moa_jax.schemas import InputError

# The answer in case of abstention.
CANNOT_TELL = "cannot tell"
# The answer if the compound's mechanism is probably not among those that were trained on.
NONE_OF_THESE = "none of these"
# Share of compounds for which a label set may miss a true MoA.
ERROR_RATE = 0.1
# Accuracy on held-out compounds that the threshold of the confidence guarantees.
MIN_ACCURACY = 0.8
# With fewer compounds isotonic regression overfits (Niculescu-Mizil and Caruana 2005, section 4).
MIN_COMPOUNDS_FOR_ISOTONIC = 1000
# The bisection of `with_first`: the largest power and the number of steps.
_MAX_POWER, _HALVINGS = 50.0, 40
# The least threshold: no answer may be more likely wrong than right.
MIN_CONFIDENCE = 0.5


@dataclasses.dataclass(frozen=True)
class CalibratedAnswers:
    """Calibrated predictions for compounds.

    Attributes:
      probs: calibrated probabilities of the MoAs: the highest is the confidence, and with
        `none_of_these` rows sum to one.
      none_of_these: probability that the compound's mechanism was not trained on.
      confidence: probability that the most probable MoA is right.
      is_answered: whether the confidence reaches the threshold; else the answer is "cannot tell".
      p_values: conformal p-value of each MoA.
      in_set: the MoAs that cannot be ruled out at `ERROR_RATE`.
      none_in_set: whether "none of these" cannot be ruled out either.
    """

    probs: Float[np.ndarray, "compound moa"]
    none_of_these: Float[np.ndarray, " compound"]
    confidence: Float[np.ndarray, " compound"]
    is_answered: Bool[np.ndarray, " compound"]
    p_values: Float[np.ndarray, "compound moa"]
    in_set: Bool[np.ndarray, "compound moa"]
    none_in_set: Bool[np.ndarray, " compound"]


@dataclasses.dataclass(frozen=True)
class AnswerConfidence:
    """Probability that the most probable MoA is right.

    Attributes:
      beta: beta calibration of its probability (Kull 2017).
      steps: beta-calibrated confidence and observed accuracy, both rising: centred isotonic
        regression (Oron and Flournoy 2017), which interpolates between steps. None if there are
        too few compounds.
    """

    beta: Confidence
    steps: tuple[Signal, Signal] | None

    def __call__(self, signals: Mapping[str, Signal]) -> Signal:
        """Confidence of compounds, in [0, 1]."""
        confidence = self.beta(signals)
        return confidence if self.steps is None else np.interp(confidence, *self.steps)


def fit_answer_confidence(
    signals: Mapping[str, Signal], correct: Bool[np.ndarray, " compound"]
) -> AnswerConfidence:
    """Fits the confidence to held-out compounds.

    Args:
      signals: `log probability` and `log certainty` of the most probable MoA.
      correct: whether it is right.
    """
    beta = fit_confidence(signals, correct)
    if len(correct) < MIN_COMPOUNDS_FOR_ISOTONIC or beta.model is None:
        return AnswerConfidence(beta, None)
    confidence = beta(signals)
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0)
    _, step = np.unique(
        isotonic.fit_transform(confidence, correct.astype(float)), return_inverse=True
    )
    count = np.bincount(step)
    # Laplace's rule of succession, so that a step of few answers is neither 0 nor 1.
    accuracy = (np.bincount(step, correct) + 1) / (count + 2)
    centres = np.bincount(step, confidence) / count
    accuracy = IsotonicRegression().fit_transform(centres, accuracy, sample_weight=count)
    return AnswerConfidence(beta, (centres, accuracy))


@dataclasses.dataclass(frozen=True)
class Calibrator:
    """Temperature, confidence, threshold and prediction sets of a model in one view.

    Attributes:
      temperature: temperature scaling of the probabilities, for compounds whose mechanism was
        trained on.
      confidence: probability that the most probable MoA is right.
      none: probability that the compound's mechanism was not trained on.
      threshold: least confidence of an answer; infinite if no threshold reaches `MIN_ACCURACY`.
      label_sets: conformal sets of MoAs, valid for compounds whose mechanism was trained on.
      none_of_unlearnable: `none` of the compounds whose mechanisms were not trained on, sorted.
      num_compounds: number of held-out compounds that all this is fitted to.
      num_unlearnable: number of those whose mechanisms were not trained on.
      coverage: share of held-out compounds whose confidence reaches the threshold.
      accuracy: accuracy among those; NaN without any.
      support: corrects the confidence by the training compounds of the answer; None if their
        numbers are unknown.
    """

    temperature: Temperature
    confidence: AnswerConfidence
    none: Confidence
    threshold: float
    label_sets: LabelSets
    none_of_unlearnable: Signal
    num_compounds: int
    num_unlearnable: int
    coverage: float
    accuracy: float
    support: SupportShifts | None = None

    def calibrate(self, probs: Probs) -> CalibratedAnswers:
        """Calibrates pooled probabilities of compounds."""
        scaled = self.temperature(probs)
        signals = _signals(scaled)
        none = self.none(signals)
        confidence = np.minimum(self.confidence(signals), 1 - none)
        if self.support is not None:
            corrected = self.support(confidence, scaled.argmax(axis=1))
            confidence = np.minimum(corrected, 1 - none)
        first = confidence / np.maximum(1 - none, np.finfo(float).tiny)
        p_values = self.label_sets.p_values(probs)
        # Conformal p-value of "none of these".
        below = np.searchsorted(self.none_of_unlearnable, none, side="right")
        p_none = (below + 1) / (len(self.none_of_unlearnable) + 1)
        return CalibratedAnswers(
            probs=with_first(scaled, first) * (1 - none)[:, None],
            none_of_these=none,
            confidence=confidence,
            is_answered=confidence >= self.threshold,
            p_values=p_values,
            in_set=p_values > ERROR_RATE,
            none_in_set=(p_none > ERROR_RATE) & (len(self.none_of_unlearnable) > 0),
        )


def fit_calibrator(
    probs: Probs,
    labels: Labels,
    is_learnable: Bool[np.ndarray, " compound"] | None = None,
    *,
    num_compounds: Int[np.ndarray, " moa"] | None = None,
) -> Calibrator:
    """Fits a calibrator to held-out compounds.

    Confidence is beta calibration (Kull 2017): logistic regression on the logarithms of the highest
    probability and of its complement. With `MIN_COMPOUNDS_FOR_ISOTONIC` compounds or more, isotonic
    regression corrects its shape. The probability of "none of these" is fitted to the same signals.

    Args:
      probs: pooled out-of-fold probabilities.
      labels: the compounds' labels.
      is_learnable: whether one of a compound's mechanisms was trained on; None for all compounds
        that have a label, the others being left out.
      num_compounds: training compounds of each mechanism, by which the confidence is corrected.

    Raises:
      InputError: no compound has a mechanism that was trained on.
    """
    labelled = (labels > 0).any(axis=1)
    if is_learnable is None:
        probs, labels = probs[labelled], labels[labelled]
        is_learnable = np.ones(len(labels), bool)
    if not is_learnable.any():
        raise InputError("there is no labelled compound to calibrate on.")
    temperature = fit_temperature(probs[is_learnable], labels[is_learnable])
    # A label that was not trained on counts as wrong.
    correct = is_learnable & (top_k_hits(probs, labels, 1) > 0)
    signals = _signals(temperature(probs))
    confidence = fit_answer_confidence(signals, correct)
    none = fit_confidence(signals, ~is_learnable)
    share_none = none(signals)
    confidences, support = np.minimum(confidence(signals), 1 - share_none), None
    if num_compounds is not None:
        answer = probs.argmax(axis=1)
        support = fit_support_shifts(confidences, correct, answer, num_compounds)
        confidences = np.minimum(support(confidences, answer), 1 - share_none)
    threshold = confidence_threshold(confidences, correct)
    answered = confidences >= threshold
    return Calibrator(
        temperature=temperature,
        confidence=confidence,
        none=none,
        threshold=threshold,
        label_sets=calibrate_label_sets(probs[is_learnable], labels[is_learnable]),
        none_of_unlearnable=np.sort(share_none[~is_learnable]),
        num_compounds=len(probs),
        num_unlearnable=int((~is_learnable).sum()),
        coverage=float(answered.mean()),
        accuracy=float(correct[answered].mean()) if answered.any() else math.nan,
        support=support,
    )


def with_first(probs: Probs, first: Signal) -> Probs:
    """Rows raised to a power each, so that their largest probability becomes `first`.

    This keeps their order and cannot separate equal probabilities.

    Args:
      probs: rows that sum to one.
      first: desired largest probability of each row, in [0, 1].
    """
    logs = np.log(np.maximum(probs, np.finfo(float).tiny))
    logs -= logs.max(axis=1, keepdims=True)
    low, high = np.zeros(len(probs)), np.full(len(probs), _MAX_POWER)
    for _ in range(_HALVINGS):
        power = (low + high) / 2
        too_flat = 1 / np.exp(power[:, None] * logs).sum(axis=1) < first
        low, high = np.where(too_flat, power, low), np.where(too_flat, high, power)
    return special.softmax(high[:, None] * logs, axis=1)


def confidence_threshold(confidence: Signal, correct: Bool[np.ndarray, " compound"]) -> float:
    """The lowest threshold, at least `MIN_CONFIDENCE`, with `MIN_ACCURACY`; infinity if none has.

    Args:
      confidence: confidence of each answer.
      correct: whether the answer is right.
    """
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # Answers with the same confidence are accepted together.
    is_last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(
        (share >= MIN_ACCURACY) & is_last & (confidence[order] >= MIN_CONFIDENCE)
    )
    return float(confidence[order][enough[-1]]) if len(enough) else math.inf


def _signals(probs: Probs) -> dict[str, Signal]:
    probability, certainty = log_terms(max_probability(probs))
    return {"log probability": probability, "log certainty": certainty}
