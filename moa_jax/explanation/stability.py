"""Whether an explanation stays the same over seeds, folds, replicates and cell lines."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far pairs of explanations agree, in the mean over pairs.

    Attributes:
      jaccard: shared over all entries among the k largest of both.
      spearman: rank correlation of all entries; NaN where one of both is constant.
    """

    jaccard: Float[np.ndarray, " example"]
    spearman: Float[np.ndarray, " example"]


def agreement_of_runs(
    values: Float[np.ndarray, "run example feature"], *, k: int = 50, by_size: bool = False
) -> Agreement:
    """Agreement of every example's explanations between all pairs of runs (seeds or folds).

    Args:
      values: contributions from every run, for the same examples and scores.
      k: entries that count as the explanation.
      by_size: compare absolute values, where otherwise the k largest are those that speak for
        the score.

    Raises:
      InputError: there is only one run, or there are fewer entries than k.
    """
    _check(len(values), values.shape[-1], k)
    found = [
        agreement_of_pairs(values[one], values[other], k=k, by_size=by_size)
        for one, other in itertools.combinations(range(len(values)), 2)
    ]
    return Agreement(
        jaccard=np.mean([pair.jaccard for pair in found], axis=0),
        spearman=np.mean([pair.spearman for pair in found], axis=0),
    )


def agreement_of_pairs(
    first: Float[np.ndarray, "example feature"],
    second: Float[np.ndarray, "example feature"],
    *,
    k: int = 50,
    by_size: bool = False,
) -> Agreement:
    """Agreement of the explanations in the same row of both."""
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


def agreement_within(
    values: Float[np.ndarray, "example feature"],
    groups: Sequence[str],
    *,
    k: int = 50,
    by_size: bool = False,
) -> dict[str, Agreement]:
    """Agreement of all pairs of examples of one group, such as a compound's cell lines.

    Args:
      values: contributions.
      groups: group of every example: what its replicates or cell lines have in common.
      k: entries that count as the explanation.
      by_size: see `agreement_of_runs`.

    Returns:
      Group -> one entry per pair; groups of one example are left out.
    """
    _check(2, values.shape[-1], k)
    found = {}
    for name, rows in _rows_of(groups):
        pairs = np.array(list(itertools.combinations(rows, 2)), np.int64).reshape(-1, 2)
        if len(pairs):
            found[name] = agreement_of_pairs(
                values[pairs[:, 0]], values[pairs[:, 1]], k=k, by_size=by_size
            )
    return found


def _rows_of(groups: Sequence[str]) -> Iterator[tuple[str, Int[np.ndarray, " row"]]]:
    names = np.asarray(groups, dtype=str)
    for name in np.unique(names):
        yield str(name), np.flatnonzero(names == name)


def _top(values: Float[np.ndarray, "example feature"], k: int) -> Int[np.ndarray, "example k"]:
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def _check(num_runs: int, num_features: int, k: int) -> None:
    if num_runs < 2 or not 0 < k <= num_features:
        raise InputError(
            f"agreement of {num_runs} runs in the first {k} of {num_features} entries was asked "
            "for; expected two runs or more, and no more entries than there are."
        )
