"""Mix-up of signatures and labels within a batch."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.schemas import Batch


def mix_up(rng: Array, batch: Batch, *, alpha: float) -> Batch:
    """Mixes each signature and its labels with those of another row (Zhang 2018, section 2).

    With share s ~ Beta(alpha, alpha), folded to at least 1/2, a row becomes s times itself plus
    1 - s times its partner, and keeps its own dose and time. Its structure is hidden, because no
    molecule has the mixed labels, and its cell line is unknown if the two differ. A row is not
    mixed if it or its partner has no signature or is padding.

    Args:
      rng: key.
      batch: the batch.
      alpha: parameter of the Beta distribution; above 0.
    """
    order_rng, share_rng = jax.random.split(rng)
    size = len(batch.example_mask)
    partner = jax.random.permutation(order_rng, size)
    share = jax.random.beta(share_rng, alpha, alpha, (size,))
    return mixed_with(batch, partner, jnp.maximum(share, 1.0 - share))


def mixed_with(batch: Batch, partner: Array, share: Float[Array, " batch"]) -> Batch:
    """The batch with each row mixed with its partner; see `mix_up`."""
    usable = batch.expression_mask & batch.example_mask
    mixed = usable & usable[partner] & (partner != jnp.arange(len(partner)))
    share = jnp.where(mixed, share, 1.0)

    def blend(values: Array) -> Array:
        # Zeros, because a partner of share 0 may hold NaN.
        other = jnp.where(mixed[:, None], values[partner], 0.0)
        return share[:, None] * values + (1.0 - share[:, None]) * other

    both = lambda mask: jnp.where(mixed[:, None], mask & mask[partner], mask)  # noqa: E731 (two uses)
    same_line = batch.cell_line == batch.cell_line[partner]
    return dataclasses.replace(
        batch,
        expression=blend(batch.expression),
        gene_mask=both(batch.gene_mask),
        labels=blend(batch.labels),
        label_mask=both(batch.label_mask),
        weight=blend(batch.weight[:, None])[:, 0],
        cell_line=jnp.where(mixed & ~same_line, 0, batch.cell_line),
        structure_mask=batch.structure_mask & ~mixed,
    )
