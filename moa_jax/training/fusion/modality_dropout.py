"""Hiding modalities from a network in training."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Float, Int

from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.task import TrainingTask


def modality_dropout(
    rng: Array, batch: Batch, *, drop_expression: float, drop_structure: float
) -> Batch:
    """Hides one modality of some examples that have both.

    Args:
      rng: key.
      batch: batch with all its modalities.
      drop_expression: share of these examples that lose expression.
      drop_structure: share that lose structure.
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
    """The batch without the other modalities."""
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & expression,
        structure_mask=batch.structure_mask & structure,
    )


@dataclasses.dataclass(frozen=True)
class ModalityDropoutTask(TrainingTask):
    """A task with modality dropout in training; see `modality_dropout` for the shares."""

    drop_expression: float
    drop_structure: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Loss of one step; see `TrainingTask.loss`."""
        del step
        modality_rng, dropout_rng = jax.random.split(rng)
        seen = modality_dropout(
            modality_rng,
            batch,
            drop_expression=self.drop_expression,
            drop_structure=self.drop_structure,
        )
        output = self.model.apply(
            {"params": params}, seen, graph, train=True, rngs={"dropout": dropout_rng}
        )
        return self.loss_of(output, batch)

    @abc.abstractmethod
    def loss_of(
        self, output: Any, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss and its parts, summed over examples.

        Args:
          output: the model's output for the batch after modality dropout.
          batch: the batch before it.
        """
