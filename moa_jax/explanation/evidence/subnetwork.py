"""The part of STRING that a figure shows: high-scoring proteins, known targets, connectors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int
from networkx.utils import UnionFind
from scipy.sparse.csgraph import dijkstra

from moa_jax.schemas import InputError, KnowledgeGraph

# Genes of largest absolute score that are shown, except zeros.
NUM_TOP = 12
# Largest number of genes; further targets are left out, in the order of the graph.
MAX_NODES = 28
# Longest path between two shown genes, in links.
MAX_LINKS = 3
# Strongest interactions that each gene keeps.
EDGES_PER_NODE = 3


@dataclasses.dataclass(frozen=True)
class Subnetwork:
    """Gene nodes and interactions among them.

    Attributes:
      nodes: rows of the graph's genes: known targets, then by absolute score, then connectors.
      symbols: their names.
      scores: their scores.
      is_target: whether they are known targets.
      is_measured: whether they are among the measured genes.
      edges: pairs of places in `nodes`, the smaller one first.
      weight: STRING's combined score / 1000 of each edge.
    """

    nodes: Int[np.ndarray, " node"]
    symbols: tuple[str, ...]
    scores: Float[np.ndarray, " node"]
    is_target: Bool[np.ndarray, " node"]
    is_measured: Bool[np.ndarray, " node"]
    edges: Int[np.ndarray, "edge 2"]
    weight: Float[np.ndarray, " edge"]


def choose_subnetwork(
    graph: KnowledgeGraph,
    scores: Float[np.ndarray, " gene"],
    targets: Collection[str] = (),
) -> Subnetwork:
    """Chooses the genes and interactions to show.

    Known targets and genes of largest absolute score are always shown. Connectors on the cheapest
    path between two of them are added while there is room, for pairs with a target first, then in
    the order of the paths' costs. A link costs `0.01 - log(weight)`; paths of more than
    `MAX_LINKS` links are left out. Each gene keeps its strongest interactions and those of paths.

    Args:
      graph: the knowledge graph.
      scores: signed score of every gene node, 0 where there is none.
      targets: symbols of known targets; those that the graph lacks are left out.

    Raises:
      InputError: there is no score for a gene node, or one is not finite.
    """
    if len(scores) != graph.num_genes or not np.isfinite(scores).all():
        raise InputError(
            f"a figure of the network needs a finite score for each of {graph.num_genes} genes; "
            f"found {int(np.isfinite(scores).sum())} of {len(scores)}."
        )
    symbols = graph.genes["symbol"].to_numpy()
    is_target = graph.genes["symbol"].isin(set(targets)).to_numpy()
    ranked = np.argsort(-np.abs(scores), kind="stable")[:NUM_TOP]
    seeds = list(np.flatnonzero(is_target)[:MAX_NODES])
    seeds += [gene for gene in ranked if scores[gene] != 0 and gene not in seeds]
    seeds = [int(gene) for gene in seeds[:MAX_NODES]]
    edges = graph.interacts
    weight = scipy.sparse.csr_array(
        (edges.weight.astype(float), (edges.senders, edges.receivers)),
        shape=(graph.num_genes, graph.num_genes),
    )
    nodes, path_links = _joined(weight, seeds, is_target)
    kept, strength = _strongest(weight, nodes, path_links)
    rows = np.array(nodes, int)
    return Subnetwork(
        nodes=rows,
        symbols=tuple(symbols[rows]),
        scores=scores[rows],
        is_target=is_target[rows],
        is_measured=rows < graph.num_landmarks,
        edges=kept,
        weight=strength,
    )


def _joined(
    weight: scipy.sparse.csr_array,
    seeds: list[int],
    is_target: Bool[np.ndarray, " gene"],
) -> tuple[list[int], set[tuple[int, int]]]:
    """The seeds with their connectors, and the links of the paths."""
    if not seeds:
        return [], set()
    cost = weight.copy()
    cost.data = 0.01 - np.log(cost.data)
    costs, before = dijkstra(cost, indices=seeds, return_predecessors=True)
    pairs = sorted(
        (not (is_target[seed] or is_target[other]), float(costs[row, other]), seed, other)
        for row, seed in enumerate(seeds)
        for other in seeds
        if other > seed and np.isfinite(costs[row, other])
    )
    row_of = {seed: row for row, seed in enumerate(seeds)}
    nodes, used, parts = list(seeds), set(), UnionFind(seeds)
    for *_, seed, other in pairs:
        path = [other]
        while path[-1] != seed and len(path) <= MAX_LINKS:
            path.append(int(before[row_of[seed], path[-1]]))
        connectors = [gene for gene in path if gene not in nodes]
        is_whole = path[-1] == seed
        if not is_whole or parts[seed] == parts[other] or len(nodes) + len(connectors) > MAX_NODES:
            continue
        nodes += connectors
        parts.union(seed, other, *connectors)
        used |= {(min(pair), max(pair)) for pair in itertools.pairwise(path)}
    return nodes, used


def _strongest(
    weight: scipy.sparse.csr_array,
    nodes: list[int],
    always: set[tuple[int, int]],
) -> tuple[Int[np.ndarray, "edge 2"], Float[np.ndarray, " edge"]]:
    """Pairs of places in `nodes` and their weights."""
    among = weight[nodes][:, nodes].toarray() if nodes else np.zeros((0, 0))
    place = {gene: number for number, gene in enumerate(nodes)}
    kept = {(min(place[one], place[two]), max(place[one], place[two])) for one, two in always}
    for one, row in enumerate(among):
        for two in np.argsort(-row, kind="stable")[:EDGES_PER_NODE].tolist():
            if row[two] > 0 and two != one:
                kept.add((min(one, two), max(one, two)))
    edges = np.array(sorted(kept), int).reshape(-1, 2)
    return edges, among[edges[:, 0], edges[:, 1]]
