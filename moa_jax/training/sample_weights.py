"""How much each training example counts: by class, by quality, and by signal at first."""

from __future__ import annotations

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from moa_jax.data.examples.labels import strata
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.schemas import Examples

# No signature counts for nothing, however little its replicates agree.
MIN_RELIABILITY = 0.01


class SampleWeights:
    """Weights of the training examples in the loss, as a function of the step.

    Those of the classes (`balanced_weights`), times `reliability ** quality_power`, times the
    curriculum's: `signal ** (signal_power * (1 - step / num_gradual))`, which brings strong
    signatures forward at first and lets all count alike from the step `num_gradual` on.
    """

    def __init__(self, train: Examples, config: ml_collections.FrozenConfigDict) -> None:
        """Computes what does not change.

        Args:
          train: training examples.
          config: `training` of a configuration: `balance_power`, `quality_power` and
            `curriculum.signal_power`, each 0 for none of it; `curriculum.gradual_fraction`, the
            share of `num_steps` after which all signals count alike.
        """
        self._still = balanced_weights(strata(train), power=config.balance_power)
        if config.quality_power:
            self._still *= reliability(train.table) ** np.float32(config.quality_power)
        self._signal_power = config.curriculum.signal_power
        self._num_gradual = config.curriculum.gradual_fraction * config.num_steps
        self._signal = signal_rank(train) if self._signal_power else None

    def at(self, step: int) -> Float32[np.ndarray, " example"]:
        """The weights of the step after `step` updates."""
        left = max(0.0, 1.0 - step / self._num_gradual) if self._num_gradual else 0.0
        if self._signal is None or not left:
            return self._still
        return self._still * self._signal ** np.float32(self._signal_power * left)


def balanced_weights(
    strata: Int[np.ndarray, " example"], *, power: float
) -> Float32[np.ndarray, " example"]:
    """Weights `count(stratum) ** -power`, scaled to mean 1.

    Args:
      strata: class of every example.
      power: 0 leaves the classes as they are, 1 gives every class the same total weight
        (scikit-learn's `class_weight="balanced"`).
    """
    counts = np.bincount(strata)[strata].astype(np.float64)
    weights = counts**-power
    return (weights / weights.mean()).astype(np.float32)


def reliability(table: pd.DataFrame) -> Float32[np.ndarray, " example"]:
    """How far a signature would agree with another one of as many replicates.

    `n r / (1 + (n - 1) r)` for n replicates that correlate by r (Spearman 1910, Brown 1910), with
    `n_replicates` and `cc_q75` of the signature table. Divided by the mean of those that are
    known; 1 where one of the two is not.
    """
    count = table["n_replicates"].to_numpy(np.float64, na_value=np.nan)
    correlation = table["cc_q75"].to_numpy(np.float64, na_value=np.nan).clip(0.0, 1.0)
    values = count * correlation / (1.0 + (count - 1.0) * correlation)
    known = np.isfinite(values)
    if not known.any():
        return np.ones(len(table), np.float32)
    values = np.maximum(values, MIN_RELIABILITY)
    return np.where(known, values / values[known].mean(), 1.0).astype(np.float32)


def signal_rank(examples: Examples) -> Float32[np.ndarray, " example"]:
    """Share of the examples whose signal is no stronger, from just above 0 to 1.

    The signal is the signature's `tas`; where that is missing `cc_q75`, and else its strength
    (`signature_strength`). Each measure has a scale of its own, so a signature is compared with
    all that have its measure. An example without signature has no noise and counts as the
    strongest.
    """
    rank = np.ones(examples.num_examples)
    left = examples.has_expression
    for values in _measures(examples):
        known = np.isfinite(values)
        ordered = np.sort(values[known])
        here = left & known
        rank[here] = np.searchsorted(ordered, values[here], side="right") / max(len(ordered), 1)
        left = left & ~known
    return rank.astype(np.float32)


def _measures(examples: Examples) -> tuple[Float[np.ndarray, " example"], ...]:
    tas, correlation = (
        examples.table[name].to_numpy(np.float64, na_value=np.nan) for name in ("tas", "cc_q75")
    )
    return tas, correlation, signature_strength(examples)
