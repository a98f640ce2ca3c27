"""Selective prediction: risk-coverage curves and the area under them.

Compounds are answered in the order of a confidence. Tied compounds are answered in random order:
where a coverage cuts a tie, the expected number of errors is taken, so that the result does not
depend on the order of rows.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from moa_jax.evaluation.metrics import auroc

COVERAGES = (1.0, 0.5, 0.25, 0.1)

Confidence = Float[np.ndarray, " answer"]
Correct = Bool[np.ndarray, " answer"]


def risk_coverage_curve(
    confidence: Confidence, correct: Correct
) -> tuple[Float[np.ndarray, " answer"], Float[np.ndarray, " answer"]]:
    """Selective risk when the k most confident of n answers are given (Geifman 2017, section 2).

    Args:
      confidence: any score that is higher for answers that are more likely right.
      correct: whether the answer was right.

    Returns:
      Coverages k / n and risks (share of wrong answers among those given), for k = 1 .. n.
    """
    rank = np.arange(1, len(confidence) + 1)
    level = stats.rankdata(-confidence, method="dense").astype(int) - 1
    size = np.bincount(level).astype(float)
    wrong = np.bincount(level, ~correct)
    answered, errors = np.cumsum(size), np.cumsum(wrong)
    place = np.searchsorted(answered, rank)
    before, errors_before = answered - size, errors - wrong
    partly = (rank - before[place]) * (wrong / size)[place]
    return rank / max(len(rank), 1), (errors_before[place] + partly) / rank


def aurc(confidence: Confidence, correct: Correct) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages; NaN without answers."""
    if not len(confidence):
        return float("nan")
    return float(risk_coverage_curve(confidence, correct)[1].mean())


def accuracy_at_coverage(confidence: Confidence, correct: Correct, coverage: float) -> float:
    """Share of right answers among the most confident ones; NaN without answers.

    Args:
      confidence: see `risk_coverage_curve`.
      correct: whether the answer was right.
      coverage: share of the answers that are given, in (0, 1]; their number is rounded up.
    """
    if not len(confidence):
        return float("nan")
    # A share such as 0.1 of 30 must not become 4 by a rounding error.
    number = max(1, int(np.ceil(coverage * len(confidence) - 1e-9)))
    return float(1 - risk_coverage_curve(confidence, correct)[1][number - 1])


def rejection_auroc(
    confidence: Float[np.ndarray, " example"], unseen: Bool[np.ndarray, " example"]
) -> float:
    """How well low confidence detects compounds of MoAs that are not in training.

    The probability that such a compound has a lower confidence than one of known MoAs; NaN if
    either kind is absent.
    """
    return float(auroc(-confidence[:, None], unseen[:, None])[0])
