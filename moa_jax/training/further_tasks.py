"""Second tasks of the joint expert: known targets, how the cells fare, and the kind of structure.

What is asked for comes with the example and costs no label: a state that knows it may tell
mechanisms better where few compounds have one (Caruana 1997).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from moa_jax.compounds.substructures import NUM_KEYS
from moa_jax.data.features import FeatureSpec
from moa_jax.knowledge.viability_genes import PROLIFERATION_GENES, STRESS_GENES
from moa_jax.schemas import Batch
from moa_jax.training.known_targets import target_loss
from moa_jax.training.losses import masked_sum

# Task -> its number of outputs; targets are scored among the graph's genes.
TASKS = {"target": 0, "viability": 1, "structure_keys": NUM_KEYS}


@dataclasses.dataclass(frozen=True)
class FurtherTasks:
    """Which second tasks are learned.

    Attributes:
      weights: (task, weight of its loss) of those that are.
      dividing: columns of the genes that are high in dividing cells.
      stressed: columns of those that stressed cells raise.
    """

    weights: tuple[tuple[str, float], ...]
    dividing: tuple[int, ...]
    stressed: tuple[int, ...]

    @property
    def outputs(self) -> tuple[tuple[str, int], ...]:
        """(task, number of outputs)."""
        return tuple((name, TASKS[name]) for name, _ in self.weights)

    def losses(
        self, said: Mapping[str, Float[Array, "batch output"]], batch: Batch
    ) -> dict[str, Float[Array, ""]]:
        """Loss of each task, summed over the batch's examples, each times its weight.

        Args:
          said: task -> what the model says.
          batch: the batch with the masks of what is really there.
        """
        losses = {
            "target": lambda logits: target_loss(logits, batch),
            "viability": lambda said: viability_loss(said[:, 0], batch, self),
            "structure_keys": lambda logits: structure_key_loss(logits, batch),
        }
        return {name: losses[name](said[name]) for name, _ in self.weights}


def make_further_tasks(
    config: ml_collections.FrozenConfigDict, features: FeatureSpec
) -> FurtherTasks:
    """The second tasks of `config.training.loss`: those with a weight above 0."""
    columns = {
        genes: tuple(np.flatnonzero(np.isin(features.gene_symbols, genes)).tolist())
        for genes in (PROLIFERATION_GENES, STRESS_GENES)
    }
    weights = {name: config[f"{name}_weight"] for name in TASKS}
    return FurtherTasks(
        tuple((name, weight) for name, weight in weights.items() if weight > 0),
        dividing=columns[PROLIFERATION_GENES],
        stressed=columns[STRESS_GENES],
    )


def viability(
    batch: Batch, tasks: FurtherTasks
) -> tuple[Float[Array, " batch"], Bool[Array, " batch"]]:
    """Mean of the genes of dividing cells less that of stressed ones, and whether it is known.

    In standard deviations of the training signatures. It is known of signatures that measure a
    gene of both kinds.
    """
    means, known = [], batch.expression_mask
    for columns in (tasks.dividing, tasks.stressed):
        mask = batch.gene_mask[:, np.array(columns, int)]
        values = jnp.where(mask, batch.expression[:, np.array(columns, int)], 0.0)
        count = mask.sum(axis=1)
        means.append(values.sum(axis=1) / jnp.maximum(count, 1))
        known = known & (count > 0)
    return means[0] - means[1], known


def viability_loss(
    said: Float[Array, " batch"], batch: Batch, tasks: FurtherTasks
) -> Float[Array, ""]:
    """Squared error of `viability`; signatures of which it is not known cost 0."""
    wanted, known = viability(batch, tasks)
    return masked_sum((said - wanted) ** 2, batch.weight, known & batch.example_mask)


def structure_key_loss(logits: Float[Array, "batch key"], batch: Batch) -> Float[Array, ""]:
    """Mean cross-entropy over the MACCS keys of the structure; examples without one cost 0."""
    keys = (batch.substructures[:, -logits.shape[1] :] > 0).astype(logits.dtype)
    losses = optax.sigmoid_binary_cross_entropy(logits, keys).mean(axis=1)
    return masked_sum(losses, batch.weight, batch.structure_mask & batch.example_mask)
