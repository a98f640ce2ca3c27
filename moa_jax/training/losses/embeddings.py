"""Losses of networks that embed signatures: contrast between examples, and an autoencoder's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def supervised_contrastive_loss(
    embedding: Float[Array, "batch feature"],
    labels: Float[Array, "batch moa"],
    example_mask: Bool[Array, " batch"],
    *,
    temperature: float,
) -> Float[Array, " batch"]:
    """Supervised contrastive loss (Khosla 2020, eq. 2): examples that share an MoA attract.

    The mean over the example's positives p, those that share an MoA with it, of
    `-log(exp(z . z_p / t) / sum over all others a of exp(z . z_a / t))`.

    Args:
      embedding: rows of unit length.
      labels: 0 or 1.
      example_mask: rows that take part, as anchor, positive or negative.
      temperature: t.

    Returns:
      The loss of each example as the anchor; 0 if it is masked or has no positive.
    """
    other = example_mask[:, None] & example_mask[None, :] & ~jnp.eye(len(embedding), dtype=bool)
    similarity = embedding @ embedding.T / temperature
    lowest = jnp.finfo(similarity.dtype).min
    log_probs = jax.nn.log_softmax(jnp.where(other, similarity, lowest), axis=-1)
    positive = other & (labels @ labels.T > 0)
    count = positive.sum(axis=-1)
    total = jnp.sum(jnp.where(positive, log_probs, 0.0), axis=-1)
    return -total / jnp.maximum(count, 1)


def gaussian_reconstruction(
    values: Float[Array, "batch gene"],
    reconstructed: Float[Array, "batch gene"],
    mask: Bool[Array, "batch gene"],
) -> Float[Array, " batch"]:
    """Half the squared error summed over the unmasked genes: a unit Gaussian's log likelihood."""
    return 0.5 * jnp.sum(jnp.where(mask, (values - reconstructed) ** 2, 0.0), axis=-1)


def gaussian_divergence(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"]
) -> Float[Array, " batch"]:
    """KL(N(mean, variance) || N(0, 1)), summed over dimensions (Kingma 2014, appendix B)."""
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1)
