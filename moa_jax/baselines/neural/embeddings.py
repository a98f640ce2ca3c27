"""Embedding networks, and votes of compounds or logistic regression on their embeddings."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from moa_jax.baselines.classifiers.logistic import balanced_logistic
from moa_jax.baselines.neural.config import attributes, neural_config, no_graph
from moa_jax.baselines.neural.method import NeuralMethod
from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.baselines.similarity.nearest_neighbours import (
    compound_votes,
    compounds_of,
    cosine,
    neighbour_votes,
)
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.data.examples.labels import strata
from moa_jax.models.baseline_networks.expression import ExpressionAutoencoder, ExpressionEmbedding
from moa_jax.schemas import Batch, Examples, GraphArrays
from moa_jax.training.losses.embeddings import (
    gaussian_divergence,
    gaussian_reconstruction,
    supervised_contrastive_loss,
)
from moa_jax.training.losses.sums import masked_sum
from moa_jax.training.task import MakeTrainingTask, ReadOut, TrainingTask, Views

# View under which a network returns its embeddings.
SPACE = "space"
# Temperature of the votes, a middle one of the similarity methods.
VOTE_TEMPERATURE = 0.5


@dataclasses.dataclass(frozen=True)
class CompoundVotes:
    """Votes of the training compounds by cosine similarity, as in the similarity methods.

    Attributes:
      temperature: see `compound_votes`.
    """

    temperature: float

    def fit(self, points: Float[np.ndarray, "example feature"], known: Examples) -> ReadOut:
        """Keeps the training embeddings."""
        references = points.astype(np.float64)
        members, labels = compounds_of(known)

        def read(views: Views) -> Views:
            similarity = cosine(views[SPACE].astype(np.float64), references)
            return {
                SPACE: compound_votes(similarity, members, labels, temperature=self.temperature)
            }

        return read


@dataclasses.dataclass(frozen=True)
class NearestVotes:
    """Votes of the nearest training signatures by cosine similarity.

    Attributes:
      num_neighbours: how many vote.
    """

    num_neighbours: int

    def fit(self, points: Float[np.ndarray, "example feature"], known: Examples) -> ReadOut:
        """Keeps the training embeddings."""
        references = points.astype(np.float64)

        def read(views: Views) -> Views:
            votes = neighbour_votes(
                views[SPACE].astype(np.float64),
                references,
                known.labels,
                num_neighbours=self.num_neighbours,
            )
            return {SPACE: votes}

        return read


@dataclasses.dataclass(frozen=True)
class LogisticOnSpace:
    """Class-balanced multinomial logistic regression on standardised coordinates.

    Attributes:
      inverse_penalty: scikit-learn's C.
    """

    inverse_penalty: float

    def fit(self, points: Float[np.ndarray, "example feature"], known: Examples) -> ReadOut:
        """Fits to the strata of the training examples."""
        scaler = StandardScaler()
        classifier = balanced_logistic(self.inverse_penalty)
        with threadpool_limits(limits=1, user_api="blas"):
            classifier.fit(scaler.fit_transform(points.astype(np.float64)), strata(known))

        def read(views: Views) -> Views:
            answers = classifier.predict_proba(scaler.transform(views[SPACE].astype(np.float64)))
            probs = np.zeros((len(answers), len(known.moas)))
            probs[:, classifier.classes_] = answers
            return {SPACE: probs}

        return read


Reader = CompoundVotes | NearestVotes | LogisticOnSpace


@dataclasses.dataclass(frozen=True)
class SpaceTask(TrainingTask):
    """A network whose embeddings are the inputs of another learner.

    Attributes:
      model: the network.
      reader: embeddings -> MoA probabilities.
    """

    reader: Reader

    selection_view: ClassVar[str] = SPACE

    def fit_read_out(self, known: Examples, views_of_known: Callable[[], Views]) -> ReadOut:
        """Fits the reader to the training embeddings."""
        return self.reader.fit(views_of_known()[SPACE], known)


@dataclasses.dataclass(frozen=True)
class ContrastiveTask(SpaceTask):
    """Supervised contrastive learning (Khosla 2020; on signatures MOASL, 2024).

    Attributes:
      temperature: temperature of the similarities.
    """

    temperature: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Loss of one step; see `TrainingTask.loss`."""
        del step
        points = self.model.apply(
            {"params": params}, batch, graph, train=True, rngs={"dropout": rng}
        )
        losses = supervised_contrastive_loss(
            points, batch.labels, batch.example_mask, temperature=self.temperature
        )
        return masked_sum(losses, batch.weight, batch.example_mask), {}

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Embeddings of unit length."""
        return {SPACE: self.model.apply({"params": params}, batch, graph, train=False)}


@dataclasses.dataclass(frozen=True)
class AutoencoderTask(SpaceTask):
    """Beta variational autoencoder (Higgins 2017), trained without labels.

    Attributes:
      beta: weight of the divergence from the prior.
    """

    beta: float

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Negative evidence lower bound of one step; see `TrainingTask.loss`."""
        del step
        latent_rng, dropout_rng = jax.random.split(rng)
        rngs = {"latent": latent_rng, "dropout": dropout_rng}
        output = self.model.apply({"params": params}, batch, graph, train=True, rngs=rngs)
        parts = {
            "reconstruction": gaussian_reconstruction(
                batch.expression, output.reconstructed, batch.gene_mask
            ),
            "divergence": gaussian_divergence(output.mean, output.log_variance),
        }
        totals = {
            name: masked_sum(part, batch.weight, batch.example_mask) for name, part in parts.items()
        }
        return totals["reconstruction"] + self.beta * totals["divergence"], totals

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """Means of the latent state."""
        return {SPACE: self.model.apply({"params": params}, batch, graph, train=False).mean}


