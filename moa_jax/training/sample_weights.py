"""Weights of training examples: by class, by replicate agreement and by a curriculum."""

from __future__ import annotations

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from moa_jax.data.examples.labels import strata
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.schemas import Examples

# The least reliability, so that no signature has weight 0.
MIN_RELIABILITY = 0.01


class SampleWeights:
    """Weights of the training examples in the loss, as a function of the step.

    The product of class weights (`balanced_weights`), `reliability ** quality_power` and a
    curriculum, `signal ** (signal_power * (1 - step / num_gradual))`, which favours strong
    signatures at first and becomes 1 at the step `num_gradual`.
    """

    def __init__(self, train: Examples, config: ml_collections.FrozenConfigDict) -> None:
        """Computes what does not change.

        Args:
          train: training examples; those without a label have the mean class weight.
          config: `training` of a configuration: `balance_power`, `quality_power` and
            `curriculum.signal_power`, each switched off by 0; `curriculum.gradual_fraction`, the
            share of `num_steps` that the curriculum takes.
        """
        labelled = np.flatnonzero(train.labels.any(axis=1))
        self._constant = np.ones(train.num_examples, np.float32)
        self._constant[labelled] = balanced_weights(
            strata(train.take(labelled)), power=config.balance_power
        )
        if config.quality_power:
            self._constant *= reliability(train.table) ** np.float32(config.quality_power)
        self._signal_power = config.curriculum.signal_power
        self._num_gradual = config.curriculum.gradual_fraction * config.num_steps
        self._signal = signal_rank(train) if self._signal_power else None

    def at(self, step: int) -> Float32[np.ndarray, " example"]:
        """The weights of the step after `step` updates."""
        left = max(0.0, 1.0 - step / self._num_gradual) if self._num_gradual else 0.0
        if self._signal is None or not left:
            return self._constant
        return self._constant * self._signal ** np.float32(self._signal_power * left)


def balanced_weights(
    strata: Int[np.ndarray, " example"], *, power: float
) -> Float32[np.ndarray, " example"]:
    """Weights `count(stratum) ** -power`, scaled to mean 1.

    Args:
      strata: class of every example.
      power: 0 gives equal weights, 1 gives every class the same total weight
        (scikit-learn's `class_weight="balanced"`).
    """
    counts = np.bincount(strata)[strata].astype(np.float64)
    weights = counts**-power
    return (weights / weights.mean()).astype(np.float32)


def reliability(table: pd.DataFrame) -> Float32[np.ndarray, " example"]:
    """Spearman-Brown reliability of each signature, divided by the mean; 1 where unknown.

    `n r / (1 + (n - 1) r)` for n replicates that correlate by r (Spearman 1910, Brown 1910), with
    `n_replicates` and `cc_q75` of the signature table.
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

    The signal is the signature's `tas`, or its `cc_q75` if that is missing, or else its strength
    (`signature_strength`). The measures have different scales, so a signature is compared with all
    that have the same measure. An example without a signature has no noise and ranks highest.
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
