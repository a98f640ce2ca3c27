"""The visible network of the Gene Ontology as a method of the benchmark."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int32

from moa_jax.baselines.modalities import Modalities
from moa_jax.baselines.neural import NeuralMethod
from moa_jax.baselines.neural_config import attributes, neural_config, no_graph
from moa_jax.data.features import FeatureSpec
from moa_jax.data.term_levels import sorted_pairs, term_levels, term_links
from moa_jax.models.visible_network import LevelledGraph, TermLevel, VisibleNetwork, VisibleOutput
from moa_jax.schemas import Batch, EdgeArrays, GraphArrays, InputError, KnowledgeGraph
from moa_jax.training.losses import label_distribution_cross_entropy, masked_sum
from moa_jax.training.modalities import ModalityDropoutTask


def levelled_graph(graph: KnowledgeGraph) -> LevelledGraph:
    """The terms by level, with the measured genes that enter there, and nothing else.

    The order of the edges in `graph` does not matter, nor whether one is there twice.

    Args:
      graph: the knowledge graph.

    Raises:
      InputError: is_a and part_of form a cycle, or no measured gene has a term.
    """
    links = term_links(graph)
    annotated = sorted_pairs(graph.annotated_to.senders, graph.annotated_to.receivers)
    annotated = annotated[annotated[:, 0] < graph.num_landmarks]
    if not len(annotated):
        raise InputError(
            "the knowledge graph has no term that a measured gene is annotated to; "
            "a network of its terms expects at least one."
        )
    num_incoming = np.bincount(
        np.concatenate([links[:, 1], annotated[:, 1]]), minlength=graph.num_terms
    )

    def edges(pairs: Int32[np.ndarray, "link 2"], place: Int32[np.ndarray, " term"]) -> EdgeArrays:
        senders, receivers = pairs.T
        # Fan-in, so that a term's state starts at one scale whatever enters there (LeCun 1998).
        weight = num_incoming[receivers] ** -0.5
        return EdgeArrays(
            jnp.asarray(senders), jnp.asarray(place[receivers]), jnp.asarray(weight, jnp.float32)
        )

    levels, within = term_levels(graph), np.zeros(graph.num_terms, np.int32)
    for terms in levels:
        within[terms] = np.arange(len(terms))
    nothing = no_graph(graph)
    return LevelledGraph(
        interacts=nothing.interacts,
        annotated_to=edges(annotated, np.arange(graph.num_terms, dtype=np.int32)),
        is_a=nothing.is_a,
        part_of=nothing.part_of,
        propagation=nothing.propagation,
        levels=tuple(
            TermLevel(jnp.asarray(terms), edges(links[np.isin(links[:, 1], terms)], within))
            for terms in levels
        ),
        roots=jnp.asarray(np.setdiff1d(np.arange(graph.num_terms), links[:, 0]), jnp.int32),
    )


@dataclasses.dataclass(frozen=True)
class VisibleTask(ModalityDropoutTask):
    """Softmax over MoAs, and the same of every term's own head (Ma 2018, Online Methods).

    Attributes:
      term_weight: weight of the terms' mean loss beside that of the answer; DCell adds 0.3 times
        their sum.
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
