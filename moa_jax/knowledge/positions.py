"""Where a node stands in the graph, told by random walks."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Float32

from moa_jax.schemas import KnowledgeGraph

# Nodes whose walks are followed at once; bounds the memory.
BLOCK = 1024


def return_probabilities(graph: KnowledgeGraph, num_steps: int) -> Float32[np.ndarray, "node step"]:
    """Probability that a random walk is back at its start after 1, 2, ... steps.

    RWSE (Dwivedi 2022, section 3.2): the diagonals of the powers of `A D^-1`, whose values no
    choice of signs or order of nodes changes. The walk goes along all edges in both directions,
    of every type, in proportion to their weights; a node without edges has zeros.

    The powers are those of `S = D^-1/2 A D^-1/2`, which is symmetric and has the same diagonals,
    so that half of the powers give all: `(S^(a+b))_ii = sum_j (S^a)_ij (S^b)_ij`.

    Args:
      graph: the knowledge graph.
      num_steps: length of the longest walk.

    Returns:
      One row per node, genes first, then terms.
    """
    adjacency = _adjacency(graph)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    walk = (adjacency * scale[:, None] * scale[None, :]).tocsr()
    num_nodes = len(degree)
    found = np.zeros((num_nodes, num_steps), np.float32)
    for first in range(0, num_nodes, BLOCK):
        rows = np.arange(first, min(first + BLOCK, num_nodes))
        before = np.zeros((num_nodes, len(rows)))
        before[rows, np.arange(len(rows))] = 1.0
        for step in range(0, num_steps, 2):
            after = walk @ before
            found[rows, step] = (after * before).sum(axis=0)
            if step + 1 < num_steps:
                found[rows, step + 1] = (after**2).sum(axis=0)
            before = after
    return found


def _adjacency(graph: KnowledgeGraph) -> scipy.sparse.csr_array:
    """Weights between all nodes in both directions, edges of all types added up."""
    num_genes, num_nodes = graph.num_genes, graph.num_genes + graph.num_terms
    total = scipy.sparse.csr_array((num_nodes, num_nodes))
    for edges, senders, receivers in (
        (graph.annotated_to, 0, num_genes),
        (graph.is_a, num_genes, num_genes),
        (graph.part_of, num_genes, num_genes),
    ):
        places = (edges.senders + senders, edges.receivers + receivers)
        total += scipy.sparse.csr_array((edges.weight, places), shape=(num_nodes, num_nodes))
    edges = graph.interacts
    # Interactions are stored in both directions already.
    there = scipy.sparse.csr_array(
        (edges.weight, (edges.senders, edges.receivers)), shape=(num_nodes, num_nodes)
    )
    return (total + total.T + there).tocsr()
