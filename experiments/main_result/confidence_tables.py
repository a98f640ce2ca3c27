"""Tables of the calibration of confidence, "none of these" and label sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from experiments.main_result.held_out_answers import UnseenCompounds
from moa_jax.calibration.conformal_sets import set_quality
from moa_jax.calibration.probability_calibration import reliability_curve
from moa_jax.evaluation.bootstrap import interval, resample_counts
from moa_jax.evaluation.metrics import auroc
from moa_jax.evaluation.risk_coverage import COVERAGES, accuracy_at_coverage, aurc

NUM_BINS = 10
# Smallest number of compounds in a bin with a verdict.
MIN_IN_BIN = 30
# Tolerated difference of confidence and accuracy in a bin.
MAX_GAP = 0.03
NUM_RESAMPLES = 2000

Row = dict[str, Any]


def mean_with_interval(
    values: Float[np.ndarray, " answer"], groups: tuple[str, ...], *, seed: int = 0
) -> str:
    """Mean over compounds and its 95 % bootstrap interval, as a cell of a table.

    Args:
      values: one value per answer; those of one compound are averaged first.
      groups: compound of each answer.
      seed: of the resamples.
    """
    _, unit = np.unique(np.asarray(groups, str), return_inverse=True)
    if not len(unit):
        return "n/a"
    own = np.bincount(unit, values) / np.bincount(unit)
    counts = resample_counts(len(own), num_resamples=NUM_RESAMPLES, seed=seed)
    low, high = interval(counts[1:].astype(np.float64) @ own / len(own))
    return f"{own.mean():.3f} [{low:.3f}, {high:.3f}]"


def risk_row(answers: UnseenCompounds) -> Row:
    """Accuracy at several coverages, and share and accuracy of answered compounds."""
    confidence, right = answers.calibrated.confidence, answers.is_right
    answered = answers.calibrated.is_answered
    return {
        "compounds": len(right),
        **{
            f"right of {100 * coverage:.0f} %": accuracy_at_coverage(confidence, right, coverage)
            for coverage in COVERAGES
        },
        "AURC": aurc(confidence, right),
        "Brier": float(((confidence - right) ** 2).mean()),
        "answered": float(answered.mean()),
        "right of those": float(right[answered].mean()) if answered.any() else float("nan"),
    }


def reliability_rows(
    confidence: Float[np.ndarray, " answer"], right: Bool[np.ndarray, " answer"]
) -> list[Row]:
    """Confidence and accuracy in ten bins of equal width.

    The interval of the gap is that of the accuracy (Clopper and Pearson 1934, 95 %) minus the
    confidence.
    """
    rows = []
    for found in reliability_curve(confidence, right, num_bins=NUM_BINS).itertuples():
        number = int(found.num_answers)
        hits = round(found.accuracy * number)
        share = stats.binomtest(hits, number).proportion_ci(0.95)
        gap, low, high = (value - found.confidence for value in (found.accuracy, *share))
        row = {
            "stated": f"{found.low:.1f}-{found.high:.1f}",
            "compounds": number,
            "mean stated": found.confidence,
            "right": found.accuracy,
            "right minus stated": f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]",
            "verdict": "too few",
        }
        if number >= MIN_IN_BIN:
            within = abs(gap) <= MAX_GAP
            verdict = "within .03" if within else "more than .03"
            if not low <= 0 <= high:
                verdict += ", beyond sampling error"
            elif not within:
                verdict += ", sampling error"
            row["verdict"] = verdict
        rows.append(row)
    return rows


def calibration_z(
    confidence: Float[np.ndarray, " answer"], right: Bool[np.ndarray, " answer"]
) -> tuple[float, float]:
    """Spiegelhalter's z (1986) of calibration over all answers, and its two-sided p-value.

    Standard normal where each answer is right with its stated probability.
    """
    weight = 1 - 2 * confidence
    variance = (weight**2 * confidence * (1 - confidence)).sum()
    if variance <= 0:
        return float("nan"), float("nan")
    z = float(((right - confidence) * weight).sum() / np.sqrt(variance))
    return z, float(2 * stats.norm.sf(abs(z)))


def none_row(answers: UnseenCompounds) -> Row:
    """How well "none of these" detects compounds whose mechanisms are not in training."""
    none, unlearned = answers.calibrated.none_of_these, ~answers.is_learnable
    return {
        "compounds": len(none),
        "nothing learned": int(unlearned.sum()),
        "AUROC": float(auroc(none[:, None], unlearned[:, None])[0]),
        "mean stated, nothing learned": _mean(none[unlearned]),
        "mean stated, others": _mean(none[~unlearned]),
    }


def none_rows(answers: UnseenCompounds, *, num_bins: int = 4) -> list[Row]:
    """Probability of "none of these" and its frequency, in bins of equally many compounds."""
    none, unlearned = answers.calibrated.none_of_these, ~answers.is_learnable
    rows = []
    for own in np.array_split(np.argsort(none, kind="stable"), num_bins):
        if not len(own):
            continue
        share = stats.binomtest(int(unlearned[own].sum()), len(own)).proportion_ci(0.95)
        rows.append(
            {
                "stated": f"{none[own].min():.3f}-{none[own].max():.3f}",
                "compounds": len(own),
                "mean stated": _mean(none[own]),
                "nothing learned": f"{unlearned[own].mean():.3f} "
                f"[{share.low:.3f}, {share.high:.3f}]",
            }
        )
    return rows


def set_row(answers: UnseenCompounds) -> Row:
    """Coverage and size of label sets, which include "none of these"."""
    calibrated, learnable = answers.calibrated, answers.is_learnable
    sets = np.concatenate([calibrated.in_set, calibrated.none_in_set[:, None]], axis=1)
    truth = np.concatenate([answers.labels & learnable[:, None], ~learnable[:, None]], axis=1)
    size = calibrated.in_set.sum(axis=1)
    return {
        "sets cover": set_quality(sets, truth)["coverage"],
        "of those with a learned mechanism": (
            set_quality(sets[learnable], truth[learnable])["coverage"]
        ),
        "median MoAs in a set": float(np.median(size)),
        "mean": float(size.mean()),
        "sets of one": float((size == 1).mean()),
        "sets that admit none of these": float(calibrated.none_in_set.mean()),
    }


def _mean(values: Float[np.ndarray, " value"]) -> float:
    return float(values.mean()) if len(values) else float("nan")
