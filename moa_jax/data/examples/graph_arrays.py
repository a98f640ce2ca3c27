"""The knowledge graph as the arrays that a jitted step takes."""

from __future__ import annotations

from moa_jax.knowledge.propagation import propagation_matrix
from moa_jax.schemas import EdgeArrays, EdgeSet, GraphArrays, KnowledgeGraph


def graph_arrays(graph: KnowledgeGraph, *, restart: float, num_steps: int) -> GraphArrays:
    """The edges as they are, and the propagation matrix.

    Args:
      graph: the knowledge graph.
      restart: restart probability of the propagation.
      num_steps: steps of the propagation.
    """
    return GraphArrays(
        interacts=_edge_arrays(graph.interacts),
        annotated_to=_edge_arrays(graph.annotated_to),
        is_a=_edge_arrays(graph.is_a),
        part_of=_edge_arrays(graph.part_of),
        propagation=propagation_matrix(graph, restart=restart, num_steps=num_steps),
    )


def _edge_arrays(edges: EdgeSet) -> EdgeArrays:
    return EdgeArrays(senders=edges.senders, receivers=edges.receivers, weight=edges.weight)
