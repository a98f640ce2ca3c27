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


def sum_as_of_all(
    values: Float[Array, " batch"],
    weight: Float[Array, " batch"],
    kept: Bool[Array, " batch"],
    whole: Bool[Array, " batch"],
) -> Float[Array, ""]:
    """Weighted sum over `whole` if all its values were like those kept; 0 where none is kept."""
    ones = jnp.ones_like(values)
    of_kept = masked_sum(ones, weight, kept)
    scale = masked_sum(ones, weight, whole) / jnp.where(of_kept > 0, of_kept, 1.0)
    return masked_sum(values, weight, kept) * scale


def label_distribution_cross_entropy(
    logits: Float[Array, "batch moa"],
    labels: Float[Array, "batch moa"],
    label_mask: Bool[Array, "batch moa"],
) -> Float[Array, " batch"]:
    """Cross-entropy between an example's labels, shared evenly, and the softmax over MoAs.

    With one label this is multinomial logistic loss; with several the optimum gives each an
    equal share. MoAs whose label is unknown take no part. An example without a known positive
    label costs 0. Labels may be probabilities: those that sum to 1 or less count as they are.
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


def supervised_contrastive_loss(
    embedding: Float[Array, "batch feature"],
    labels: Float[Array, "batch moa"],
    example_mask: Bool[Array, " batch"],
    *,
    temperature: float,
) -> Float[Array, " batch"]:
    """How much nearer each example is to those that share an MoA than to others.

    Khosla 2020, eq. 2: the mean over the example's positives p of
    `-log(exp(z . z_p / t) / sum over all others a of exp(z . z_a / t))`. Examples with a common
    MoA are positives of each other.

    Args:
      embedding: rows of unit length.
      labels: 0 or 1.
      example_mask: rows that are real; the others are nobody's positive or negative.
      temperature: t.

    Returns:
      The loss of each example as the anchor; 0 where it is masked or has no positive.
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
    """Negative log likelihood under unit Gaussians, in nats, without its constant.

    Half the squared error summed over the unmasked genes.
    """
    return 0.5 * jnp.sum(jnp.where(mask, (values - reconstructed) ** 2, 0.0), axis=-1)


def gaussian_divergence(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"]
) -> Float[Array, " batch"]:
    """KL(N(mean, variance) || N(0, 1)), summed over dimensions (Kingma 2014, appendix B)."""
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1)
