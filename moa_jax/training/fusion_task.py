"""The fusion model's task: three experts that must answer alone, and views of what they know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.data.features import FeatureSpec
from moa_jax.models.fusion import FusionModel, FusionOutput
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.losses import label_distribution_cross_entropy, masked_sum
from moa_jax.training.modalities import ModalityDropoutTask, keep_only


@dataclasses.dataclass(frozen=True)
class FusionTask(ModalityDropoutTask):
    """Losses of the three experts under modality dropout.

    The product itself is not trained: its scales are fitted to validation compounds later.

    Attributes:
      model: the network.
      joint_weight: weight of the joint expert's loss.
      expression_weight: weight of the expression expert's loss.
      structure_weight: weight of the structure expert's loss.
    """

    model: FusionModel
    joint_weight: float
    expression_weight: float
    structure_weight: float

    selection_view: ClassVar[str] = "fusion"

    def loss_of(
        self, output: FusionOutput, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The weighted losses; see `ModalityDropoutTask.loss_of`."""

        def total(logits: Float[Array, "batch moa"], mask: Bool[Array, " batch"]) -> Array:
            losses = label_distribution_cross_entropy(logits, batch.labels, batch.label_mask)
            return masked_sum(losses, batch.weight, mask & batch.example_mask)

        parts = {
            "joint": total(output.joint_logits, jnp.ones_like(batch.example_mask)),
            "expression": total(output.expression_logits, batch.expression_mask),
            "structure": total(output.structure_logits, batch.structure_mask),
        }
        weights = {
            "joint": self.joint_weight,
            "expression": self.expression_weight,
            "structure": self.structure_weight,
        }
        return sum(weights[name] * value for name, value in parts.items()), parts

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Probabilities from both modalities and from each alone."""
        seen = {
            "fusion": batch,
            "expression": keep_only(batch, expression=True, structure=False),
            "structure": keep_only(batch, expression=False, structure=True),
        }
        return {
            name: jax.nn.softmax(
                self.model.apply({"params": params}, view, graph, train=False).logits, axis=-1
            )
            for name, view in seen.items()
        }

    def given_params(self, config: ml_collections.ConfigDict) -> Mapping[str, np.ndarray]:
        """The scales of the experts."""
        return {"expert_scales": np.asarray(config.expert_scales, np.float32)}


def make_fusion_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> FusionTask:
    """The task of a configuration (see `configs/fusion.py`) for given vocabularies and graph."""
    model = FusionModel(
        num_moas=len(features.moas),
        num_genes=graph_size[0],
        num_terms=graph_size[1],
        num_cell_lines=len(features.cell_lines),
        **config.model,
    )
    training = config.training
    return FusionTask(
        model=model,
        drop_expression=training.drop_expression,
        drop_structure=training.drop_structure,
        **training.loss,
    )
