"""Scores between extreme genes of a query and a reference: XSum, XCos, ssCMap.

Each is computed for all queries and references as one matrix product. Of equally extreme genes the
one in the first column counts as more extreme.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata


def extreme_only(
    signatures: Float[np.ndarray, "signature gene"], size: int
) -> Float64[np.ndarray, "signature gene"]:
    """The signatures with all but their `size` highest and `size` lowest genes set to 0.

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
    """Sum of the reference's values over the query's up genes minus that over its down genes.

    The eXtreme sum of Cheng 2014.

    Args:
      up: genes of each query that went up.
      down: genes of each query that went down.
      references: output of `extreme_only`.
    """
    return (up.astype(np.float64) - down) @ references.T


def xcos(
    queries: Float[np.ndarray, "query gene"], references: Float[np.ndarray, "reference gene"]
) -> Float64[np.ndarray, "query reference"]:
    """Cosine similarity of a query and a reference, both reduced to their extremes.

    The eXtreme cosine of Cheng 2014; 0 if either has only zeros.

    Args:
      queries: output of `extreme_only`.
      references: output of `extreme_only`, possibly of another size.
    """
    return _unit(queries) @ _unit(references).T


def sscmap(
    queries: Float[np.ndarray, "query gene"], references: Float[np.ndarray, "reference gene"]
) -> Float64[np.ndarray, "query reference"]:
    """Connection strength of signed ranks, over its largest possible value (Zhang and Gant 2008).

    A reference's N genes are ranked by |value| (N for the largest), with the sign of the value;
    the query's m genes likewise from m to 1. The strength is the sum, over the query's genes, of
    the products of both, at most sum_i (N - i + 1)(m - i + 1). In [-1, 1]; ties share their mean
    rank, and genes of value 0 have rank 0.

    Args:
      queries: genes that are not in the query are 0; a query without genes scores 0.
      references: values of all genes.
    """
    num_genes = references.shape[1]
    size = (queries != 0).sum(axis=1)
    # Ranks among the query's own genes: genes outside the query rank below.
    query_ranks = _signed_ranks(queries) - np.sign(queries) * (num_genes - size)[:, None]
    # sum_i (N - i + 1)(m - i + 1) for i from 1 to m.
    largest = size * (size + 1) * (3 * num_genes - size + 1) / 6
    return query_ranks @ _signed_ranks(references).T / np.maximum(largest, 1)[:, None]


def _signed_ranks(values: Float[np.ndarray, "row gene"]) -> Float64[np.ndarray, "row gene"]:
    return np.sign(values) * rankdata(np.abs(values), axis=1)


def _unit(rows: Float[np.ndarray, "row gene"]) -> Float64[np.ndarray, "row gene"]:
    norm = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)
