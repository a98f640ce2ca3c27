"""Agreement of the explanations of two signatures or two models."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of pairs of explanations.

    Attributes:
      jaccard: Jaccard index of the sets of the k largest entries.
      spearman: rank correlation of all entries; NaN where either is constant.
    """

    jaccard: Float[np.ndarray, " example"]
    spearman: Float[np.ndarray, " example"]


def agreement_of_pairs(
    first: Float[np.ndarray, "example feature"],
    second: Float[np.ndarray, "example feature"],
    *,
    k: int = 50,
    by_size: bool = False,
) -> Agreement:
    """Agreement of the explanations in the same row of both.

    Args:
      first: contributions.
      second: contributions to the same scores, from another signature or another model.
      k: size of the sets of largest entries.
      by_size: compare absolute values.

    Raises:
      InputError: there are fewer entries than k.
    """
    if not 0 < k <= first.shape[-1]:
        raise InputError(
            f"cannot compare the largest {k} of {first.shape[-1]} entries; k must be between 1 and "
            f"{first.shape[-1]}."
        )
    if by_size:
        first, second = np.abs(first), np.abs(second)
    shared = np.array(
        [
            len(np.intersect1d(one, other))
            for one, other in zip(_top(first, k), _top(second, k), strict=True)
        ]
    )
    ranked = [stats.rankdata(values, axis=1) for values in (first, second)]
    centred = [ranks - ranks.mean(axis=1, keepdims=True) for ranks in ranked]
    length = np.prod([np.linalg.norm(ranks, axis=1) for ranks in centred], axis=0)
    product = (centred[0] * centred[1]).sum(axis=1)
    spearman = np.full(len(first), np.nan)
    np.divide(product, length, out=spearman, where=length > 0)
    return Agreement(jaccard=shared / (2 * k - shared), spearman=spearman)


def overlap_of_all_pairs(
    values: Float[np.ndarray, "example feature"], *, k: int, by_size: bool = False
) -> Float[np.ndarray, " pair"]:
    """`Agreement.jaccard` of all pairs of examples, such as a compound's signatures.

    Args:
      values: contributions.
      k: see `agreement_of_pairs`.
      by_size: see `agreement_of_pairs`.
    """
    pairs = list(itertools.combinations(range(len(values)), 2))
    if not pairs:
        return np.zeros(0)
    first, second = np.array(pairs).T
    return agreement_of_pairs(values[first], values[second], k=k, by_size=by_size).jaccard


def _top(values: Float[np.ndarray, "example feature"], k: int) -> Int[np.ndarray, "example k"]:
    return np.argsort(-values, axis=1, kind="stable")[:, :k]
