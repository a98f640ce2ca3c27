"""Link prediction: held-out edges of STRING and GO against random pairs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Float32, Int, Int32

from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.features import fit_features
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.evaluation.metrics import auroc
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.schemas import EdgeArrays, GraphArrays
from moa_jax.training.pretraining.batches import pretraining_set
from moa_jax.training.pretraining.links import (
    RELATIONS,
    hide_links,
    link_numbers,
    link_scores,
)
from moa_jax.training.pretraining.objectives import make_pretraining_task
from moa_jax.training.pretraining.pretrain import train_heads
from moa_jax.training.sharding import make_mesh, replicate

# (rows of the senders, rows of the receivers) -> scores.
Scores = Callable[[np.ndarray, np.ndarray], Any]
HELD_OUT = 0.1
# Only the graph encoder is trained, so a few signatures suffice to fill a batch.
NUM_EXAMPLES = 64


def link_rows(
    dataset: PreparedDataset, config: ml_collections.ConfigDict, seed: int
) -> list[dict[str, Any]]:
    """AUROC on held-out edges: by node degrees, untrained and trained."""
    examples = build_examples(dataset).take(np.arange(NUM_EXAMPLES))
    features = fit_features(examples, dataset.signatures.genes)
    config = ml_collections.ConfigDict(config.to_dict())
    config.seed = seed
    config.pretraining.objectives = {"links": 1.0}
    config.pretraining.knowledge_rate = 1.0
    config.training.batch_size = NUM_EXAMPLES
    graph = graph_arrays(
        dataset.graph, restart=config.graph.restart, num_steps=config.graph.num_steps
    )
    left, held_out = hide_links(jax.random.key(seed), graph, link_numbers(graph), share=HELD_OUT)
    mesh = make_mesh(1)
    left = replicate(left, mesh)
    size = (dataset.graph.num_genes, dataset.graph.num_terms)
    task = make_pretraining_task(config, features, size)
    data = pretraining_set(examples, features)
    untrained = ml_collections.ConfigDict(config.to_dict())
    untrained.pretraining.optimiser.learning_rate = 0.0
    untrained.pretraining.num_steps = 2
    fast = ml_collections.ConfigDict(config.to_dict())
    fast.pretraining.optimiser.learning_rate *= 10
    edges = HeldOutEdges(graph, held_out, size, seed)
    scores = {"number of edges of both nodes": edges.aurocs(_degree_products(left, size))}
    trained = {
        "untrained": untrained,
        "link prediction": config,
        "link prediction, ten times the learning rate": fast,
    }
    for method, settings in trained.items():
        params = train_heads(task, settings, data, graph=left, mesh=mesh)
        batch = data.batch(NUM_EXAMPLES, rows_per_compound=1, seed=0, step=0, num_shards=1).batch
        output = task.model.apply({"params": params}, batch, left, train=False)
        nodes, vectors = np.asarray(output.nodes), np.asarray(output.relations)
        scores[method] = edges.aurocs(
            {
                relation: functools.partial(link_scores, nodes, vectors[place])
                for place, relation in enumerate(RELATIONS)
            }
        )
    return [{"method": name, "seed": seed, **values} for name, values in scores.items()]


@dataclasses.dataclass(frozen=True)
class HeldOutEdges:
    """Held-out edges, compared with as many pairs of the same senders that are not edges.

    Attributes:
      graph: the whole graph.
      held_out: relation -> whether each edge is held out.
      size: number of gene nodes and of term nodes.
      seed: seed of the random receivers.
    """

    graph: GraphArrays
    held_out: Mapping[str, Any]
    size: tuple[int, int]
    seed: int

    def aurocs(self, scores: Mapping[str, Scores]) -> dict[str, float]:
        """AUROC of each relation; scores take rows among all nodes, genes first."""
        found = {}
        for relation in RELATIONS:
            edges, score = getattr(self.graph, relation), scores[relation]
            rows = np.flatnonzero(np.asarray(self.held_out[relation]))
            shift, count = (0, self.size[0]) if relation == "interacts" else self.size
            other = random_receivers(edges, rows, count, seed=self.seed)
            senders, receivers = np.asarray(edges.senders)[rows], np.asarray(edges.receivers)[rows]
            found[relation] = link_auroc(
                np.asarray(score(senders, receivers + shift)),
                np.asarray(score(senders, other + shift)),
            )
        return found


def _degree_products(graph: GraphArrays, size: tuple[int, int]) -> dict[str, Scores]:
    """Preferential attachment: nodes with many edges have more (Barabasi and Albert 1999)."""
    products = {}
    for relation in RELATIONS:
        edges = getattr(graph, relation)
        present = np.asarray(edges.weight) > 0
        shift = 0 if relation == "interacts" else size[0]
        sent = np.bincount(np.asarray(edges.senders), present, sum(size))
        received = np.bincount(np.asarray(edges.receivers) + shift, present, sum(size))
        products[relation] = functools.partial(_product, sent, received)
    return products


def _product(
    sent: np.ndarray, received: np.ndarray, senders: np.ndarray, receivers: np.ndarray
) -> np.ndarray:
    return (sent[senders] * received[receivers]).astype(np.float32)


def random_receivers(
    edges: EdgeArrays, rows: Int[np.ndarray, " edge"], num_receivers: int, *, seed: int
) -> Int32[np.ndarray, " edge"]:
    """A random receiver for each of some edges to which the sender has no edge.

    Args:
      edges: all edges of the relation, of any weight.
      rows: the edges that get a random receiver.
      num_receivers: nodes to draw from.
      seed: seed of the draw.
    """
    rng = np.random.default_rng(seed)
    senders, receivers = np.asarray(edges.senders), np.asarray(edges.receivers)
    known = set(zip(senders.tolist(), receivers.tolist(), strict=True))
    drawn = rng.integers(0, num_receivers, len(rows))
    for place, sender in enumerate(senders[rows].tolist()):
        while (sender, int(drawn[place])) in known or sender == drawn[place]:
            drawn[place] = rng.integers(0, num_receivers)
    return drawn.astype(np.int32)


def link_auroc(
    positive: Float32[np.ndarray, " edge"], negative: Float32[np.ndarray, " other"]
) -> float:
    """Area under the ROC curve of edges against random pairs."""
    scores = np.concatenate([positive, negative])[:, None]
    labels = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])[:, None]
    return float(auroc(scores, labels)[0])
