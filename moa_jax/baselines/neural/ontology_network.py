"""The visible network of the Gene Ontology as a method of the benchmark."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float

from moa_jax.baselines.neural.config import attributes, neural_config, no_graph
from moa_jax.baselines.neural.method import NeuralMethod
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.data.examples.ontology_levels import ontology_arrays
from moa_jax.models.visible_network import VisibleNetwork, VisibleOutput
from moa_jax.schemas import Batch, GraphArrays, KnowledgeGraph
from moa_jax.training.fusion.modality_dropout import ModalityDropoutTask
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from moa_jax.training.losses.sums import masked_sum


def levelled_graph(graph: KnowledgeGraph) -> GraphArrays:
    """The terms by level with their measured genes, without other edges.

    Args:
      graph: the knowledge graph.

    Raises:
      InputError: see `ontology_arrays`.
    """
    ontology = jax.tree.map(jnp.asarray, ontology_arrays(graph))
    return dataclasses.replace(no_graph(graph), ontology=ontology)


@dataclasses.dataclass(frozen=True)
class VisibleTask(ModalityDropoutTask):
    """Softmax over MoAs, with an auxiliary head for every term (Ma 2018, Online Methods).

    Attributes:
      term_weight: weight of the mean auxiliary loss; DCell adds 0.3 times the sum.
    """

    term_weight: float

    selection_view: ClassVar[str] = "answer"

    def loss_of(
        self, output: VisibleOutput, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Cross-entropy of answer and terms; see `ModalityDropoutTask.loss_of`."""
        labels, mask = batch.labels, batch.label_mask
        answer = label_distribution_cross_entropy(output.logits, labels, mask)
        of_terms = jax.vmap(label_distribution_cross_entropy, in_axes=(0, None, None))
        losses = {
            "answer": answer,
            "terms": of_terms(output.term_logits, labels, mask).mean(axis=0),
        }
        totals = {
            name: masked_sum(loss, batch.weight, batch.example_mask)
            for name, loss in losses.items()
        }
        return totals["answer"] + self.term_weight * totals["terms"], totals

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Probabilities under `answer`."""
        output = self.model.apply({"params": params}, batch, graph, train=False)
        return {"answer": jax.nn.softmax(output.logits, axis=-1)}


def visible_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> VisibleTask:
    """The task of a configuration."""
    network = VisibleNetwork(
        num_moas=len(features.moas), num_terms=graph_size[1], **attributes(config.model)
    )
    return VisibleTask(network, **config.task)


def visible_network(workdir: pathlib.Path) -> NeuralMethod:
    """Expression through the Gene Ontology."""

    def config(
        *, roots_only: bool, term_weight: float, dropout: float
    ) -> ml_collections.ConfigDict:
        return neural_config(
            "visible_network",
            model={
                "term_features": 6,
                "gene_dropout": 0.5,
                "dropout": dropout,
                "roots_only": roots_only,
            },
            task={"drop_expression": 0.0, "drop_structure": 0.0, "term_weight": term_weight},
            batch_size=128,
            num_steps=150,
            eval_every=25,
            patience=2,
            learning_rate=3e-2,
            weight_decay=0.3,
            balance_power=1.0,
        )

    return NeuralMethod(
        name="visible_network",
        candidates={
            "all terms": config(roots_only=False, term_weight=0.0, dropout=0.0),
            "all terms, dropout 0.5": config(roots_only=False, term_weight=0.0, dropout=0.5),
            "roots": config(roots_only=True, term_weight=5.0, dropout=0.0),
        },
        make_task=visible_task,
        modalities=Modalities(expression=True, structure=False),
        make_graph=levelled_graph,
        workdir=workdir,
    )
