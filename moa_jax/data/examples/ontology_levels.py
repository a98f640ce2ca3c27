"""The ontology in levels, with every term above all its children."""

from __future__ import annotations

import networkx as nx
import numpy as np
from jaxtyping import Int32

from moa_jax.schemas import EdgeArrays, InputError, KnowledgeGraph, OntologyArrays, TermLevel


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

    The level is the length of the longest path from a descendant; terms without children have
    level 0. (Levels of `gene_ontology.levels` count from the roots.)

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


def ontology_arrays(graph: KnowledgeGraph) -> OntologyArrays:
    """The terms by level, with links from children and measured genes.

    Neither the order nor the repetition of edges in `graph` matters.

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
            "no measured gene is annotated with a term of the knowledge graph; "
            "a network of terms needs at least one."
        )
    num_incoming = np.bincount(
        np.concatenate([links[:, 1], annotated[:, 1]]), minlength=graph.num_terms
    )

    def edges(pairs: Int32[np.ndarray, "link 2"], place: Int32[np.ndarray, " term"]) -> EdgeArrays:
        senders, receivers = pairs.T
        # Fan-in scaling, so that initial states have the same scale for all terms (LeCun 1998).
        weight = num_incoming[receivers] ** -0.5
        return EdgeArrays(senders, place[receivers], weight.astype(np.float32))

    levels, within = term_levels(graph), np.zeros(graph.num_terms, np.int32)
    for terms in levels:
        within[terms] = np.arange(len(terms))
    roots = np.setdiff1d(np.arange(graph.num_terms), links[:, 0])
    return OntologyArrays(
        annotated_to=edges(annotated, np.arange(graph.num_terms, dtype=np.int32)),
        levels=tuple(
            TermLevel(terms, edges(links[np.isin(links[:, 1], terms)], within)) for terms in levels
        ),
        roots=roots.astype(np.int32),
    )
