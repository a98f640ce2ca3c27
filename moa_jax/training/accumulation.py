"""Gradient accumulation over micro-batches, for batches that do not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from moa_jax.schemas import Batch

# (trained parameters, batch, key) -> the loss and its parts; see `TrainingTask.loss`.
Loss = Callable[[Any, Batch, Array], tuple[Array, dict[str, Array]]]


def summed_gradients(
    loss_of: Loss, params: Any, batch: Batch, rng: Array, *, micro_batches: int
) -> tuple[Array, dict[str, Array], Any]:
    """Loss, parts and gradients, summed over the examples of a batch.

    Micro-batches are processed one after the other, each with its own key, so that the activations
    of only one are in memory. A loss that compares the examples of a batch, for instance ranks
    them, compares those of a micro-batch.

    Args:
      loss_of: the loss summed over examples.
      params: the parameters to differentiate.
      batch: the batch; molecules of each micro-batch in its own shards, see `micro_batches_of`.
      rng: key of the step.
      micro_batches: number of micro-batches.
    """
    differentiate = jax.value_and_grad(loss_of, has_aux=True)

    def totals_of(piece: Batch, key: Array) -> tuple[Array, dict[str, Array], Any]:
        (loss, parts), gradients = differentiate(params, piece, key)
        return loss, parts, gradients

    if micro_batches == 1:
        return totals_of(batch, rng)
    pieces = micro_batches_of(batch, micro_batches)
    shapes = jax.eval_shape(totals_of, jax.tree.map(lambda leaf: leaf[0], pieces), rng)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(totals: Any, number_and_piece: tuple[Array, Batch]) -> tuple[Any, None]:
        number, piece = number_and_piece
        new = totals_of(piece, jax.random.fold_in(rng, number))
        return jax.tree.map(jnp.add, totals, new), None

    return jax.lax.scan(add, zeros, (jnp.arange(micro_batches), pieces))[0]


def micro_batches_of(batch: Batch, count: int) -> Batch:
    """Every array of a batch with a leading axis of micro-batches.

    A batch over several devices has one block of rows per device. Each micro-batch takes a part of
    every block, so that no row moves to another device.

    Args:
      batch: a batch whose molecules are in `count` shards per device.
      count: number of micro-batches.
    """
    num_devices = batch.molecules.atom_mask.shape[0] // count

    def divide(leaf: Array) -> Array:
        rows = leaf.shape[0] // (num_devices * count)
        blocks = leaf.reshape(num_devices, count, rows, *leaf.shape[1:])
        return jnp.swapaxes(blocks, 0, 1).reshape(count, num_devices * rows, *leaf.shape[1:])

    return jax.tree.map(divide, batch)
