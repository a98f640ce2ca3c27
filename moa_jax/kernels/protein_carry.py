"""The step over proteins of two-step kernel ridge regression."""

from __future__ import annotations

from collections.abc import Sequence

import ml_collections
import numpy as np
import scipy.linalg
from jaxtyping import Float32, Int

from moa_jax.knowledge.protein_similarity import protein_kernel
from moa_jax.schemas import KnowledgeGraph


def gene_rows(graph: KnowledgeGraph, symbols: Sequence[str]) -> Int[np.ndarray, " symbol"]:
    """Rows of the gene nodes with the given symbols."""
    place = {symbol: row for row, symbol in enumerate(graph.genes["symbol"])}
    return np.array([place[symbol] for symbol in symbols], int)


def gene_kernel(
    config: ml_collections.ConfigDict, graph: KnowledgeGraph
) -> Float32[np.ndarray, "gene gene"]:
    """`protein_kernel` of all gene nodes.

    Args:
      config: its `restart` and `string_share`.
      graph: the knowledge graph.
    """
    return protein_kernel(
        graph,
        np.arange(graph.num_genes),
        restart=config.restart,
        string_share=config.string_share,
    )


def carry_by(
    kernel: Float32[np.ndarray, "gene gene"], rows: Int[np.ndarray, " protein"], ridge: float
) -> Float32[np.ndarray, "protein gene"]:
    """`(K + ridge I)^-1 K`: evidence for proteins, carried to all gene nodes (Stock 2018, eq. 4).

    Args:
      kernel: of all gene nodes.
      rows: the proteins, each once.
      ridge: added to the diagonal of their kernel.
    """
    to_all = kernel[rows].astype(np.float64)
    system = to_all[:, rows]
    system[np.diag_indices_from(system)] += ridge
    return scipy.linalg.solve(system, to_all, assume_a="pos").astype(np.float32)
