"""Scores between extreme genes of a query and a reference: XSum, XCos, ssCMap.

Each is computed for all queries against all references as one product of matrices. Of equally
extreme genes the first column counts as the more extreme one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata


def extreme_only(
    signatures: Float[np.ndarray, "signature gene"], size: int
) -> Float64[np.ndarray, "signature gene"]:
    """The signatures with 0 in place of all but their `size` highest and `size` lowest genes.

    DrSim's benchmark (Wei 2022) keeps 500 on each side of the whole transcriptome.
    """
    num_genes = signatures.shape[1]
    order = np.argsort(-signatures, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(num_genes)[None], axis=1)
    return np.where((place < size) | (place >= num_genes - size), signatures, 0.0)


def xsum(
    up: Bool[np.ndarray, "query gene"],
    down: Bool[np.ndarray, "query gene"],
    references: Float[np.ndarray, "reference gene"],
) -> Float64[np.ndarray, "query reference"]:
    """The reference's sum over the query's up genes less that over its down genes.

    The eXtreme sum of Cheng 2014.

    Args:
      up: genes of each query that went up.
      down: genes of each query that went down.
      references: what `extreme_only` returns.
    """
    return (up.astype(np.float64) - down) @ references.T


def xcos(
    queries: Float[np.ndarray, "query gene"], references: Float[np.ndarray, "reference gene"]
) -> Float64[np.ndarray, "query reference"]:
    """Cosine of a query and a reference of which only the extremes are left.

    The eXtreme cosine of Cheng 2014. 0 where one of them has no other value than 0.

    Args:
      queries: what `extreme_only` returns.
      references: the same, of another size.
    """
    return _unit(queries) @ _unit(references).T


def sscmap(
    queries: Float[np.ndarray, "query gene"], references: Float[np.ndarray, "reference gene"]
) -> Float64[np.ndarray, "query reference"]:
    """Connection strength of signed ranks, over its largest possible value (Zhang and Gant 2008).

    A reference's N genes are ranked by |value|, N for the largest, and take their sign; the
    query's m genes likewise from m to 1. The strength is the sum over the query's genes of the
    product of both, and at most sum_i (N - i + 1)(m - i + 1). In [-1, 1]; equal |values| share
    their mean rank, a gene of value 0 has none.

    Args:
      queries: genes that are not in the query are 0; a query without genes scores 0.
      references: values of all genes.
    """
    num_genes = references.shape[1]
    size = (queries != 0).sum(axis=1)
    # Ranks among the query's own genes: those left out rank below.
    query_ranks = _signed_ranks(queries) - np.sign(queries) * (num_genes - size)[:, None]
    # sum_i (N - i + 1)(m - i + 1) for i from 1 to m.
    largest = size * (size + 1) * (3 * num_genes - size + 1) / 6
    return query_ranks @ _signed_ranks(references).T / np.maximum(largest, 1)[:, None]


def _signed_ranks(values: Float[np.ndarray, "row gene"]) -> Float64[np.ndarray, "row gene"]:
    return np.sign(values) * rankdata(np.abs(values), axis=1)


def _unit(rows: Float[np.ndarray, "row gene"]) -> Float64[np.ndarray, "row gene"]:
    norm = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)
