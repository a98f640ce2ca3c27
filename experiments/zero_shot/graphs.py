"""Kernels of proteins by the true graph, and by controls that lack a part of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int

from moa_jax.knowledge.controls import randomised_graph
from moa_jax.knowledge.protein_similarity import (
    go_similarity,
    string_similarity,
    without_gene_families,
)
from moa_jax.schemas import KnowledgeGraph

Kernel = Float32[np.ndarray, "gene gene"]

TRUE, REWIRED, NO_FAMILIES, IDENTITY = (
    "STRING and GO",
    "rewired and shuffled",
    "without gene families",
    "no graph",
)


@dataclasses.dataclass(frozen=True)
class GraphKernels:
    """Kernels of proteins by one graph.

    Attributes:
      by_string: `string_similarity`.
      by_terms: `go_similarity`.
      change: what is done to their mean.
    """

    by_string: Kernel
    by_terms: Kernel
    change: Callable[[Kernel], Kernel] = np.asarray

    def mixed(self, string_share: float) -> Kernel:
        """The weighted mean of both; see `protein_kernel`."""
        return self.change(string_share * self.by_string + (1 - string_share) * self.by_terms)


def graph_kernels(
    graph: KnowledgeGraph, rows: Int[np.ndarray, " gene"], *, restart: float, seed: int
) -> dict[str, GraphKernels]:
    """The kernels of the true graph and of each control.

    Args:
      graph: the true graph.
      rows: gene nodes.
      restart: see `string_similarity`.
      seed: of the randomised graph.
    """
    control = randomised_graph(graph, seed=seed)
    of_graph = [
        (string_similarity(some, rows, restart=restart), go_similarity(some, rows))
        for some in (graph, control)
    ]
    symbols = list(graph.genes["symbol"].iloc[rows])
    identity = np.eye(len(rows), dtype=np.float32)
    return {
        TRUE: GraphKernels(*of_graph[0]),
        REWIRED: GraphKernels(*of_graph[1]),
        NO_FAMILIES: GraphKernels(
            *of_graph[0], change=lambda kernel: without_gene_families(kernel, symbols)
        ),
        IDENTITY: GraphKernels(identity, identity),
    }
