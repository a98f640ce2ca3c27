"""The knowledge graph as the arrays that a jitted step takes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from moa_jax.data.term_levels import ontology_arrays
from moa_jax.knowledge.positions import return_probabilities
from moa_jax.knowledge.propagation import propagation_matrix
from moa_jax.schemas import EdgeArrays, EdgeSet, GraphArrays, KnowledgeGraph


def graph_arrays(
    graph: KnowledgeGraph,
    *,
    restart: float,
    num_steps: int,
    num_positions: int = 0,
    with_ontology: bool = False,
) -> GraphArrays:
    """The edges as they are, the propagation matrix, and what else a model asks for.

    Args:
      graph: the knowledge graph.
      restart: restart probability of the propagation.
      num_steps: steps of the propagation.
      num_positions: return probabilities of random walks that tell where a node stands.
      with_ontology: lay out the terms by level.

    Raises:
      InputError: with an ontology that `ontology_arrays` refuses.
    """
    return GraphArrays(
        interacts=_edge_arrays(graph.interacts),
        annotated_to=_edge_arrays(graph.annotated_to),
        is_a=_edge_arrays(graph.is_a),
        part_of=_edge_arrays(graph.part_of),
        propagation=propagation_matrix(graph, restart=restart, num_steps=num_steps),
        positions=_positions(graph, num_positions) if num_positions else None,
        ontology=ontology_arrays(graph) if with_ontology else None,
    )


def _positions(graph: KnowledgeGraph, num_steps: int) -> Float32[np.ndarray, "node position"]:
    """Return probabilities, each with mean 0 and variance 1 over the nodes; constants are 0."""
    found = return_probabilities(graph, num_steps)
    spread = found.std(axis=0)
    centred = found - found.mean(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(found), where=spread > 1e-6)


def _edge_arrays(edges: EdgeSet) -> EdgeArrays:
    return EdgeArrays(senders=edges.senders, receivers=edges.receivers, weight=edges.weight)
