"""The ontology from the bottom up: levels in which every term stands above all its children."""

from __future__ import annotations

import networkx as nx
import numpy as np
from jaxtyping import Int32

from moa_jax.schemas import InputError, KnowledgeGraph


def term_links(graph: KnowledgeGraph) -> Int32[np.ndarray, "link 2"]:
    """The distinct (child, parent) pairs over is_a and part_of, by parent, then child.

    Args:
      graph: the knowledge graph.
    """
    return sorted_pairs(
        np.concatenate([graph.is_a.senders, graph.part_of.senders]),
        np.concatenate([graph.is_a.receivers, graph.part_of.receivers]),
    )


def sorted_pairs(
    senders: Int32[np.ndarray, " edge"], receivers: Int32[np.ndarray, " edge"]
) -> Int32[np.ndarray, "link 2"]:
    """The distinct (sender, receiver) pairs, by receiver, then sender."""
    return np.unique(np.stack([receivers, senders], axis=1), axis=0)[:, ::-1]


def term_levels(graph: KnowledgeGraph) -> tuple[Int32[np.ndarray, " term"], ...]:
    """Rows of the terms by level, children before parents, each level in ascending order.

    A term without children has level 0, any other one more than its highest child: the level is
    the length of the longest path up to the term. (Levels of `gene_ontology.levels` count from
    the roots.)

    Args:
      graph: the knowledge graph.

    Raises:
      InputError: is_a and part_of form a cycle.
    """
    order: nx.DiGraph = nx.DiGraph()
    order.add_nodes_from(range(graph.num_terms))
    order.add_edges_from(term_links(graph).tolist())
    if not nx.is_directed_acyclic_graph(order):
        ids = graph.terms["go_id"]
        cycle = [ids.iloc[child] for child, _ in nx.find_cycle(order)]
        raise InputError(
            f"the knowledge graph's is_a and part_of form a cycle over the terms "
            f"{' -> '.join([*cycle, cycle[0]])}; expected a directed acyclic graph."
        )
    return tuple(np.array(sorted(level), np.int32) for level in nx.topological_generations(order))
