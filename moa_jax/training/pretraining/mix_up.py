"""Mix-up of signatures and labels: a change of a batch, and the fusion task that trains on it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, Int

from moa_jax.data.features import FeatureSpec
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.fusion_task import FusionTask, make_fusion_task


def mix_up(rng: Array, batch: Batch, *, alpha: float) -> Batch:
    """Mixes each signature and its labels with those of another row (Zhang 2018, section 2).

    With share s ~ Beta(alpha, alpha), at least 1/2, a row becomes s times itself and 1 - s times
    its partner. The share is folded to the upper half so that what is not mixed (structure, dose
    and time) is that of the larger part; a mixed row's structure is hidden, because no molecule
    has the mixed labels, and its cell line is unknown where the two differ. Rows stay as they are
    where they or their partner have no signature or are padding.

    Args:
      rng: key.
      batch: batch with the masks of what is there.
      alpha: parameter of the Beta distribution; above 0.
    """
    order_rng, share_rng = jax.random.split(rng)
    size = len(batch.example_mask)
    partner = jax.random.permutation(order_rng, size)
    share = jax.random.beta(share_rng, alpha, alpha, (size,))
    return mixed_with(batch, partner, jnp.maximum(share, 1.0 - share))


def mixed_with(batch: Batch, partner: Array, share: Float[Array, " batch"]) -> Batch:
    """The batch with each row mixed with a given partner; see `mix_up`."""
    usable = batch.expression_mask & batch.example_mask
    mixed = usable & usable[partner] & (partner != jnp.arange(len(partner)))
    share = jnp.where(mixed, share, 1.0)

    def blend(values: Array) -> Array:
        # A partner of share 0 counts for nothing, whatever stands there.
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


@dataclasses.dataclass(frozen=True)
class MixUpFusionTask(FusionTask):
    """The fusion task on mixed batches.

    Attributes:
      mix_up_alpha: `alpha` of `mix_up`.
    """

    mix_up_alpha: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The fusion task's loss of the mixed batch; see `Task.loss`."""
        mix_rng, task_rng = jax.random.split(rng)
        mixed = mix_up(mix_rng, batch, alpha=self.mix_up_alpha)
        return super().loss(params, mixed, graph, task_rng, step)


def make_mix_up_task(
    config: ml_collections.ConfigDict,
    features: FeatureSpec,
    graph_size: tuple[int, int],
    *,
    alpha: float,
) -> MixUpFusionTask:
    """The task of `make_fusion_task` with mix-up."""
    task = make_fusion_task(config, features, graph_size)
    settings = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    return MixUpFusionTask(**settings, mix_up_alpha=alpha)
