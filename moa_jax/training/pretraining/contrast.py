"""Contrastive losses: signatures of one compound, and signatures with structures.

Rows of one compound are never each other's negatives.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.training.losses.embeddings import supervised_contrastive_loss


def compound_contrast(
    embedding: Float[Array, "batch feature"],
    compound: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    temperature: float,
) -> Float[Array, ""]:
    """NT-Xent loss (Chen 2020, eq. 1) in which signatures of one compound attract.

    All signatures of the compound in the batch are positives, as in Khosla 2020, eq. 2.

    Args:
      embedding: rows of unit length.
      compound: number of each row's compound.
      mask: rows that have a signature.
      temperature: divides the cosines.

    Returns:
      Mean over the rows that have a positive; 0 if none has.
    """
    same = compound[:, None] == compound[None, :]
    losses = supervised_contrastive_loss(
        embedding, same.astype(embedding.dtype), mask, temperature=temperature
    )
    others = same & mask[None, :] & ~jnp.eye(len(compound), dtype=bool)
    anchors = mask & others.any(axis=1)
    return _mean(losses, anchors)


def alignment_loss(
    signature: Float[Array, "batch feature"],
    structure: Float[Array, "batch feature"],
    compound: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    temperature: float,
) -> Float[Array, ""]:
    """Symmetric contrastive loss between signatures and their structures (Radford 2021, figure 3).

    A row's own structure is its positive; other rows of its compound are left out.

    Args:
      signature: embeddings of signatures, rows of unit length.
      structure: embeddings of the structures of the same rows, of unit length.
      compound: number of each row's compound.
      mask: rows that have both.
      temperature: divides the cosines.

    Returns:
      Mean over the unmasked rows; 0 without any.
    """
    similarity = signature @ structure.T / temperature
    itself = jnp.eye(len(compound), dtype=bool)
    other_compound = compound[:, None] != compound[None, :]
    candidate = mask[:, None] & mask[None, :] & (other_compound | itself)
    similarity = jnp.where(candidate, similarity, jnp.finfo(similarity.dtype).min)
    find_structure = -jnp.diagonal(jax.nn.log_softmax(similarity, axis=1))
    find_signature = -jnp.diagonal(jax.nn.log_softmax(similarity, axis=0))
    return _mean((find_structure + find_signature) / 2, mask)


def _mean(values: Float[Array, " batch"], mask: Bool[Array, " batch"]) -> Float[Array, ""]:
    """Mean over the unmasked rows, 0 without any."""
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.maximum(mask.sum(), 1)
