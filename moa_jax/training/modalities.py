"""Batches of which a network sees less than is there."""

from __future__ import annotations

import dataclasses

import jax
from jaxtyping import Array

from moa_jax.schemas import Batch


def modality_dropout(
    rng: Array, batch: Batch, *, drop_expression: float, drop_structure: float
) -> Batch:
    """Hides one modality of some examples, never both, never the only one.

    Args:
      rng: key.
      batch: batch with the masks of what is there.
      drop_expression: share of examples that lose expression.
      drop_structure: share of examples that lose structure.
    """
    both = batch.expression_mask & batch.structure_mask
    draw = jax.random.uniform(rng, both.shape)
    lose_expression = both & (draw < drop_expression)
    lose_structure = both & (draw >= 1.0 - drop_structure)
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & ~lose_expression,
        structure_mask=batch.structure_mask & ~lose_structure,
    )


def keep_only(batch: Batch, *, expression: bool, structure: bool) -> Batch:
    """The batch as seen with some modalities alone."""
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & expression,
        structure_mask=batch.structure_mask & structure,
    )
