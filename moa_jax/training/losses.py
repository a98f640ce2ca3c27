"""Losses over masked labels, and the weights that balance the classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int


def masked_sum(
    values: Float[Array, " batch"], weight: Float[Array, " batch"], mask: Bool[Array, " batch"]
) -> Float[Array, ""]:
    """Weighted sum of the unmasked values, whatever stands in the masked ones."""
    return jnp.sum(jnp.where(mask, weight, 0.0) * jnp.where(mask, values, 0.0))


def label_distribution_cross_entropy(
    logits: Float[Array, "batch moa"],
    labels: Float[Array, "batch moa"],
    label_mask: Bool[Array, "batch moa"],
) -> Float[Array, " batch"]:
    """Cross-entropy between an example's labels, shared evenly, and the softmax over MoAs.

    With one label this is multinomial logistic loss; with several the optimum gives each an
    equal share. MoAs whose label is unknown take no part. An example without a known positive
    label costs 0.
    """
    lowest = jnp.finfo(logits.dtype).min
    log_probs = jax.nn.log_softmax(jnp.where(label_mask, logits, lowest), axis=-1)
    positive = jnp.where(label_mask, labels, 0.0)
    share = positive / jnp.maximum(positive.sum(axis=-1, keepdims=True), 1.0)
    return -jnp.sum(share * jnp.where(label_mask, log_probs, 0.0), axis=-1)


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
