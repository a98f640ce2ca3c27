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


def carry_matrix(
    config: ml_collections.ConfigDict, graph: KnowledgeGraph, proteins: Sequence[str]
) -> Float32[np.ndarray, "protein gene"]:
    """`(K + ridge I)^-1 K`: evidence for proteins, carried to all gene nodes (Stock 2018, eq. 4).

    Args:
      config: `restart` and `string_share` of `protein_kernel`, and `ridge`.
      graph: the knowledge graph.
      proteins: gene symbols of gene nodes, each once.
    """
    kernel = protein_kernel(
        graph,
        np.arange(graph.num_genes),
        restart=config.restart,
        string_share=config.string_share,
    )
    return carried_by(kernel, gene_rows(graph, proteins), ridge=config.ridge)


def carried_by(
    kernel: Float32[np.ndarray, "gene gene"], rows: Int[np.ndarray, " protein"], *, ridge: float
) -> Float32[np.ndarray, "protein gene"]:
    """`carry_matrix` by a kernel of all gene nodes.

    Args:
      kernel: similarities of gene nodes.
      rows: the proteins that have evidence.
      ridge: added to the diagonal of the kernel of proteins.
    """
    of_proteins = kernel[rows].astype(np.float64)
    system = of_proteins[:, rows]
    system[np.diag_indices_from(system)] += ridge
    return scipy.linalg.solve(system, of_proteins, assume_a="pos").astype(np.float32)
