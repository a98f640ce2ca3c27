"""Masked-gene modelling: hidden genes are predicted from the others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.schemas import Batch


def hide_genes(
    rng: Array, batch: Batch, *, share: float
) -> tuple[Batch, Bool[Array, "batch gene"]]:
    """Hides measured genes independently, as if they had not been measured.

    Args:
      rng: key.
      batch: the batch.
      share: probability that a gene is hidden.

    Returns:
      The batch without the hidden genes, and the mask of these.
    """
    drawn = jax.random.uniform(rng, batch.gene_mask.shape) < share
    hidden = drawn & batch.gene_mask & batch.example_mask[:, None]
    seen = dataclasses.replace(
        batch,
        expression=jnp.where(hidden, 0.0, batch.expression),
        gene_mask=batch.gene_mask & ~hidden,
    )
    return seen, hidden


def mean_squared_error(
    predicted: Float[Array, "batch column"],
    values: Float[Array, "batch column"],
    mask: Bool[Array, "batch column"],
) -> Float[Array, ""]:
    """Mean squared error over the unmasked entries; 0 without any. The others may be NaN."""
    error = jnp.where(mask, predicted - jnp.where(mask, values, 0.0), 0.0)
    return jnp.sum(error**2) / jnp.maximum(mask.sum(), 1)
