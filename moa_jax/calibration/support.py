"""Confidence by the number of training compounds of the answered mechanism.

At equal probability an answer that few training compounds stand behind is right less often than one
with many. A shift of the confidence's log odds for each stratum corrects this.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

from moa_jax.calibration.confidence_signals import Signal

# Least number of training compounds in each stratum; the first is for none.
STRATA = (0, 1, 3, 10)
# Inverse variance of the prior on a shift.
_PRIOR = 4.0
# Confidences are clipped this far from 0 and 1, so that log odds are finite.
_CLIP = 1e-6


@dataclasses.dataclass(frozen=True)
class SupportShifts:
    """Shifts of log odds by the training compounds of a mechanism.

    Attributes:
      num_compounds: training compounds of each mechanism.
      shifts: shift for each of `STRATA`.
    """

    num_compounds: Int[np.ndarray, " moa"]
    shifts: Float[np.ndarray, " stratum"]

    def __call__(self, confidence: Signal, answer: Int[np.ndarray, " example"]) -> Signal:
        """Corrected confidence that each answer, a column of the mechanisms, is right."""
        return _shifted(confidence, self.shifts[stratum_of(self.num_compounds[answer])])


def stratum_of(counts: Int[np.ndarray, " example"]) -> Int[np.ndarray, " example"]:
    """Place in `STRATA` of numbers of training compounds."""
    return np.searchsorted(STRATA, counts, side="right") - 1


def fit_support_shifts(
    confidence: Signal,
    correct: Bool[np.ndarray, " example"],
    answer: Int[np.ndarray, " example"],
    num_compounds: Int[np.ndarray, " moa"],
) -> SupportShifts:
    """The shifts of greatest posterior; a normal prior leaves strata with few answers as they are.

    Args:
      confidence: out-of-fold confidence of training compounds.
      correct: whether the answer is right.
      answer: the answered mechanism.
      num_compounds: training compounds of each mechanism. A compound with a right answer does not
        stand behind it itself.
    """
    stratum = stratum_of(num_compounds[answer] - correct)
    shifts = np.zeros(len(STRATA))
    for place in range(len(STRATA)):
        inside = stratum == place
        odds, target = _log_odds(confidence[inside]), correct[inside].astype(np.float64)

        def loss(shift: float, odds: Signal = odds, target: Signal = target) -> float:
            logits = odds + shift
            return float((np.logaddexp(0, logits) - target * logits).sum() + _PRIOR * shift**2 / 2)

        if inside.any():
            shifts[place] = optimize.minimize_scalar(loss).x
    return SupportShifts(num_compounds, shifts)


def _log_odds(confidence: Signal) -> Signal:
    return special.logit(np.clip(confidence, _CLIP, 1 - _CLIP))


def _shifted(confidence: Signal, shift: Signal) -> Signal:
    return special.expit(_log_odds(confidence) + shift)
