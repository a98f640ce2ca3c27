"""MOASL (2024): an embedding of signatures by triplets, and votes of the nearest signatures."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import ml_collections
from jaxtyping import Array, Float, Int

from moa_jax.baselines.neural.config import attributes, neural_config, no_graph
from moa_jax.baselines.neural.embeddings import SPACE, NearestVotes, SpaceTask
from moa_jax.baselines.neural.method import NeuralMethod
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.models.baseline_networks.expression import TanhEmbedding
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.losses.embeddings import semihard_triplet_loss

# Signatures that vote.
NUM_NEIGHBOURS = 10
# The published widths of the layers, margin of the loss and width of the semi-hard band.
WIDTHS = (1024, 512, 256)
MARGIN = 0.1
BAND = 0.01


@dataclasses.dataclass(frozen=True)
class TripletTask(SpaceTask):
    """Learning from semi-hard triplets.

    Attributes:
      margin: see `semihard_triplet_loss`.
      band: its `width`.
    """

    margin: float
    band: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Loss of one step; see `TrainingTask.loss`. Examples have equal weights, as published."""
        del rng, step
        points = self.model.apply({"params": params}, batch, graph, train=True)
        loss = semihard_triplet_loss(
            points, batch.labels, batch.example_mask, margin=self.margin, width=self.band
        )
        return loss, {}

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Embeddings of unit length."""
        return {SPACE: self.model.apply({"params": params}, batch, graph, train=False)}


def triplet_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> TripletTask:
    """The task of a configuration."""
    del features, graph_size
    return TripletTask(
        TanhEmbedding(**attributes(config.model)),
        reader=NearestVotes(config.task.num_neighbours),
        margin=config.task.margin,
        band=config.task.band,
    )


def moasl(workdir: pathlib.Path) -> NeuralMethod:
    """The published network and loss; its learning rate and larger ones are tried."""

    def config(learning_rate: float) -> ml_collections.ConfigDict:
        return neural_config(
            "moasl",
            model={"widths": WIDTHS},
            task={"margin": MARGIN, "band": BAND, "num_neighbours": NUM_NEIGHBOURS},
            batch_size=256,
            num_steps=1800,
            eval_every=150,
            patience=12,
            learning_rate=learning_rate,
            weight_decay=0.0,
            balance_power=0.0,
        )

    return NeuralMethod(
        name="moasl",
        candidates={f"learning rate {rate:g}": config(rate) for rate in (1e-5, 1e-4, 1e-3)},
        make_task=triplet_task,
        modalities=Modalities(expression=True, structure=False),
        make_graph=no_graph,
        workdir=workdir,
    )
