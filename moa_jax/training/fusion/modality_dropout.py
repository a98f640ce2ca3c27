"""Batches of which a network sees less than is there, and tasks that train on them."""

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


@dataclasses.dataclass(frozen=True)
class ModalityDropoutTask(TrainingTask):
    """A task whose network must do without one modality now and then.

    Attributes:
      model: the network.
      drop_expression: share of examples with both modalities that lose expression in a step.
      drop_structure: share of them that lose structure.
    """

    drop_expression: float
    drop_structure: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Loss of one step; see `TrainingTask.loss`."""
        del step
        return self.loss_of(self.expert_logits_in_training(params, batch, graph, rng), batch)

    def expert_logits_in_training(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array
    ) -> Any:
        """The model's output in a training step; see `TrainingTask.loss` for the arguments."""
        modality_rng, dropout_rng = jax.random.split(rng)
        seen = modality_dropout(
            modality_rng,
            batch,
            drop_expression=self.drop_expression,
            drop_structure=self.drop_structure,
        )
        return self.apply_in_training(params, seen, graph, dropout_rng)

    def apply_in_training(self, params: Any, seen: Batch, graph: GraphArrays, rng: Array) -> Any:
        """The model's output in training for a batch with the masks that the model shall see."""
        return self.model.apply({"params": params}, seen, graph, train=True, rngs={"dropout": rng})

    @abc.abstractmethod
    def loss_of(
        self, output: Any, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss and its parts, summed over examples.

        Args:
          output: the model's output for the batch whose masks the model saw.
          batch: the batch with the masks of what is really there.
        """
