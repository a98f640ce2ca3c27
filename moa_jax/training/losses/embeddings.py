"""Losses of networks that embed signatures: contrast between examples, and an autoencoder's."""

from __future__ import annotations

import functools

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


def semihard_triplet_loss(
    embedding: Float[Array, "batch feature"],
    labels: Float[Array, "batch moa"],
    example_mask: Bool[Array, " batch"],
    *,
    margin: float,
    width: float,
) -> Float[Array, ""]:
    """Mean triplet margin loss over semi-hard triplets (Schroff 2015; on signatures MOASL, 2024).

    A triplet of anchor a, positive p (shares an MoA) and negative n is semi-hard if n is less
    similar to the anchor than p, but by no more than `width`. Its loss is
    `a . n - a . p + margin`, which is above 0 because `margin >= width`.

    Each pair's number of triplets is counted in sorted rows, so that time and memory grow with the
    square of the batch and not with its cube.

    Args:
      embedding: rows of unit length.
      labels: 0 or 1.
      example_mask: rows that take part.
      margin: see above.
      width: see above.

    Returns:
      The mean; 0 if no triplet is semi-hard.
    """
    pair = example_mask[:, None] & example_mask[None, :]
    shared = labels @ labels.T > 0
    positive = pair & shared & ~jnp.eye(len(embedding), dtype=bool)
    negative = pair & ~shared
    similarity = embedding @ embedding.T
    fixed = jax.lax.stop_gradient(similarity)

    def count_below(
        values: Float[Array, "batch batch"],
        limits: Float[Array, "batch batch"],
        kept: Bool[Array, "batch batch"],
        side: str,
    ) -> Float[Array, "batch batch"]:
        """Row by row, the number of kept values below each limit (`right`: or equal to it)."""
        ordered = jnp.sort(jnp.where(kept, values, jnp.inf), axis=-1)
        search = functools.partial(jnp.searchsorted, side=side)
        return jax.vmap(search)(ordered, limits).astype(values.dtype)

    of_positive = count_below(fixed, fixed, negative, "left") - count_below(
        fixed, fixed - width, negative, "left"
    )
    of_negative = count_below(fixed, fixed + width, positive, "right") - count_below(
        fixed, fixed, positive, "right"
    )
    of_positive = jnp.where(positive, of_positive, 0.0)
    of_negative = jnp.where(negative, of_negative, 0.0)
    count = of_positive.sum()
    total = jnp.sum((of_negative - of_positive) * similarity) + margin * count
    return total / jnp.maximum(count, 1.0)


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
