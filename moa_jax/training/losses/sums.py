"""Masked sums of losses over a batch.

Padding rows are masked by `Batch.example_mask`, not by a weight of 0: rankings, contrastive losses
and mix-up see no weights, and a real example may have weight 0.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def masked_sum(
    values: Float[Array, " batch"], weight: Float[Array, " batch"], mask: Bool[Array, " batch"]
) -> Float[Array, ""]:
    """Weighted sum of the unmasked values; the masked ones may be NaN."""
    return jnp.sum(jnp.where(mask, weight, 0.0) * jnp.where(mask, values, 0.0))


def sum_as_of_all(
    values: Float[Array, " batch"],
    weight: Float[Array, " batch"],
    kept: Bool[Array, " batch"],
    whole: Bool[Array, " batch"],
) -> Float[Array, ""]:
    """The kept values' weighted mean times the weight of `whole`; 0 if none is kept."""
    ones = jnp.ones_like(values)
    of_kept = masked_sum(ones, weight, kept)
    scale = masked_sum(ones, weight, whole) / jnp.where(of_kept > 0, of_kept, 1.0)
    return masked_sum(values, weight, kept) * scale
