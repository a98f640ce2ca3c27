"""Metrics for many weightings of the same compounds at once, for the bootstrap.

A weighting gives every compound an integer weight, such as how often a resample drew it; the metric
equals that of a set with so many copies of each compound. Ranking metrics need, for each positive,
the total weight of the compounds that score at least as high: one matrix product for all
weightings.

Weights are in single precision, which is exact for integers up to 2^24 and multiplies twice as fast
as double; ratios and their sums are in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from moa_jax.evaluation.metrics import binary_log_losses, squared_errors, top_k_hits

# Positives that are compared with all compounds at a time.
_BLOCK_POSITIVES = 512

Counts = Float32[np.ndarray, "resample compound"]
CompoundProbs = Float[np.ndarray, "compound moa"]
Positive = Bool[np.ndarray, "compound moa"]


def weighted_metrics(
    counts: Counts, probs: CompoundProbs, positive: Positive
) -> dict[str, Float[np.ndarray, " resample"]]:
    """Every metric for each weighting; NaN where it is not defined.

    Macro averages are over the MoAs that are defined under the weighting.
    """
    labelled = positive.any(axis=1).astype(float)
    everyone = np.ones(len(probs))
    hits = {f"top{k}": (top_k_hits(probs, positive, k) > 0).astype(float) for k in (1, 5, 10)}
    return {
        "macro_auprc": _nanmean_rows(weighted_average_precision(counts, probs, positive)),
        "micro_auprc": weighted_micro_average_precision(counts, probs, positive),
        "macro_auroc": _nanmean_rows(weighted_auroc(counts, probs, positive)),
        **{name: _weighted_mean(counts, values, labelled) for name, values in hits.items()},
        "log_loss": _weighted_mean(counts, binary_log_losses(probs, positive).mean(1), everyone),
        "brier": _weighted_mean(counts, squared_errors(probs, positive).mean(1), everyone),
    }


def weighted_average_precision(
    counts: Counts,
    probs: CompoundProbs,
    positive: Positive,
) -> Float[np.ndarray, "resample moa"]:
    """`average_precision` of each MoA in each resample; NaN where it draws no positive."""
    total = np.zeros((len(counts), probs.shape[1]))
    for rows, columns in positives_in_blocks(positive):
        scores = probs[rows, columns]
        above = counts @ (probs[:, columns] >= scores).astype(np.float32)
        hits = counts @ (positive[:, columns] & (probs[:, columns] >= scores)).astype(np.float32)
        total += sum_by_moa(counts[:, rows] * _precision(hits, above), columns, probs.shape[1])
    return _ratio(total, counts @ positive.astype(np.float32))


def weighted_auroc(
    counts: Counts,
    probs: CompoundProbs,
    positive: Positive,
) -> Float[np.ndarray, "resample moa"]:
    """`auroc` of each MoA in each resample; NaN where it draws no positive or no negative."""
    total = np.zeros((len(counts), probs.shape[1]))
    for rows, columns in positives_in_blocks(positive):
        scores, others = probs[rows, columns], probs[:, columns]
        below = (others < scores) + 0.5 * (others == scores)
        beaten = counts @ (below * ~positive[:, columns]).astype(np.float32)
        total += sum_by_moa(counts[:, rows] * beaten.astype(float), columns, probs.shape[1])
    num_pairs = (counts @ positive.astype(float)) * (counts @ (~positive).astype(float))
    return _ratio(total, num_pairs)


def weighted_micro_average_precision(
    counts: Counts,
    probs: CompoundProbs,
    positive: Positive,
) -> Float[np.ndarray, " resample"]:
    """`micro_auprc` of each resample; NaN where it draws no positive."""
    all_rows, all_columns = np.nonzero(positive)
    all_scores, ranked = probs[all_rows, all_columns], np.sort(probs, axis=1)
    total = np.zeros(len(counts))
    for rows, columns in positives_in_blocks(positive):
        scores = probs[rows, columns]
        num_below = np.stack([np.searchsorted(row, scores) for row in ranked])
        above = counts @ (probs.shape[1] - num_below).astype(np.float32)
        hits = counts[:, all_rows] @ (all_scores[:, None] >= scores).astype(np.float32)
        total += (counts[:, rows] * _precision(hits, above)).sum(axis=1)
    return _ratio(total, counts @ positive.sum(axis=1).astype(np.float32))


def positives_in_blocks(
    positive: Positive,
) -> Iterator[tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]]:
    """Row and column of the positives, a block at a time."""
    rows, columns = np.nonzero(positive)
    for start in range(0, len(rows), _BLOCK_POSITIVES):
        block = slice(start, start + _BLOCK_POSITIVES)
        yield rows[block], columns[block]


def sum_by_moa(
    values: Float[np.ndarray, "resample pair"], columns: Int[np.ndarray, " pair"], num_moas: int
) -> Float[np.ndarray, "resample moa"]:
    """Sums the values of (compound, MoA) pairs over the pairs of each MoA."""
    return values @ (columns[:, None] == np.arange(num_moas)).astype(float)


def _precision(
    hits: Float[np.ndarray, "resample pair"], above: Float[np.ndarray, "resample pair"]
) -> Float[np.ndarray, "resample pair"]:
    """Hits / above; 0 where no weight is at or above a positive, whose weight is then 0 too."""
    return hits / np.maximum(above, 1).astype(float)


def _ratio(
    numerator: Float[np.ndarray, "*shape"], denominator: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """The quotient in double precision; NaN where the denominator is zero."""
    nothing = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=nothing, where=denominator > 0, dtype=float)


def _weighted_mean(
    counts: Counts, values: Float[np.ndarray, " compound"], counted: Float[np.ndarray, " compound"]
) -> Float[np.ndarray, " resample"]:
    return _ratio(counts @ (values * counted), counts @ counted)


def _nanmean_rows(values: Float[np.ndarray, "resample moa"]) -> Float[np.ndarray, " resample"]:
    """Mean of each row's defined values; NaN without a warning where none is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1).astype(float))
