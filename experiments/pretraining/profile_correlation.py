"""Correlation over genes of predicted with measured signatures."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

Profiles = Float[np.ndarray, "signature gene"]


def pearson_by_signature(
    predicted: Profiles, measured: Profiles, gene_mask: Bool[np.ndarray, " gene"] | None = None
) -> Float[np.ndarray, " signature"]:
    """Pearson correlation over genes of each predicted with its measured signature.

    NaN where one of the two is constant.

    Args:
      predicted: predicted expression.
      measured: measured expression.
      gene_mask: genes that count; all by default.
    """
    if gene_mask is not None:
        predicted, measured = predicted[:, gene_mask], measured[:, gene_mask]
    first, second = (
        values - values.mean(axis=1, keepdims=True)
        for values in (predicted.astype(np.float64), measured.astype(np.float64))
    )
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return np.divide(product, scale, out=np.full(len(scale), np.nan), where=scale > 0)


def spearman_by_signature(
    predicted: Profiles, measured: Profiles, gene_mask: Bool[np.ndarray, " gene"] | None = None
) -> Float[np.ndarray, " signature"]:
    """Spearman correlation over genes: Pearson correlation of mean ranks.

    Args and returns as `pearson_by_signature`.
    """
    if gene_mask is not None:
        predicted, measured = predicted[:, gene_mask], measured[:, gene_mask]
    ranks = [stats.rankdata(values, axis=1) for values in (predicted, measured)]
    return pearson_by_signature(*ranks)
