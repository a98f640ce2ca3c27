"""Metrics of multi-label predictions, equal to scikit-learn's where both exist.

All functions take `probs` and `labels` with one row per scored unit (such as a pooled compound) and
one column per MoA. Ranking metrics take any scores instead of probabilities. Metrics of an
undefined column (no positive, or no negative for AUROC) are NaN, and macro averages leave such
columns out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Num
from scipy import stats

# Probabilities are clipped to [LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP] before the logarithm, as in the
# LISH-MoA competition (2020).
LOG_LOSS_CLIP = 1e-15

Probs = Float[np.ndarray, "example moa"]
Labels = Num[np.ndarray, "example moa"] | Bool[np.ndarray, "example moa"]


def _nanmean(values: Float[np.ndarray, " value"]) -> float:
    """Mean of the values that are defined; NaN without a warning where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def average_precision(probs: Probs, labels: Labels) -> Float[np.ndarray, " moa"]:
    """Average precision of each column: sum over n of (R_n - R_n-1) P_n.

    R_n and P_n are recall and precision at the n-th distinct score, so tied rows count as one
    threshold. NaN where a column has no positive.
    """
    probs, positive = probs.astype(np.float64), labels > 0
    if not len(probs):
        return np.full(probs.shape[1], np.nan)
    order = np.argsort(-probs, axis=0, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=0)
    hits = np.take_along_axis(positive, order, axis=0)
    place = np.arange(1, len(probs) + 1)[:, None]
    precision = hits.cumsum(axis=0) / place
    # Tied rows have one threshold: precision is read at the last row of the tie.
    last = np.concatenate([ranked[:-1] != ranked[1:], np.ones((1, probs.shape[1]), bool)])
    end = np.where(last, place - 1, len(probs))
    end = np.minimum.accumulate(end[::-1], axis=0)[::-1]
    total = np.where(hits, np.take_along_axis(precision, end, axis=0), 0.0).sum(axis=0)
    num_positive = positive.sum(axis=0)
    return np.where(num_positive > 0, total / np.maximum(num_positive, 1), np.nan)


def auroc(probs: Probs, labels: Labels) -> Float[np.ndarray, " moa"]:
    """Area under the ROC curve of each column, by mean ranks (Mann and Whitney 1947).

    NaN where a column has no positive or no negative.
    """
    probs, positive = probs.astype(np.float64), labels > 0
    num_positive = positive.sum(axis=0)
    num_pairs = num_positive * (len(probs) - num_positive)
    ranks = stats.rankdata(probs, axis=0) if len(probs) else probs
    above = np.where(positive, ranks, 0.0).sum(axis=0) - num_positive * (num_positive + 1) / 2
    return np.where(num_pairs > 0, above / np.maximum(num_pairs, 1), np.nan)


def macro_auprc(probs: Probs, labels: Labels) -> float:
    """Mean average precision over the MoAs that have a positive in the scored set."""
    return _nanmean(average_precision(probs, labels))


def micro_auprc(probs: Probs, labels: Labels) -> float:
    """Average precision of all (example, MoA) pairs ranked together."""
    probs, positive = probs.astype(np.float64), labels > 0
    return float(average_precision(probs.reshape(-1, 1), positive.reshape(-1, 1))[0])


def macro_auroc(probs: Probs, labels: Labels) -> float:
    """Mean AUROC over the MoAs that have a positive and a negative in the scored set."""
    return _nanmean(auroc(probs, labels))


def top_k_hits(probs: Probs, labels: Labels, k: int) -> Int[np.ndarray, " example"]:
    """Number of an example's MoAs among its k most probable ones.

    Of tied MoAs the later column ranks first, as in scikit-learn.
    """
    top = np.argsort(probs, axis=1, kind="stable")[:, ::-1][:, :k]
    return np.take_along_axis(labels > 0, top, axis=1).sum(axis=1)


def top_k_accuracy(probs: Probs, labels: Labels, k: int) -> float:
    """Share of labelled examples with one of their MoAs among the k most probable (hit@k).

    Examples without a label are left out; for ties see `top_k_hits`.
    """
    probs, positive = probs.astype(np.float64), labels > 0
    return _nanmean(np.where(positive.any(axis=1), top_k_hits(probs, positive, k) > 0, np.nan))


def binary_log_losses(probs: Probs, labels: Labels) -> Float[np.ndarray, "example moa"]:
    """Log loss of each (example, MoA) pair, in nats; see `LOG_LOSS_CLIP`."""
    probs = np.clip(probs.astype(np.float64), LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)
    return -np.where(labels > 0, np.log(probs), np.log1p(-probs))


def squared_errors(probs: Probs, labels: Labels) -> Float[np.ndarray, "example moa"]:
    """Squared distance of each probability from the label."""
    return (probs.astype(np.float64) - (labels > 0)) ** 2


def column_log_loss(probs: Probs, labels: Labels) -> Float[np.ndarray, " moa"]:
    """Mean binary log loss of each column, in nats."""
    probs, positive = probs.astype(np.float64), labels > 0
    losses = binary_log_losses(probs, positive)
    return losses.mean(axis=0) if len(losses) else np.full(losses.shape[1], np.nan)


def log_loss(probs: Probs, labels: Labels) -> float:
    """Mean over MoAs of the binary log loss, in nats."""
    return _nanmean(column_log_loss(probs, labels))


def brier(probs: Probs, labels: Labels) -> float:
    """Mean over MoAs of the squared error of the probabilities (Brier 1950, two-class form)."""
    return _nanmean(squared_errors(probs, labels).ravel())


def prevalence(labels: Labels) -> Float[np.ndarray, " moa"]:
    """Share of examples that have each MoA: the average precision of a random ranking."""
    positive = labels > 0
    if not len(positive):
        return np.full(positive.shape[1], np.nan)
    return positive.mean(axis=0)


def score(probs: Probs, labels: Labels) -> dict[str, float | int]:
    """The metrics of a table of results, in its order.

    `num_moas` counts the MoAs that have a positive, over which `macro_auprc` is averaged.
    """
    return {
        "macro_auprc": macro_auprc(probs, labels),
        "micro_auprc": micro_auprc(probs, labels),
        "macro_auroc": macro_auroc(probs, labels),
        "top1": top_k_accuracy(probs, labels, 1),
        "top5": top_k_accuracy(probs, labels, 5),
        "log_loss": log_loss(probs, labels),
        "num_compounds": len(labels),
        "num_moas": int((prevalence(labels) > 0).sum()),
    }


def per_moa_table(probs: Probs, labels: Labels, moas: Sequence[str]) -> pd.DataFrame:
    """Metrics of each MoA: one row per column, in the order of `moas`."""
    positive = labels > 0
    num_compounds: Int[np.ndarray, " moa"] = positive.sum(axis=0)
    return pd.DataFrame(
        {
            "moa": list(moas),
            "num_compounds": num_compounds,
            "prevalence": prevalence(labels),
            "auprc": average_precision(probs, labels),
            "auroc": auroc(probs, labels),
            "log_loss": column_log_loss(probs, labels),
        }
    )
