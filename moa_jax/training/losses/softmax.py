"""Cross-entropy of a softmax over the MoAs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def label_distribution_cross_entropy(
    logits: Float[Array, "batch moa"],
    labels: Float[Array, "batch moa"],
    label_mask: Bool[Array, "batch moa"],
) -> Float[Array, " batch"]:
    """Cross-entropy between an example's labels, divided by their sum, and the softmax over MoAs.

    With one label this is the multinomial logistic loss. MoAs whose label is unknown are left out
    of the softmax. An example without a known positive label costs 0. Labels may be probabilities;
    those that sum to less than 1 are not scaled up.
    """
    lowest = jnp.finfo(logits.dtype).min
    log_probs = jax.nn.log_softmax(jnp.where(label_mask, logits, lowest), axis=-1)
    positive = jnp.where(label_mask, labels, 0.0)
    share = positive / jnp.maximum(positive.sum(axis=-1, keepdims=True), 1.0)
    return -jnp.sum(share * jnp.where(label_mask, log_probs, 0.0), axis=-1)
