"""Paired randomisation test of average precisions, MoA by MoA.

If two methods are equally good, the two ranks of each compound are exchangeable (Fisher 1935; for
retrieval Smucker 2007). In every round each compound's ranks are exchanged with probability 1/2,
and the observed difference is compared with those of all rounds. For MoAs of five to ten compounds
this test keeps its level, while bootstrap p-values below 0.01 are two to four times too frequent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import stats
from threadpoolctl import threadpool_limits

from moa_jax.evaluation.bootstrap import two_sided_p
from moa_jax.evaluation.weighted_metrics import positives_in_blocks, sum_by_moa


def randomisation_p_values(
    first: Float[np.ndarray, "seed compound moa"],
    second: Float[np.ndarray, "seed compound moa"],
    positive: Bool[np.ndarray, "compound moa"],
    *,
    num_rounds: int,
    seed: int,
) -> Float[np.ndarray, " moa"]:
    """Two-sided p-value of each MoA's difference in mean average precision over seeds.

    Args:
      first: probabilities of one method; its seeds are paired with those of the other.
      second: probabilities of the other method.
      positive: the compound has the MoA.
      num_rounds: number of rounds; no p-value is below 2 / (`num_rounds` + 1).
      seed: seed of the exchanges.

    Returns:
      P-values, NaN for an MoA without a compound.
    """
    rng = np.random.default_rng(seed)
    tosses = rng.integers(0, 2, (num_rounds, len(positive)))
    # In the first round nothing is exchanged.
    exchanged = np.concatenate([np.zeros((1, len(positive)), int), tosses]).astype(np.float32)
    with threadpool_limits(limits=1, user_api="blas"):
        difference = np.mean(
            [
                exchanged_differences(exchanged, own, other, positive)
                for own, other in zip(first, second, strict=True)
            ],
            axis=0,
        )
    # Rounds with the same exchanges among the positives differ only by rounding errors.
    beyond = np.round(difference[1:] - difference[0], 12)
    return np.array([two_sided_p(column) for column in beyond.T])


def exchanged_differences(
    exchanged: Float32[np.ndarray, "round compound"],
    first: Float[np.ndarray, "compound moa"],
    second: Float[np.ndarray, "compound moa"],
    positive: Bool[np.ndarray, "compound moa"],
) -> Float[np.ndarray, "round moa"]:
    """Difference of average precisions after the ranks of some compounds were exchanged.

    Args:
      exchanged: 1 where the round exchanges the two ranks of the compound, else 0.
      first: scores of one method; only their ranks within an MoA matter.
      second: scores of the other method.
      positive: the compound has the MoA.
    """
    ranks = stats.rankdata(first, axis=0), stats.rankdata(second, axis=0)
    total = np.zeros((len(exchanged), positive.shape[1]))
    for rows, columns in positives_in_blocks(positive):
        hit = positive[:, columns]
        swap = exchanged[:, rows] > 0
        precision = []
        for own in ranks:
            # Compounds that reach the rank of the positive in the first list, and in both.
            reaches = [rank[:, columns] >= own[rows, columns] for rank in ranks]
            above, above_both = _reaching(exchanged, reaches)
            hits, hits_both = _reaching(exchanged, [each & hit for each in reaches])
            # A positive is in one of the lists only, so the other count may be zero.
            in_first = hits / np.maximum(above, 1)
            in_second = (hits_both - hits) / np.maximum(above_both - above, 1)
            precision.append((in_first, in_second))
        (first_kept, second_got), (first_got, second_kept) = precision
        gain = np.where(swap, first_got - second_got, first_kept - second_kept)
        total += sum_by_moa(gain, columns, positive.shape[1])
    num_positive = positive.sum(axis=0)
    return np.where(num_positive > 0, total / np.maximum(num_positive, 1), np.nan)


def _reaching(
    exchanged: Float32[np.ndarray, "round compound"],
    reaches: list[Bool[np.ndarray, "compound pair"]],
) -> tuple[Float[np.ndarray, "round pair"], Float[np.ndarray, " pair"]]:
    """Compounds of the first list that reach each pair's rank, and of both lists together."""
    first, second = (each.astype(np.float32) for each in reaches)
    count = first.sum(axis=0) + exchanged @ (second - first)
    return count.astype(float), (first + second).sum(axis=0).astype(float)
