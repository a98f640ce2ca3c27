"""Losses of a softmax over the MoAs, or over proteins."""

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
    return softmax_cost(logits, labels, label_mask, q=0.0)


def softmax_cost(
    logits: Float[Array, "batch label"],
    labels: Float[Array, "batch label"],
    label_mask: Bool[Array, "batch label"],
    *,
    q: float,
) -> Float[Array, " batch"]:
    """Generalised cross-entropy of a softmax, `(1 - p^q) / q` (Zhang 2018, eq. 6), over labels.

    For the rest see `label_distribution_cross_entropy`.

    Args:
      logits: logits.
      labels: labels, or probabilities of them.
      label_mask: labels that are known; others are left out of the softmax.
      q: at 0 cross-entropy, at 1 mean absolute error. The larger, the less an example counts whose
        labels seem unlikely.
    """
    lowest = jnp.finfo(logits.dtype).min
    log_probs = jax.nn.log_softmax(jnp.where(label_mask, logits, lowest), axis=-1)
    costs = -jnp.expm1(q * log_probs) / q if q else -log_probs
    positive = jnp.where(label_mask, labels, 0.0)
    share = positive / jnp.maximum(positive.sum(axis=-1, keepdims=True), 1.0)
    return jnp.sum(share * jnp.where(label_mask, costs, 0.0), axis=-1)
