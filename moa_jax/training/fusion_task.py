"""The fusion model's task: experts that must answer alone, and views of what they know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.compounds.substructures import SUBSTRUCTURE_VIEWS
from moa_jax.data.features import EncodedExamples, FeatureSpec
from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.models.fused_networks import KINDS, NETWORKS
from moa_jax.models.fusion import EXPERTS, VIEWS, FusionModel, FusionOutput, heard
from moa_jax.schemas import Batch, GraphArrays, InputError, KnowledgeGraph
from moa_jax.training.kernel_ridge import (
    fit_network_kernel,
    fit_signature_kernel,
    fit_structure_kernel,
)
from moa_jax.training.losses import label_distribution_cross_entropy, masked_sum
from moa_jax.training.modalities import ModalityDropoutTask, keep_only


@dataclasses.dataclass(frozen=True)
class FusionTask(ModalityDropoutTask):
    """Losses of the networks among the experts under modality dropout.

    The product itself is not trained: its scales are fitted to validation compounds later.

    Attributes:
      model: the network.
      joint_weight: weight of the joint expert's loss.
      expression_weight: weight of the signature expert's loss, and of the visible network's.
      structure_weight: weight of the molecule expert's loss.
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

        weights = {
            "signature": self.expression_weight,
            "molecule": self.structure_weight,
            "joint": self.joint_weight,
            "visible": self.expression_weight,
        }
        parts = {
            expert: total(output.experts[expert], heard(expert, batch))
            for expert in NETWORKS
            if expert in self.model.experts
        }
        return sum((weights[name] * value for name, value in parts.items()), jnp.zeros(())), parts

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

    @property
    def is_trained(self) -> bool:
        """Whether a network is among the experts."""
        return bool(set(self.model.experts) & set(NETWORKS))

    def given_params(
        self,
        config: ml_collections.ConfigDict,
        train: EncodedExamples,
        features: FeatureSpec,
        graph: GraphArrays,
    ) -> Mapping[str, Any]:
        """The scales of the experts, and the kernel experts."""
        given: dict[str, Any] = {
            "expert_scales": np.asarray(
                [
                    [config.expert_scales[view][expert] for expert in self.model.experts]
                    for view in VIEWS
                ],
                np.float32,
            )
        }
        if "signature_kernel" in self.model.experts:
            given["signature_kernel"] = fit_signature_kernel(
                train,
                features,
                config.kernels.signature,
                width=self.model.signature_kernel_width,
                seed=config.seed,
            )
        if "network_kernel" in self.model.experts:
            given["network_kernel"] = fit_network_kernel(
                train, features, graph, config.kernels.network, model=self.model, seed=config.seed
            )
        if "structure_kernel" in self.model.experts:
            given["structure_kernel"] = fit_structure_kernel(
                train,
                config.kernels.structure,
                views=self.model.substructure_views,
                seed=config.seed,
            )
        return given


def make_graph_arrays(config: ml_collections.ConfigDict, graph: KnowledgeGraph) -> GraphArrays:
    """The knowledge graph as the model of a configuration takes it.

    Raises:
      InputError: a network of the ontology cannot be built; see `ontology_arrays`.
    """
    return graph_arrays(
        graph,
        restart=config.graph.restart,
        num_steps=config.graph.num_steps,
        num_positions=config.graph.num_positions,
        with_ontology="visible" in config.model.experts,
    )


def make_fusion_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> FusionTask:
    """The task of a configuration (see `configs/fusion.py`) for given vocabularies and graph.

    Raises:
      InputError: the configuration names an expert that does not exist, none, or one twice, or a
        kind of encoder or fusion that does not exist.
    """
    settings = config.model.to_dict()
    experts = tuple(settings.pop("experts"))
    if unknown := sorted(set(experts) - set(EXPERTS)):
        raise InputError(f"model.experts names {unknown[0]}; the experts are {', '.join(EXPERTS)}.")
    if not experts or len(set(experts)) < len(experts):
        raise InputError(f"model.experts is {experts}, expected one or more, each once.")
    for name, kinds in KINDS.items():
        if settings[name] not in kinds:
            raise InputError(
                f"model.{name} is {settings[name]!r}, expected one of {', '.join(kinds)}."
            )
    model = FusionModel(
        num_moas=len(features.moas),
        num_genes=graph_size[0],
        num_terms=graph_size[1],
        num_cell_lines=len(features.cell_lines),
        substructure_views=tuple(SUBSTRUCTURE_VIEWS.values()),
        experts=experts,
        **settings,
    )
    training = config.training
    return FusionTask(
        model=model,
        drop_expression=training.drop_expression,
        drop_structure=training.drop_structure,
        **training.loss,
    )
