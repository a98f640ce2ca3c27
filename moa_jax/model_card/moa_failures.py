"""Mechanisms that a model ranks no better than chance, with possible reasons."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from moa_jax.data.examples.pooling import median_by_compound, pool_by_compound, signature_strength
from moa_jax.evaluation.metrics import Labels, Probs, average_precision
from moa_jax.schemas import Examples

# A ranking with a larger p-value is no better than chance.
P_AT_CHANCE = 0.05
# Fewer training or test compounds are few.
FEW_TRAIN, FEW_TEST = 5, 2
# Signatures below this quantile of all compounds' strengths are weak.
WEAK_QUANTILE = 0.25
_NUM_DRAWS = 2_000


@dataclasses.dataclass(frozen=True)
class Failure:
    """A mechanism that is ranked no better than chance.

    Attributes:
      moa: the mechanism.
      num_test: number of test compounds that have it.
      num_train: number of training compounds that have it.
      num_measured: number of these with a signature.
      auprc: average precision.
      chance: mean average precision of random rankings.
      p_value: share of random rankings that are as good.
      reasons: possible reasons; may be empty.
    """

    moa: str
    num_test: int
    num_train: int
    num_measured: int
    auprc: float
    chance: float
    p_value: float
    reasons: tuple[str, ...]


def failures(
    probs: Probs, labels: Labels, moas: tuple[str, ...], train: Examples, test: Examples
) -> list[Failure]:
    """Mechanisms of test compounds that are ranked no better than chance, in their order.

    Args:
      probs: pooled probabilities of the test compounds.
      labels: their labels.
      moas: name of each column.
      train: training examples.
      test: examples of the test compounds.
    """
    num_train = _num_compounds(train)
    num_measured = _num_compounds(train.take(np.flatnonzero(train.has_expression)))
    strength = median_by_compound(signature_strength(test), test.groups)
    weak = _quantile(strength, WEAK_QUANTILE)
    failed = []
    for column in np.flatnonzero((labels > 0).any(axis=0)):
        positive = labels[:, column] > 0
        observed = float(average_precision(probs[:, [column]], labels[:, [column]])[0])
        draws = random_precisions(len(positive), int(positive.sum()))
        # The observed ranking counts as one of the draws (Phipson and Smyth 2010).
        p_value = (1 + int((draws >= observed - 1e-12).sum())) / (1 + len(draws))
        if p_value <= P_AT_CHANCE:
            continue
        reasons = []
        if num_measured[column] < FEW_TRAIN:
            reasons.append(f"few measured training compounds ({num_measured[column]})")
        if positive.sum() < FEW_TEST:
            reasons.append("only one test compound")
        if _quantile(strength[positive], 0.5) < weak:
            reasons.append("weak signatures (their median is in the lowest quarter)")
        failed.append(
            Failure(
                moa=moas[column],
                num_test=int(positive.sum()),
                num_train=int(num_train[column]),
                num_measured=int(num_measured[column]),
                auprc=observed,
                chance=float(draws.mean()),
                p_value=p_value,
                reasons=tuple(reasons),
            )
        )
    return failed


def random_precisions(num_compounds: int, num_positive: int) -> Float[np.ndarray, " draw"]:
    """Average precisions of random rankings of compounds, some of them positive."""
    rng = np.random.default_rng(num_positive)
    keys = rng.random((_NUM_DRAWS, num_compounds))
    ranks = np.sort(np.argsort(np.argsort(keys, axis=1), axis=1)[:, :num_positive], axis=1) + 1
    return (np.arange(1, num_positive + 1) / ranks).mean(axis=1)


def _quantile(values: Float[np.ndarray, " compound"], share: float) -> float:
    """Quantile of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if len(known) else float("nan")


def _num_compounds(examples: Examples) -> Int[np.ndarray, " moa"]:
    _, labels, _ = pool_by_compound(examples.labels, examples.labels, examples.groups)
    return (labels > 0).sum(axis=0)
