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
from jaxtyping import Array, Bool, Float, Float32, Int32

from moa_jax.schemas import InputError

# Running sums per block: they should fit in the cache of a core.
_SUMS_PER_BLOCK = 2**15
_SIGNATURES_PER_BLOCK = 512
# Queries are padded to a multiple of `_QUERY_PADDING`, so that query sets of similar sizes share a
# compiled program.
_QUERIES_PER_BLOCK = 1024
_QUERY_PADDING = 128

# Sums that differ by less count as equally far from 0 (single precision).
_ROUNDING = 1e-6

# Quantiles that summarise a group of signatures (Subramanian 2017).
_HIGH, _LOW = 0.67, 0.33


def extreme_sets(
    signatures: Float[np.ndarray, "query gene"],
    size: int,
    *,
    measured: Bool[np.ndarray, " gene"] | None = None,
) -> tuple[Bool[np.ndarray, "query gene"], Bool[np.ndarray, "query gene"]]:
    """The `size` highest and the `size` lowest genes of each signature, as a query.

    Args:
      signatures: the signatures that become queries.
      size: genes in each set; at most half of the measured genes.
      measured: genes that may be in a set; None for all.

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
) -> Float32[np.ndarray, "query signature"]:
    """Weighted connectivity score of every query with every signature (Subramanian 2017).

    (ES_up - ES_down) / 2 where the two have opposite signs, else 0. A query with one empty set is
    scored by the other set (ES_up, or -ES_down), one with two empty sets is scored 0.

    Args:
      signatures: differential expression, by which genes are ranked.
      up: genes of each query that went up.
      down: genes of each query that went down.

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
        es_up, es_down = np.split(enrichment_scores(signatures, both), 2)
        opposite = np.where(np.sign(es_up) * np.sign(es_down) < 0, (es_up - es_down) / 2, 0)
        one_sided = ~up[rows].any(axis=1) | ~down[rows].any(axis=1)
        # The score of an empty set is 0.
        scores[rows] = np.where(one_sided[:, None], es_up - es_down, opposite)
    return scores


def enrichment_scores(
    signatures: Float[np.ndarray, "signature gene"],
    sets: Bool[np.ndarray, "set gene"],
) -> Float32[np.ndarray, "set signature"]:
    """Weighted Kolmogorov-Smirnov statistic of every set in every signature (Subramanian 2005).

    Down the genes from the highest, a running sum rises at each gene of the set by that gene's
    share of the set's |value| and falls at each other gene by an equal step; the score is the sum
    where it is furthest from 0 (the negative one of two equally far).

    It is 0 where it is undefined: for a set of no or of all genes, and where the weights of the
    set's genes are all 0.

    Args:
      signatures: values that rank and weigh the genes.
      sets: the genes of each set.

    Raises:
      InputError: a signature holds a value that is not finite.
    """
    _require_finite(signatures)
    scores = np.empty((len(sets), len(signatures)), np.float32)
    if not scores.size:
        return scores
    num_padded = -(-len(sets) // _QUERY_PADDING) * _QUERY_PADDING
    members = np.zeros((sets.shape[1], num_padded), bool)
    members[:, : len(sets)] = sets.T
    present = members.astype(np.float32)
    num_outside = len(members) - present.sum(axis=0)
    for start in range(0, len(signatures), _SIGNATURES_PER_BLOCK):
        values = signatures[start : start + _SIGNATURES_PER_BLOCK]
        order = np.argsort(-values, axis=1, kind="stable").astype(np.int32)
        weights = np.abs(values).astype(np.float32)
        total = weights @ present
        defined = (num_outside > 0) & (num_outside < len(members)) & (total > 0)
        gain = np.divide(num_outside, total, out=np.zeros_like(total), where=defined)
        ranked = np.take_along_axis(weights, order, axis=1)
        furthest = _furthest_sums(order, ranked, gain, members, _ROUNDING * num_outside)
        found = np.divide(furthest, num_outside, out=np.zeros_like(total), where=defined)
        scores[:, start : start + len(values)] = found[:, : len(sets)].T
    return scores


def _furthest_sums(
    order: Int32[np.ndarray, "signature rank"],
    ranked: Float32[np.ndarray, "signature rank"],
    gain: Float32[np.ndarray, "signature set"],
    members: Bool[np.ndarray, "gene set"],
    rounding: Float32[np.ndarray, " set"],
) -> Float32[np.ndarray, "signature set"]:
    """The running sums where they are furthest from 0, computed block by block."""
    furthest = np.empty_like(gain)
    on_device = jnp.asarray(members)
    size = min(len(order), max(1, _SUMS_PER_BLOCK // members.shape[1]))
    for start in range(0, len(order), size):
        # An incomplete last block repeats earlier rows, so that one program serves all blocks.
        rows = slice(min(start, len(order) - size), min(start + size, len(order)))
        furthest[rows] = _walk(order[rows].T, ranked[rows].T, gain[rows], on_device, rounding)
    return furthest


@jax.jit
def _walk(
    order: Int32[Array | np.ndarray, "rank signature"],
    ranked: Float32[Array | np.ndarray, "rank signature"],
    gain: Float32[Array | np.ndarray, "signature set"],
    members: Bool[Array, "gene set"],
    rounding: Float32[Array | np.ndarray, " set"],
) -> Float32[Array, "signature set"]:
    """Scans the ranks once, for all sets and signatures together.

    Args:
      order: gene at each rank.
      ranked: weight of the gene at each rank.
      gain: increment per unit of weight; sums are in units of the decrement of a gene outside
        the set.
      members: the genes of each set.
      rounding: sums that differ by less are equally far from 0.
    """

    def step(
        sums: tuple[Array, Array], rank: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], None]:
        gained, furthest = sums
        gene, weight, depth = rank
        # Every gene so far costs one unit (`depth` in total); genes of the set get it back.
        gained += (weight[:, None] * gain + 1) * members[gene]
        running = gained - depth
        return (gained, jnp.where(jnp.abs(running) > jnp.abs(furthest), running, furthest)), None

    depths = jnp.arange(1, len(order) + 1, dtype=gain.dtype)
    # Starting half a rounding error below 0 resolves equal distances downwards.
    start = jnp.broadcast_to(-rounding / 2, gain.shape)
    (_, furthest), _ = lax.scan(step, (start, jnp.zeros_like(gain)), (order, ranked, depths))
    return furthest + rounding / 2


def ncs(
    scores: Float[np.ndarray, "query signature"], contexts: Sequence[str | None]
) -> Float[np.ndarray, "query signature"]:
    """Normalised connectivity score (Subramanian 2017).

    Each query's score is divided by |the mean of its scores of the same sign| over the signatures
    of the same context; 0 stays 0.

    Args:
      scores: WTCS.
      contexts: cell line of each signature, with the type of perturbagen if there are several.
        Signatures of unknown context (None) form one context.
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
    """Tau: rank of a connection among those of reference queries (Subramanian 2017).

    sign(NCS) times the percentage of reference queries whose |NCS| with the same signature is
    smaller. In [-100, 100]; by convention connections beyond +-90 are of interest.

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
    """Summary of a group of signatures: 67th or 33rd percentile (Subramanian 2017).

    Whichever is further from 0 (the 67th if equal); NaN for an empty group. Percentiles are
    interpolated.
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
