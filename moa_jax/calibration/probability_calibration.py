"""Calibration of probabilities: temperature scaling, beta calibration and calibration errors.

Both are fitted to a method's validation compounds and applied to its test compounds.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Num
from scipy import optimize, special

from moa_jax.evaluation.metrics import Labels, Probs, top_k_hits
from moa_jax.schemas import InputError

# Beta calibration clips probabilities this far from 0 and 1, so that logarithms are finite.
PROB_CLIP = 1e-6
# Equal-width bins of the calibration error (Guo 2017).
NUM_BINS = 15
# Range of temperatures; beyond it a row is uniform or one-hot.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.02, 50.0
# Smaller probabilities of a softmax in single precision are inaccurate.
_MIN_FLOOR = 1e-30


@dataclasses.dataclass(frozen=True)
class Temperature:
    """Temperature scaling (Guo 2017, section 4.2) of probabilities instead of logits.

    Attributes:
      temperature: above 1 it makes probabilities less confident, below 1 more confident.
      floor: smaller probabilities are raised to it, so that logarithms are finite. A row of zeros
        becomes uniform.
    """

    temperature: float
    floor: float

    def __call__(self, probs: Probs) -> Probs:
        """Probabilities to the power 1 / temperature, with rows that sum to one."""
        raised = np.maximum(probs.astype(np.float64), self.floor)
        return special.softmax(np.log(raised) / self.temperature, axis=1)


def fit_temperature(probs: Probs, labels: Labels) -> Temperature:
    """The temperature with the least negative log likelihood on labelled compounds.

    The likelihood is that of one draw among a compound's MoAs, all equally likely; for compounds
    with one MoA it is the usual cross-entropy. The floor is half the smallest probability that is
    not zero, because a method that counts votes returns zero for less than half a vote.

    Raises:
      InputError: no compound is labelled.
    """
    probs, positive = _labelled(probs, labels)
    probs = probs.astype(np.float64)
    floor = max(probs[probs > 0].min(initial=1.0) / 2, _MIN_FLOOR)
    log_probs = np.log(np.maximum(probs, floor))
    target = positive / positive.sum(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scaled = special.log_softmax(log_probs / np.exp(log_temperature), axis=1)
        return float(-(target * scaled).sum(axis=1).mean())

    bounds = (np.log(_MIN_TEMPERATURE), np.log(_MAX_TEMPERATURE))
    fitted = optimize.minimize_scalar(loss, bounds=bounds, method="bounded")
    return Temperature(float(np.exp(fitted.x)), float(floor))


@dataclasses.dataclass(frozen=True)
class BetaCalibration:
    """logit q = a ln p - b ln(1 - p) + c (Kull 2017, equation 5), the same for every MoA.

    It is monotonic, so rankings do not change; rows need not sum to one.

    Attributes:
      a: slope at small probabilities, not negative.
      b: slope at large probabilities, not negative.
      c: shift.
    """

    a: float
    b: float
    c: float

    def __call__(self, probs: Probs) -> Probs:
        """Calibrated probabilities of all (compound, MoA) pairs."""
        rise, fall = log_terms(probs)
        return special.expit(self.a * rise + self.b * fall + self.c)


def fit_beta_calibration(probs: Probs, labels: Labels) -> BetaCalibration:
    """Beta calibration with the greatest likelihood over all (compound, MoA) pairs.

    Raises:
      InputError: no compound is labelled.
    """
    probs, positive = _labelled(probs, labels)
    pairs, target = probs.ravel(), positive.ravel()
    inputs = np.stack([*log_terms(pairs), np.ones(len(pairs))], axis=1)

    def loss(weights: Float[np.ndarray, " 3"]) -> tuple[float, Float[np.ndarray, " 3"]]:
        logits = inputs @ weights
        value = np.logaddexp(0, logits) - target * logits
        return float(value.mean()), inputs.T @ (special.expit(logits) - target) / len(target)

    fitted = optimize.minimize(
        loss,
        x0=np.array([1.0, 1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None), (0, None), (None, None)],
        options={"ftol": 1e-12, "gtol": 1e-9, "maxiter": 1000},
    )
    return BetaCalibration(*map(float, fitted.x))


def _labelled(
    probs: Probs, labels: Labels
) -> tuple[Float[np.ndarray, "labelled moa"], Bool[np.ndarray, "labelled moa"]]:
    positive = labels > 0
    counted = positive.any(axis=1)
    if not counted.any():
        raise InputError(
            f"there is no labelled compound among {len(labels)} to calibrate probabilities on."
        )
    return probs[counted], positive[counted]


def log_terms(
    probs: Float[np.ndarray, "*shape"],
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """The terms of beta calibration, ln p and -ln(1 - p); finite."""
    clipped = np.clip(probs.astype(np.float64), PROB_CLIP, 1 - PROB_CLIP)
    return np.log(clipped), -np.log1p(-clipped)


def reliability_curve(
    confidence: Float[np.ndarray, " answer"],
    correct: Bool[np.ndarray, " answer"] | Num[np.ndarray, " answer"],
    *,
    num_bins: int = NUM_BINS,
) -> pd.DataFrame:
    """Mean confidence and accuracy in bins of equal width.

    Args:
      confidence: in [0, 1].
      correct: whether the answer was right, or the 0/1 label of a pair.
      num_bins: bins [0, 1/n), [1/n, 2/n), ..., the last one with its upper end.

    Returns:
      One row per bin that has an answer: `low`, `high`, `num_answers`, `confidence` (mean) and
      `accuracy`.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    filled = np.flatnonzero(count)
    stated = np.bincount(place, confidence, minlength=num_bins)
    right = np.bincount(place, correct, minlength=num_bins)
    return pd.DataFrame(
        {
            "low": edges[filled],
            "high": edges[filled + 1],
            "num_answers": count[filled],
            "confidence": stated[filled] / count[filled],
            "accuracy": right[filled] / count[filled],
        }
    )


def expected_calibration_error(
    confidence: Float[np.ndarray, " answer"],
    correct: Bool[np.ndarray, " answer"] | Num[np.ndarray, " answer"],
    *,
    num_bins: int = NUM_BINS,
) -> float:
    """Mean of |accuracy - confidence| over bins, weighted by their answers (Guo 2017, eq. 3).

    NaN without answers.
    """
    if not len(confidence):
        return float("nan")
    curve = reliability_curve(confidence, correct, num_bins=num_bins)
    gap = (curve["accuracy"] - curve["confidence"]).abs()
    return float(np.average(gap, weights=curve["num_answers"]))


def top_answers(
    probs: Probs, labels: Labels
) -> tuple[Float[np.ndarray, " answer"], Bool[np.ndarray, " answer"]]:
    """Probability of each labelled compound's most probable MoA, and whether it has that MoA."""
    labelled = (labels > 0).any(axis=1)
    probs, labels = probs[labelled].astype(np.float64), labels[labelled]
    return probs.max(axis=1, initial=0.0), top_k_hits(probs, labels, 1) > 0


def top_label_ece(
    probs: Probs,
    labels: Labels,
    *,
    num_bins: int = NUM_BINS,
) -> float:
    """Calibration error of the most probable MoA of each labelled compound."""
    return expected_calibration_error(*top_answers(probs, labels), num_bins=num_bins)
