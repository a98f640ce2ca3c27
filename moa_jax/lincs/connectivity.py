"""CMap's connectivity of query gene sets to signatures: WTCS, NCS, tau (Subramanian 2017).

A query is a set of genes that went up and a set that went down. Every score is computed for all
queries against all signatures. Genes of equal value are ranked in the order of the columns.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax
from jaxtyping import Array, Bool, Float, Float32

from moa_jax.schemas import InputError

# The running sums in memory at a time: more would not stay in the cache of a core.
_SUMS_PER_BLOCK = 2**15

# Queries scored at a time. Fewer are padded to a multiple of `_QUERY_PADDING`, so that sets of
# queries of about one size share a compiled program.
_QUERIES_PER_BLOCK = 1024
_QUERY_PADDING = 128

# Sums closer than this are equally far from 0: single precision cannot tell them apart.
_ROUNDING = 1e-6

# The quantiles that sum up a group of signatures, in Subramanian 2017.
_HIGH, _LOW = 0.67, 0.33


def extreme_sets(
    signatures: Float[np.ndarray, "query gene"],
    size: int,
    *,
    measured: Bool[np.ndarray, " gene"] | None = None,
) -> tuple[Bool[np.ndarray, "query gene"], Bool[np.ndarray, "query gene"]]:
    """The `size` highest and the `size` lowest genes of each signature, as a query.

    Args:
      signatures: what the queries are made of.
      size: genes in each set; half of the measured genes where there are fewer than twice as many.
      measured: genes that may enter a set; None for all.

    Raises:
      InputError: a measured gene has no finite value.
    """
    columns = np.arange(signatures.shape[1]) if measured is None else np.flatnonzero(measured)
    values = signatures[:, columns]
    _require_finite(values)
    size = min(size, len(columns) // 2)
    order = columns[np.argsort(-values, axis=1, kind="stable")]
    up, down = np.zeros((2, *signatures.shape), bool)
    np.put_along_axis(up, order[:, :size], True, axis=1)
    np.put_along_axis(down, order[:, len(columns) - size :], True, axis=1)
    return up, down


def wtcs(
    signatures: Float[np.ndarray, "signature gene"],
    up: Bool[np.ndarray, "query gene"],
    down: Bool[np.ndarray, "query gene"],
    *,
    exponent: float = 1.0,
) -> Float32[np.ndarray, "query signature"]:
    """Weighted connectivity score of every query with every signature (Subramanian 2017).

    (ES_up - ES_down) / 2 where the two have opposite signs, else 0. A query with one empty set is
    scored by the other alone (ES_up, or -ES_down), one with two empty sets 0.

    Args:
      signatures: differential expression; its order within a row ranks the genes.
      up: genes of each query that went up.
      down: genes of each query that went down.
      exponent: see `enrichment_scores`; 0 for the unweighted score.

    Raises:
      InputError: a signature holds a value that is not finite, or a gene is in both sets.
    """
    if (up & down).any():
        query, gene = np.argwhere(up & down)[0]
        raise InputError(
            f"query {query + 1} has gene {gene + 1} in its up and in its down set; "
            "expected it in one of them."
        )
    scores = np.empty((len(up), len(signatures)), np.float32)
    for start in range(0, len(up), _QUERIES_PER_BLOCK):
        rows = slice(start, start + _QUERIES_PER_BLOCK)
        both = np.concatenate([up[rows], down[rows]])
        es_up, es_down = np.split(enrichment_scores(signatures, both, exponent=exponent), 2)
        opposite = np.where(np.sign(es_up) * np.sign(es_down) < 0, (es_up - es_down) / 2, 0)
        one_sided = ~up[rows].any(axis=1) | ~down[rows].any(axis=1)
        # The score of an empty set is 0.
        scores[rows] = np.where(one_sided[:, None], es_up - es_down, opposite)
    return scores


def enrichment_scores(
    signatures: Float[np.ndarray, "signature gene"],
    sets: Bool[np.ndarray, "set gene"],
    *,
    exponent: float = 1.0,
) -> Float32[np.ndarray, "set signature"]:
    """Weighted Kolmogorov-Smirnov statistic of every set in every signature (Subramanian 2005).

    Going down a signature from its highest gene, a sum rises at each gene of the set by that
    gene's share of the set's |value|^exponent and falls at each other gene by an equal step; the
    score is the sum where it is furthest from 0 (below 0 if equally far on both sides).

    It is 0 where it is not defined: for a set of no or of all genes, and where the weights of
    the set's genes are all 0.

    Args:
      signatures: values that rank and weigh the genes.
      sets: the genes of each set.
      exponent: 1 for CMap's weighted statistic, 0 for the unweighted one.

    Raises:
      InputError: a signature holds a value that is not finite.
    """
    _require_finite(signatures)
    num_signatures, num_genes = signatures.shape
    scores = np.empty((len(sets), num_signatures), np.float32)
    if not scores.size:
        return scores
    num_padded = -(-len(sets) // _QUERY_PADDING) * _QUERY_PADDING
    padded = np.zeros((num_genes, num_padded), np.float32)
    padded[:, : len(sets)] = sets.T
    members = jnp.asarray(padded)
    size = min(num_signatures, max(1, _SUMS_PER_BLOCK // num_padded))
    for start in range(0, num_signatures, size):
        block = np.zeros((size, num_genes), np.float32)
        found = signatures[start : start + size]
        block[: len(found)] = found
        made = np.asarray(_enrichment_of_block(block, members, exponent))
        scores[:, start : start + size] = made[: len(found), : len(sets)].T
    return scores


@functools.partial(jax.jit, static_argnames="exponent")
def _enrichment_of_block(
    signatures: Float[Array | np.ndarray, "signature gene"],
    members: Float[Array, "gene set"],
    exponent: float,
) -> Float[Array, "signature set"]:
    """Walks down the ranks once, all sums of the block side by side."""
    num_genes = signatures.shape[1]
    order = jnp.argsort(-signatures, axis=1, stable=True)
    weights = jnp.abs(signatures) ** exponent
    total = jnp.matmul(weights, members, precision=lax.Precision.HIGHEST)
    set_size = members.sum(axis=0)
    defined = (set_size > 0) & (set_size < num_genes) & (total > 0)
    share = jnp.where(defined, 1 / jnp.where(defined, total, 1), 0)
    # What a gene outside the set costs.
    step = 1 / jnp.maximum(num_genes - set_size, 1)

    def walk(
        sums: tuple[Array, Array, Array], rank: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array, Array], None]:
        gained, highest, lowest = sums
        gene, weight, depth = rank
        # The cost of all genes so far is one product, not a sum of roundings.
        gained += (weight[:, None] * share + step) * members[gene]
        running = gained - depth * step
        return (gained, jnp.maximum(highest, running), jnp.minimum(lowest, running)), None

    zeros = jnp.zeros_like(total)
    ranked = jnp.take_along_axis(weights, order, axis=1)
    depths = jnp.arange(1, num_genes + 1, dtype=signatures.dtype)
    (_, highest, lowest), _ = lax.scan(walk, (zeros,) * 3, (order.T, ranked.T, depths))
    return jnp.where(defined, jnp.where(highest + lowest > _ROUNDING, highest, lowest), 0)


def ncs(
    scores: Float[np.ndarray, "query signature"], contexts: Sequence[str | None]
) -> Float[np.ndarray, "query signature"]:
    """Normalised connectivity score (Subramanian 2017).

    Each query's score is divided by |the mean of its scores of that sign| over the signatures
    of the same context; 0 stays 0.

    Args:
      scores: WTCS.
      contexts: of each signature, its cell line, with the type of perturbagen where there are
        several. Signatures of unknown context (None) are a context together.
    """
    codes, names = pd.factorize(np.asarray(contexts, dtype=object), use_na_sentinel=False)
    of_context = np.eye(len(names))[codes]
    normalised = np.zeros_like(scores)
    for same_sign in (scores > 0, scores < 0):
        count = same_sign @ of_context
        total = np.abs(np.where(same_sign, scores, 0)) @ of_context
        mean = (total / np.maximum(count, 1))[:, codes]
        np.divide(scores, mean, out=normalised, where=same_sign)
    return normalised


def tau(
    scores: Float[np.ndarray, "query signature"],
    references: Float[np.ndarray, "reference signature"],
) -> Float32[np.ndarray, "query signature"]:
    """Tau: how rare so strong a connection with that signature is (Subramanian 2017).

    sign(NCS) times the percentage of reference queries whose |NCS| with the same signature is
    smaller. In [-100, 100]; beyond +-90 is the convention for a connection worth a look.

    Args:
      scores: NCS of the queries.
      references: NCS of the reference queries, at least one, with the same signatures.
    """
    smaller = _count_smaller(np.abs(references), np.abs(scores))
    return (np.sign(scores) * 100 * np.asarray(smaller) / len(references)).astype(np.float32)


@jax.jit
@functools.partial(jax.vmap, in_axes=1, out_axes=1)
def _count_smaller(
    references: Float[Array | np.ndarray, " reference"], values: Float[Array | np.ndarray, " value"]
) -> Array:
    return jnp.searchsorted(jnp.sort(references), values, side="left")


def max_quantile(
    scores: Float[np.ndarray, "query signature"], members: Bool[np.ndarray, "group signature"]
) -> Float[np.ndarray, "query group"]:
    """Sums up the signatures of a group: its 67th or its 33rd percentile (Subramanian 2017).

    The one that is further from 0, the 67th of equals; NaN for a group without members.
    Percentiles between two scores are interpolated.
    """
    summed = np.full((len(scores), len(members)), np.nan, scores.dtype)
    for group, rows in enumerate(members):
        if rows.any():
            high, low = np.quantile(scores[:, rows], [_HIGH, _LOW], axis=1)
            summed[:, group] = np.where(np.abs(high) >= np.abs(low), high, low)
    return summed


def _require_finite(values: Float[np.ndarray, "signature gene"]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, gene = np.argwhere(~finite)[0]
        raise InputError(
            f"signature {row + 1} has the value {values[row, gene]} for gene {gene + 1}; "
            "expected a finite number."
        )
