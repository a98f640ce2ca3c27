"""What the protein network adds to a score, along paths of the evidence that it reads.

Gradients by the evidence of the closed form for each protein, by what is carried to each of them,
and by what their neighbours pass to them, at any values of the three. All else that the network
reads stays as it is: the compound's state, the embeddings of the proteins, and the logits of the
closed form.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.explanation.attribution.carried_evidence import (
    CarriedEvidence,
    EdgeContributions,
    PairFactors,
)
from moa_jax.explanation.attribution.chunks import Step, chunk_size, run_in_chunks
from moa_jax.explanation.attribution.gradients import gauss_legendre
from moa_jax.explanation.attribution.target import Directions, score
from moa_jax.models.encoders.evidence import EvidencePassing, PassingShares
from moa_jax.models.encoders.knowledge import KnowledgeEncoder
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.models.fusion import product_of_experts
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.task import TrainingTask

# What the network reads of the proteins; see `protein_network.NetworkAnswer`.
READ = ("evidence", "carried", "passed")
# Gradients on the path of the evidence, and on that of the edges, which changes less.
_NUM_PLACES, _NUM_EDGE_PLACES = 16, 12


@dataclasses.dataclass(frozen=True)
class NetworkReading:
    """What the protein network reads of each example's proteins, and what it adds.

    Attributes:
      values: `READ` -> the values.
      gradients: `READ` -> gradient of the score by each of them.
      score: what the network adds to the score.
    """

    values: Mapping[str, Float[np.ndarray, "example *shape"]]
    gradients: Mapping[str, Float[np.ndarray, "example *shape"]]
    score: Float[np.ndarray, " example"]


@dataclasses.dataclass(frozen=True)
class NetworkPaths:
    """Integrated gradients of what the protein network adds to a score, along two paths.

    One path leads from no evidence for any protein to the compound's. The other leads from no edges
    to all edges of STRING and GO: what is carried along them is `CarriedEvidence.at` a place, and
    what is passed by neighbours grows in proportion, each edge's share being that of the whole
    graph. A graph without edges carries and passes exactly what the start of the path has.

    Attributes:
      of_evidence: contributions of the evidence that the compound acts on each protein, in both
        kernels and for both actions together.
      score: what the network adds.
      without_edges: what it would add if no evidence went along edges.
      evidence: the evidence.
      places: places of the path of the edges, and weights that integrate over it.
      by_carried: gradient by the carried evidence at each of these places.
      by_passed: mean gradient by the passed evidence.
    """

    of_evidence: Float[np.ndarray, "example protein"]
    score: Float[np.ndarray, " example"]
    without_edges: Float[np.ndarray, " example"]
    evidence: Float[np.ndarray, "example kernel action protein"]
    places: tuple[tuple[float, float], ...]
    by_carried: tuple[Float[np.ndarray, "example kernel action protein"], ...]
    by_passed: Float[np.ndarray, "example path protein"]

    def factors(self, edges: CarriedEvidence, rows: Int[np.ndarray, " row"]) -> PairFactors:
        """Integrated gradients by the similarities of proteins, means over some examples."""
        num_proteins = self.evidence.shape[-1]
        flat = lambda values: values[rows].reshape(-1, num_proteins).astype(float)  # noqa: E731
        parts = [
            edges.factors(flat(self.evidence), flat(gradient) * weight / len(rows), place)
            for (place, weight), gradient in zip(self.places, self.by_carried, strict=True)
        ]
        return PairFactors.joined(parts)


def network_paths(
    predictor: Predictor,
    examples: EncodedExamples,
    directions: Directions,
    edges: CarriedEvidence,
) -> NetworkPaths:
    """Follows both paths.

    Args:
      predictor: a fusion model with a protein network.
      examples: encoded examples.
      directions: the scores; the first of each example is explained.
      edges: what carries evidence in this model.
    """
    read = functools.partial(read_proteins, predictor, examples, directions)
    whole = read({})
    evidence, passed = whole.values["evidence"], whole.values["passed"]
    of_evidence = np.zeros((len(evidence), evidence.shape[-1]))
    for place, weight in zip(*gauss_legendre(_NUM_PLACES), strict=True):
        found = read({"evidence": np.float32(place - 1.0) * evidence})
        of_evidence += weight * (found.gradients["evidence"] * evidence).sum(axis=(1, 2))
    exact = evidence.astype(np.float64)
    carried = edges.at(exact, 1.0)

    def without(place: float) -> NetworkReading:
        change = (edges.at(exact, place) - carried).astype(np.float32)
        return read({"carried": change, "passed": np.float32(place - 1.0) * passed})

    places = tuple(zip(*map(np.ndarray.tolist, gauss_legendre(_NUM_EDGE_PLACES)), strict=True))
    along = [without(place).gradients for place, _ in places]
    return NetworkPaths(
        of_evidence=of_evidence,
        score=whole.score,
        without_edges=without(0.0).score,
        evidence=evidence,
        places=places,
        by_carried=tuple(gradients["carried"] for gradients in along),
        by_passed=sum(
            weight * gradients["passed"]
            for (_, weight), gradients in zip(places, along, strict=True)
        ),
    )


def read_proteins(
    predictor: Predictor,
    examples: EncodedExamples,
    directions: Directions,
    changes: Mapping[str, Float[np.ndarray, "example *shape"]],
) -> NetworkReading:
    """The protein network's answer.

    Args:
      predictor: a fusion model with a protein network.
      examples: encoded examples.
      directions: the scores; the first of each example is read.
      changes: some of `READ` -> what is added to it. What follows from the evidence changes along
        with it.
    """
    size = chunk_size(examples.num_examples, 1, predictor.batch_size, predictor.mesh.size)
    own = {"directions": directions[:, :1], **changes}
    step = _make_step(predictor.task)
    values, gradients, scores = run_in_chunks(step, predictor, examples, own, size=size)
    return NetworkReading(values, gradients, scores)


def passed_along_edges(
    shares: PassingShares,
    edges: CarriedEvidence,
    by_passed: Float[np.ndarray, "row path protein"],
    evidence: Float[np.ndarray, "row protein"],
) -> EdgeContributions:
    """Contributions of edges to what neighbours pass, sums over rows; linear, so exact.

    Through the terms that it has a protein also passes evidence to itself: the diagonal.

    Args:
      shares: each edge's share of what is passed.
      edges: the proteins and the links of the graph.
      by_passed: gradient of the score by what is passed to each protein, along STRING and GO.
      evidence: evidence for each protein.
    """
    count = edges.walk.shape[0]
    at_genes = np.zeros((2, len(evidence), count))
    at_genes[0][:, edges.rows], at_genes[1][:, edges.rows] = evidence, by_passed[:, 0]
    senders, receivers = shares.interacts.senders, shares.interacts.receivers
    products = np.einsum("re,re->e", at_genes[0][:, senders], at_genes[1][:, receivers])
    ends = np.sort(np.stack([senders, receivers]), axis=0).astype(int)
    link = np.searchsorted(_key(edges.links.T, count), _key(ends, count))
    string = np.bincount(link, products * shares.interacts.weight, minlength=len(edges.links))
    to_terms, to_genes = (
        scipy.sparse.csr_array((own.weight.astype(float), (own.receivers, own.senders)), shape)
        for own, shape in (
            (shares.annotated_to, (edges.terms.shape[1], count)),
            (shares.annotates, (count, edges.terms.shape[1])),
        )
    )
    through_terms = (to_genes[edges.rows] @ to_terms[:, edges.rows]).toarray()
    go = (by_passed[:, 1].T @ evidence) * through_terms
    return EdgeContributions(string, (go + go.T) / 2)


def _key(ends: Int[np.ndarray, "2 link"], count: int) -> Int[np.ndarray, " link"]:
    """A number for each pair of gene nodes."""
    return ends[0] * count + ends[1]


def passing_shares(predictor: Predictor) -> PassingShares:
    """Each edge's trained share of the evidence that a model's protein network passes along it."""
    model = predictor.task.model

    @jax.jit
    def shares(params: Any, graph: GraphArrays) -> PassingShares:
        encoder = KnowledgeEncoder(
            model.num_genes, model.num_terms, model.knowledge_features, model.knowledge_layers
        )
        nodes = encoder.apply({"params": params["knowledge"]}, graph)
        passing = {"params": params[PROTEIN_NETWORK]["passing"]}
        return EvidencePassing(model.num_genes).apply(passing, nodes, graph)

    return jax.device_get(shares(predictor.params, predictor.graph))


@functools.lru_cache(maxsize=32)
def _make_step(task: TrainingTask) -> Step:
    @jax.jit
    def step(
        params: Any, batch: Batch, graph: GraphArrays, own: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array], Float[Array, " example"]]:
        def answer(**given: Any) -> tuple[dict[str, Array], Float[Array, "example moa"]]:
            found = task.model.apply({"params": params, **given}, batch, graph, train=False)
            network = found.network
            return {name: getattr(network, name) for name in READ}, network.mechanisms

        def added(changes: dict[str, Array]) -> tuple[Array, tuple[dict[str, Array], Array]]:
            values, mechanisms = answer(perturbations={PROTEIN_NETWORK: changes})
            scale = params["expert_scales"][:, task.model.experts.index(PROTEIN_NETWORK)]
            logits = product_of_experts(
                {PROTEIN_NETWORK: scale}, {PROTEIN_NETWORK: mechanisms}, batch
            )
            scores = score(logits, own["directions"])[:, 0]
            return scores.sum(), (values, scores)

        shapes, _ = jax.eval_shape(answer)
        changes = {name: own.get(name, jnp.zeros(shapes[name].shape)) for name in READ}
        gradients, (values, scores) = jax.grad(added, has_aux=True)(changes)
        return values, gradients, scores

    return step
