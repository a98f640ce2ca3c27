"""Calibration of a run's predictions, on its predictions for held-out compounds.

Everything here is fitted to such predictions (see `calibration.calibration_store`), including those
for compounds whose mechanisms were not trained on, for which only "none of these" is right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
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
from moa_jax.evaluation.metrics import Labels, Probs, top_k_hits
from moa_jax.schemas import InputError

# Stands where there is no answer.
CANNOT_TELL = "cannot tell"
# Stands where the compound's mechanism is most likely not among those that were trained on.
NONE_OF_THESE = "none of these"
# Share of compounds for which a label set may miss a true MoA.
ERROR_RATE = 0.1
# Answers are given down to the confidence at which the validation accuracy is this.
MIN_ACCURACY = 0.8
# Compounds from which isotonic regression fits better than it overfits (Niculescu-Mizil and Caruana
# 2005, section 4); fewer leave beta calibration as it is.
MIN_COMPOUNDS_FOR_ISOTONIC = 1000
# Powers that are considered, and how often their range is halved.
_MAX_POWER, _HALVINGS = 50.0, 40
# Whatever the validation accuracy, no answer is given that is more likely wrong than right.
MIN_CONFIDENCE = 0.5


@dataclasses.dataclass(frozen=True)
class CalibratedAnswers:
    """Calibrated predictions for compounds.

    Attributes:
      probs: calibrated probabilities of the MoAs: the highest is the confidence, and with
        `none_of_these` rows sum to one.
      none_of_these: probability that the compound's mechanism was not trained on.
      confidence: probability that the most probable MoA is right.
      is_answered: confident enough; otherwise the answer is "cannot tell".
      p_values: conformal p-value of each MoA.
      in_set: the MoAs that cannot be ruled out at `ERROR_RATE`.
      none_in_set: neither can it be ruled out that it is none of these.
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
      steps: what beta calibration says, and what share was right there, both rising: centred
        isotonic regression (Oron and Flournoy 2017), in which steps are joined by lines. None
        where too few compounds tell.
    """

    beta: Confidence
    steps: tuple[Signal, Signal] | None

    def __call__(self, signals: Mapping[str, Signal]) -> Signal:
        """Confidence of compounds, in [0, 1]."""
        stated = self.beta(signals)
        return stated if self.steps is None else np.interp(stated, *self.steps)


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
    stated = beta(signals)
    rising = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(stated, correct.astype(float))
    _, step = np.unique(rising, return_inverse=True)
    count = np.bincount(step)
    # One more right and one more wrong (Laplace's rule): few answers are never sure of a step.
    right = (np.bincount(step, correct) + 1) / (count + 2)
    places = np.bincount(step, stated) / count
    right = IsotonicRegression().fit_transform(places, right, sample_weight=count)
    return AnswerConfidence(beta, (places, right))


@dataclasses.dataclass(frozen=True)
class Calibrator:
    """Calibration of a model's predictions in one view.

    Attributes:
      temperature: temperature scaling of the probabilities, for compounds whose mechanism was
        trained on.
      confidence: probability that the most probable MoA is right.
      none: probability that the compound's mechanism was not trained on.
      threshold: least confidence with which an answer is given; infinite where no threshold
        reached `MIN_ACCURACY`.
      label_sets: conformal sets of MoAs, valid for compounds whose mechanism was trained on.
      none_of_unlearnable: `none` of the compounds whose mechanisms were not trained on, sorted.
      num_compounds: held-out compounds that all this is fitted to.
      num_unlearnable: those among them whose mechanisms were not trained on.
      coverage: share of all of them that would have been answered.
      accuracy: share of right ones among those; NaN without any.
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

    def calibrate(self, probs: Probs) -> CalibratedAnswers:
        """Calibrates pooled probabilities of compounds."""
        calibrated = self.temperature(probs)
        signals = _signals(calibrated)
        none = self.none(signals)
        confidence = np.minimum(self.confidence(signals), 1 - none)
        share = confidence / np.maximum(1 - none, np.finfo(float).tiny)
        p_values = self.label_sets.p_values(probs)
        # As many of those of whose mechanism nothing was learned were as little taken for such.
        below = np.searchsorted(self.none_of_unlearnable, none, side="right")
        p_none = (below + 1) / (len(self.none_of_unlearnable) + 1)
        return CalibratedAnswers(
            probs=with_first(calibrated, share) * (1 - none)[:, None],
            none_of_these=none,
            confidence=confidence,
            is_answered=confidence >= self.threshold,
            p_values=p_values,
            in_set=p_values > ERROR_RATE,
            none_in_set=(p_none > ERROR_RATE) & (len(self.none_of_unlearnable) > 0),
        )


def fit_calibrator(
    probs: Probs, labels: Labels, is_learnable: Bool[np.ndarray, " compound"] | None = None
) -> Calibrator:
    """Fits everything to held-out compounds.

    Confidence is beta calibration (Kull 2017): logistic regression on the logs of the highest
    probability and of its complement. With positive weights it ranks as they do. From
    `MIN_COMPOUNDS_FOR_ISOTONIC` compounds on isotonic regression corrects its shape. The
    probability of "none of these" is one of the same signals.

    Args:
      probs: pooled probabilities of a model that never saw the compounds.
      labels: their labels.
      is_learnable: one of a compound's mechanisms was trained on; None: compounds without a label
        are left out, and all others count.

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
    # A label that was not trained on is no better than none.
    correct = is_learnable & (top_k_hits(probs, labels, 1) > 0)
    signals = _signals(temperature(probs))
    confidence = fit_answer_confidence(signals, correct)
    none = fit_confidence(signals, ~is_learnable)
    share_none = none(signals)
    stated = np.minimum(confidence(signals), 1 - share_none)
    threshold = confidence_threshold(stated, correct)
    answered = stated >= threshold
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
    )


def with_first(probs: Probs, first: Signal) -> Probs:
    """Rows to a power of their own, so that their largest probability is another one.

    Their order stays. A row cannot be flatter than flat, nor tell equal probabilities apart.

    Args:
      probs: rows that sum to one.
      first: what the largest of each shall be, in [0, 1].
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
    """The lowest threshold at which `MIN_ACCURACY` of the answers are right, else infinity.

    It is never below `MIN_CONFIDENCE`.

    Args:
      confidence: of each answer.
      correct: whether it was right.
    """
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # A threshold admits all answers of equal confidence.
    is_last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(
        (share >= MIN_ACCURACY) & is_last & (confidence[order] >= MIN_CONFIDENCE)
    )
    return float(confidence[order][enough[-1]]) if len(enough) else math.inf


def _signals(probs: Probs) -> dict[str, Signal]:
    probability, certainty = log_terms(max_probability(probs))
    return {"log probability": probability, "log certainty": certainty}
