"""Networks whose outputs are MoA probabilities: perceptrons and graph convolutions."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import ml_collections
from jaxtyping import Array, Float

from moa_jax.baselines.neural.config import (
    attributes,
    landmark_interactions,
    neural_config,
    no_graph,
)
from moa_jax.baselines.neural.method import NeuralMethod
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.models.baseline_networks.expression import ExpressionMlp
from moa_jax.models.baseline_networks.molecule import IntermediateFusion, MoleculeGnn
from moa_jax.models.baseline_networks.string_convolution import StringGcn
from moa_jax.schemas import Batch, GraphArrays, KnowledgeGraph
from moa_jax.training.fusion.modality_dropout import ModalityDropoutTask
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from moa_jax.training.losses.sums import masked_sum
from moa_jax.training.task import MakeTrainingTask

# Modality dropout of networks that read one modality.
NO_DROPOUT = {"drop_expression": 0.0, "drop_structure": 0.0}
_PERCEPTRON = {
    "batch_size": 256,
    "num_steps": 250,
    "eval_every": 25,
    "patience": 4,
    "learning_rate": 2e-3,
}


@dataclasses.dataclass(frozen=True)
class ClassifierTask(ModalityDropoutTask):
    """Softmax over MoAs; an example's labels share the target evenly."""

    selection_view: ClassVar[str] = "answer"

    def loss_of(
        self, output: Float[Array, "batch moa"], batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Cross-entropy of the logits; see `ModalityDropoutTask.loss_of`."""
        losses = label_distribution_cross_entropy(output, batch.labels, batch.label_mask)
        return masked_sum(losses, batch.weight, batch.example_mask), {}

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Probabilities under `answer`."""
        logits = self.model.apply({"params": params}, batch, graph, train=False)
        return {"answer": jax.nn.softmax(logits, axis=-1)}


def classifier_task(model: type[nn.Module]) -> MakeTrainingTask:
    """Makes tasks of a kind of network from configurations."""

    def make_task(
        config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
    ) -> ClassifierTask:
        network = model(num_moas=len(features.moas), **attributes(config.model))
        return ClassifierTask(network, **config.task)

    return make_task


def expression_mlp(workdir: pathlib.Path) -> NeuralMethod:
    """Multilayer perceptron on expression."""
    return _method(
        "expression_mlp",
        ExpressionMlp,
        {f"weight decay {decay}": ({}, decay) for decay in (0.3, 1.0)},
        Modalities(expression=True, structure=False),
        workdir,
        model={"hidden": (256,), "gene_dropout": 0.5, "dropout": 0.3},
        **_PERCEPTRON,
    )


def string_gcn(workdir: pathlib.Path) -> NeuralMethod:
    """Graph convolution of expression on the landmarks' STRING edges."""
    return _method(
        "string_gcn",
        StringGcn,
        {"one layer": ({"channels": (8,)}, 0.3), "two layers": ({"channels": (8, 8)}, 0.3)},
        Modalities(expression=True, structure=False),
        workdir,
        model={"hidden": 128, "gene_dropout": 0.5, "dropout": 0.3},
        make_graph=landmark_interactions,
        batch_size=128,
        num_steps=150,
        eval_every=25,
        patience=2,
        learning_rate=2e-3,
    )


def molecule_gnn(workdir: pathlib.Path) -> NeuralMethod:
    """Molecule GNN alone, without fingerprints."""
    return _method(
        "molecule_gnn",
        MoleculeGnn,
        {"three layers": ({}, 0.3)},
        Modalities(expression=False, structure=True),
        workdir,
        model={"atom_features": 64, "num_layers": 3, "hidden": 128, "dropout": 0.3},
        batch_size=128,
        num_steps=200,
        eval_every=40,
        patience=2,
        learning_rate=3e-3,
    )


def intermediate_fusion(workdir: pathlib.Path) -> NeuralMethod:
    """Perceptron on the concatenated embeddings of expression and Morgan bits."""
    return _method(
        "intermediate_fusion",
        IntermediateFusion,
        {f"weight decay {decay}": ({}, decay) for decay in (0.3, 1.0)},
        Modalities(expression=True, structure=True),
        workdir,
        model={
            "features": 512,
            "hidden": 256,
            "gene_dropout": 0.5,
            "bit_dropout": 0.5,
            "dropout": 0.3,
        },
        drop={"drop_expression": 0.3, "drop_structure": 0.15},
        **_PERCEPTRON,
    )


def _method(
    name: str,
    network: type[nn.Module],
    candidates: Mapping[str, tuple[Mapping[str, Any], float]],
    modalities: Modalities,
    workdir: pathlib.Path,
    *,
    model: Mapping[str, Any],
    drop: Mapping[str, float] = NO_DROPOUT,
    make_graph: Callable[[KnowledgeGraph], GraphArrays] = no_graph,
    **training: Any,
) -> NeuralMethod:
    """A method with balanced classes; candidates are network attributes and a weight decay."""
    return NeuralMethod(
        name=name,
        candidates={
            settings: neural_config(
                name,
                model={**model, **changed},
                task=drop,
                weight_decay=decay,
                balance_power=1.0,
                **training,
            )
            for settings, (changed, decay) in candidates.items()
        },
        make_task=classifier_task(network),
        modalities=modalities,
        make_graph=make_graph,
        workdir=workdir,
    )