def contrastive_task(
    config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
) -> ContrastiveTask:
    """The contrastive task of a configuration."""
    del features, graph_size
    return ContrastiveTask(
        ExpressionEmbedding(**attributes(config.model)),
        reader=CompoundVotes(config.task.vote_temperature),
        temperature=config.task.temperature,
    )


def autoencoder_task(
    make_reader: Callable[[ml_collections.ConfigDict], Reader],
) -> MakeTrainingTask:
    """Makes autoencoder tasks from configurations, with a reader from `config.task`."""

    def make_task(
        config: ml_collections.ConfigDict, features: FeatureSpec, graph_size: tuple[int, int]
    ) -> AutoencoderTask:
        del features, graph_size
        return AutoencoderTask(
            ExpressionAutoencoder(**attributes(config.model)),
            reader=make_reader(config.task),
            beta=config.task.beta,
        )

    return make_task


def contrastive_knn(workdir: pathlib.Path) -> NeuralMethod:
    """Supervised contrastive embedding of expression, then votes of the nearest compounds."""

    def config(hidden: tuple[int, ...], temperature: float) -> ml_collections.ConfigDict:
        return neural_config(
            "contrastive_knn",
            model={"hidden": hidden, "features": 256, "gene_dropout": 0.3, "dropout": 0.3},
            task={"temperature": temperature, "vote_temperature": VOTE_TEMPERATURE},
            batch_size=256,
            num_steps=250,
            eval_every=50,
            patience=3,
            learning_rate=2e-3,
            weight_decay=1.0,
            balance_power=1.0,
        )

    return NeuralMethod(
        name="contrastive_knn",
        candidates={
            "linear, temperature 0.05": config((), 0.05),
            "linear, temperature 0.1": config((), 0.1),
            "hidden layer, temperature 0.1": config((256,), 0.1),
        },
        make_task=contrastive_task,
        modalities=Modalities(expression=True, structure=False),
        make_graph=no_graph,
        workdir=workdir,
    )


def vae_knn(workdir: pathlib.Path) -> NeuralMethod:
    """Votes of the nearest compounds in an autoencoder's latent space."""
    return _autoencoder_method(
        "vae_knn",
        {"vote_temperature": VOTE_TEMPERATURE},
        lambda task: CompoundVotes(task.vote_temperature),
        workdir,
    )


def vae_logistic(workdir: pathlib.Path) -> NeuralMethod:
    """Logistic regression on an autoencoder's latent space."""
    return _autoencoder_method(
        "vae_logistic",
        {"inverse_penalty": 0.01},
        lambda task: LogisticOnSpace(task.inverse_penalty),
        workdir,
    )


def _autoencoder_method(
    name: str,
    reader: Mapping[str, Any],
    make_reader: Callable[[ml_collections.ConfigDict], Reader],
    workdir: pathlib.Path,
) -> NeuralMethod:
    """The autoencoder (Chow 2022) with a reader; all signatures have the same weight."""

    def config(beta: float) -> ml_collections.ConfigDict:
        return neural_config(
            name,
            model={"hidden": (256,), "features": 64, "gene_dropout": 0.2, "dropout": 0.1},
            task={"beta": beta, **reader},
            batch_size=256,
            num_steps=250,
            eval_every=50,
            patience=2,
            learning_rate=2e-3,
            weight_decay=1e-3,
            balance_power=0.0,
        )

    return NeuralMethod(
        name=name,
        candidates={f"beta {beta}": config(beta) for beta in (0.3, 1.0)},
        make_task=autoencoder_task(make_reader),
        modalities=Modalities(expression=True, structure=False),
        make_graph=no_graph,
        workdir=workdir,
    )
