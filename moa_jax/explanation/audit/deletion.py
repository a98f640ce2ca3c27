"""Deletion and insertion curves: how a score changes with the genes that an explanation ranks."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.explanation.attribution.chunks import MAX_ROWS, Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.target import (
    AttributionTarget,
    Directions,
    measured_genes,
    score,
)
from moa_jax.knowledge.propagation import string_degree
from moa_jax.schemas import Batch, GraphArrays, KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor

# Shares of the measured genes at which curves are evaluated.
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)

# Genes of larger importance rank first.
Importance = Float[np.ndarray, "example target gene"]


@dataclasses.dataclass(frozen=True)
class Curves:
    """Scores while genes are deleted or inserted, most important first.

    Attributes:
      fractions: share of the measured genes, from 0 to 1.
      deletion: score without that share.
      insertion: score with that share only.
    """

    fractions: tuple[float, ...]
    deletion: Float[np.ndarray, "example target point"]
    insertion: Float[np.ndarray, "example target point"]

    def take(self, rows: Int[np.ndarray, " row"]) -> Curves:
        """The curves of the given examples."""
        return Curves(self.fractions, self.deletion[rows], self.insertion[rows])

    @property
    def deletion_auc(self) -> Float[np.ndarray, "example target"]:
        """Area under the deletion curve; smaller is better (Petsiuk 2018, section 3.2)."""
        return np.trapezoid(self.deletion, self.fractions, axis=-1)

    @property
    def insertion_auc(self) -> Float[np.ndarray, "example target"]:
        """Area under the insertion curve; larger is better."""
        return np.trapezoid(self.insertion, self.fractions, axis=-1)

    @property
    def comprehensiveness(self) -> Float[np.ndarray, "example target"]:
        """Mean fall of the score without the first genes; larger is better.

        Over the fractions between 0 and 1 (AOPC: DeYoung 2020, section 4.2).
        """
        return (self.deletion[..., :1] - self.deletion[..., 1:-1]).mean(axis=-1)

    @property
    def sufficiency(self) -> Float[np.ndarray, "example target"]:
        """Mean fall of the score with the first genes only; smaller is better."""
        return (self.deletion[..., :1] - self.insertion[..., 1:-1]).mean(axis=-1)


def deletion_curves(
    predictor: Predictor,
    examples: EncodedExamples,
    attribution_target: AttributionTarget,
    directions: Directions,
    *,
    importance: Importance,
    replacement: Float[np.ndarray, "example gene"],
) -> Curves:
    """Curves of every score under a ranking of the genes.

    Args:
      predictor: the model.
      examples: encoded examples.
      attribution_target: with the input `expression`.
      directions: the scores.
      importance: of every gene for every score; genes that were not measured are left out.
      replacement: values that genes are replaced by, in units of encoded examples; see
        `baseline_signatures`.
    """
    num_points = len(FRACTIONS) * directions.shape[1]
    size = chunk_size(examples.num_examples, num_points, MAX_ROWS, predictor.mesh.size)
    own = {"directions": directions, "importance": importance, "replacement": replacement}
    deletion, insertion = run_in_chunks(
        _make_step(attribution_target), predictor, examples, own, size=size
    )
    return Curves(FRACTIONS, deletion, insertion)


@functools.lru_cache(maxsize=32)
def _make_step(attribution_target: AttributionTarget) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> tuple[Float[Array, "example target point"], Float[Array, "example target point"]]:
        outputs = attribution_target.outputs(params, batch, graph)
        measured = measured_genes(batch)
        inputs = jnp.where(measured, attribution_target.inputs(batch, graph), 0.0)
        rank = ranks(own["importance"], measured)
        count = jnp.round(jnp.asarray(FRACTIONS)[:, None] * measured.sum(axis=1))

        def without(removed: Bool[Array, "example gene"]) -> Float[Array, "example gene"]:
            return jnp.where(removed, own["replacement"], inputs)

        def at(
            rank: Int[Array, "example gene"],
            direction: Float[Array, "example moa"],
            count: Float[Array, " example"],
        ) -> tuple[Float[Array, " example"], Float[Array, " example"]]:
            first = (rank < count[:, None]) & measured
            return tuple(
                score(outputs(without(removed)), direction[:, None])[:, 0]
                for removed in (first, measured & ~first)
            )

        over_targets = jax.vmap(at, in_axes=(1, 1, None), out_axes=1)
        return jax.vmap(over_targets, in_axes=(None, None, 0), out_axes=2)(
            rank, own["directions"], count
        )

    return step


def ranks(
    importance: Float[Array, "example target gene"], measured: Bool[Array, "example gene"]
) -> Int[Array, "example target gene"]:
    """Rank of every gene, 0 for the most important; ties in their order, unmeasured genes last."""
    descending = jnp.where(measured[:, None], -importance, jnp.inf)
    return jnp.argsort(jnp.argsort(descending, axis=-1, stable=True), axis=-1, stable=True)


def control_importance(
    examples: EncodedExamples,
    features: FeatureSpec,
    graph: KnowledgeGraph,
    *,
    num_targets: int,
    seed: int = 0,
) -> dict[str, Importance]:
    """Rankings that an explanation has to beat: random, by the signature, by degree.

    Args:
      examples: encoded examples.
      features: their scales.
      graph: the knowledge graph.
      num_targets: scores per example.
      seed: seed of the random ranking.

    Returns:
      `random`; `absolute_z`, a gene's |z|; `degree`, its weighted STRING degree.
    """
    shape = (examples.num_examples, num_targets, len(features.genes))
    change = np.abs(examples.expression * features.scale + features.mean)
    degree = string_degree(graph)[: shape[-1]]
    return {
        "random": np.random.default_rng(seed).random(shape, np.float32),
        "absolute_z": np.broadcast_to(change[:, None], shape).astype(np.float32),
        "degree": np.broadcast_to(degree, shape).astype(np.float32),
    }
