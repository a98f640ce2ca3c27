"""The graph as matrices: its device arrays, and network propagation from measured genes."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Float, Float32

from moa_jax.schemas import EdgeArrays, EdgeSet, GraphArrays, KnowledgeGraph


def graph_arrays(graph: KnowledgeGraph, *, restart: float, num_steps: int) -> GraphArrays:
    """The graph's edges and its propagation matrix, as a jitted step takes them.

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


def propagation_matrix(
    graph: KnowledgeGraph, *, restart: float, num_steps: int
) -> Float32[np.ndarray, "gene node"]:
    """Random walk with restart over STRING, then averages over annotated genes and child terms.

    For gene nodes `P <- (1 - restart) P W + restart I`, with `W = D^-1/2 A D^-1/2` of the
    weighted interactions (Köhler 2008; Vanunu 2010). A term averages its annotated genes and
    its child terms, one ontology level per step. Columns have unit length, so that independent
    genes of unit variance give every node an activity of unit variance; the column of a node that
    no measured gene reaches is zero.

    Args:
      graph: the knowledge graph; its first `num_landmarks` genes were measured.
      restart: probability of returning to the start, in (0, 1].
      num_steps: steps of the walk.

    Returns:
      One row per measured gene, one column per node (genes, then terms).
    """
    num_genes, num_landmarks = graph.num_genes, graph.num_landmarks
    walk = normalised_interactions(graph)
    start = scipy.sparse.eye_array(num_landmarks, num_genes, format="csr").toarray()
    genes = start
    for _ in range(num_steps):
        genes = (1.0 - restart) * (walk.T @ genes.T).T + restart * start

    annotated, ontology = term_links(graph)
    evidence = np.asarray(annotated.sum(axis=0) + ontology.sum(axis=0)).ravel()
    share = 1.0 / np.maximum(evidence, 1.0)
    direct = (annotated.T @ genes.T).T
    terms = direct * share
    for _ in range(num_steps):
        terms = (direct + (ontology.T @ terms.T).T) * share

    columns = np.concatenate([genes, terms], axis=1)
    length = np.linalg.norm(columns, axis=0)
    return (columns / np.where(length > 0, length, 1.0)).astype(np.float32)


def normalised_interactions(graph: KnowledgeGraph) -> scipy.sparse.csr_array:
    """`D^-1/2 A D^-1/2` of the weighted interactions, gene by gene, float64.

    Rows of genes without an interaction are zero.
    """
    adjacency = _matrix(graph.interacts, graph.num_genes, graph.num_genes)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    scale = scipy.sparse.diags_array(1.0 / np.sqrt(np.maximum(degree, 1e-12)) * (degree > 0))
    return (scale @ adjacency @ scale).tocsr()


def term_links(graph: KnowledgeGraph) -> tuple[scipy.sparse.csr_array, scipy.sparse.csr_array]:
    """Annotations (gene by term) and is_a and part_of (child by parent) as float64 matrices."""
    num_genes, num_terms = graph.num_genes, graph.num_terms
    annotated = _matrix(graph.annotated_to, num_genes, num_terms)
    is_a = _matrix(graph.is_a, num_terms, num_terms)
    return annotated, is_a + _matrix(graph.part_of, num_terms, num_terms)


def _matrix(edges: EdgeSet, num_senders: int, num_receivers: int) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(
        (edges.weight.astype(np.float64), (edges.senders, edges.receivers)),
        shape=(num_senders, num_receivers),
    )


def string_degree(graph: KnowledgeGraph) -> Float[np.ndarray, " gene"]:
    """Weighted number of interactions of every gene node."""
    return np.bincount(
        graph.interacts.senders, weights=graph.interacts.weight, minlength=graph.num_genes
    )
