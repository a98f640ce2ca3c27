"""How similar proteins are by their STRING interactions and Gene Ontology terms.

Each similarity is a kernel: symmetric, positive semi-definite, with ones on the diagonal. A protein
about which the graph knows nothing is similar to itself alone. The kernels are computed in
float64 and returned in float32, so that eigenvalues are exact to about 1e-5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Float32, Int

from moa_jax.knowledge.propagation import normalised_interactions, term_links
from moa_jax.schemas import InputError, KnowledgeGraph

_LEADING_LETTERS = re.compile(r"[A-Z]+")
# Shorter stems, such as those of C3 and F2, are no families.
_MIN_STEM = 2
# The last letter of stems from this length on tells subunits and subtypes apart, not families.
_SUBUNIT_STEM = 4


def protein_kernel(
    graph: KnowledgeGraph, rows: Int[np.ndarray, " row"], *, restart: float, string_share: float
) -> Float32[np.ndarray, "row row"]:
    """Weighted mean of `string_similarity` and `go_similarity`.

    Args:
      graph: the knowledge graph.
      rows: gene nodes, each once.
      restart: restart probability of the walk on STRING, in (0, 1].
      string_share: weight of STRING, from 0 to 1; the rest is the Gene Ontology's.

    Raises:
      InputError: a setting is out of range.
    """
    if not 0 <= string_share <= 1:
        raise InputError(f"string_share is {string_share}; expected 0 to 1.")
    by_string = string_similarity(graph, rows, restart=restart)
    return string_share * by_string + (1 - string_share) * go_similarity(graph, rows)


def string_similarity(
    graph: KnowledgeGraph, rows: Int[np.ndarray, " row"], *, restart: float
) -> Float32[np.ndarray, "row row"]:
    """Cosine of random walks with restart on STRING, started at each protein.

    The walks end at the genes with `r (I - (1 - r) W)^-1`, with `W = D^-1/2 A D^-1/2` of the
    weighted interactions (Köhler 2008; Vanunu 2010), solved exactly. Two proteins are similar if
    they reach the same genes. Off the diagonal the cosine is larger than the matrix itself, so that
    it counts beside the similarity by the ontology.

    Args:
      graph: the knowledge graph.
      rows: gene nodes, each once.
      restart: probability `r` of returning to the start, in (0, 1]; with 1, all proteins differ.

    Raises:
      InputError: `restart` is out of range.
    """
    reached = string_walks(graph, rows, restart=restart)
    return _unit_diagonal(reached @ reached.T)


def string_walks(
    graph: KnowledgeGraph, rows: Int[np.ndarray, " row"], *, restart: float
) -> Float[np.ndarray, "row gene"]:
    """Where the random walks of `string_similarity` end, up to the factor `r`.

    Args:
      graph: the knowledge graph.
      rows: gene nodes where they start.
      restart: probability of returning to the start, in (0, 1].

    Raises:
      InputError: `restart` is out of range.
    """
    if not 0 < restart <= 1:
        raise InputError(f"restart is {restart}; expected above 0 and at most 1.")
    system = (1 - restart) * -normalised_interactions(graph).toarray()
    system[np.diag_indices_from(system)] += 1.0
    return scipy.linalg.inv(system, assume_a="pos", overwrite_a=True)[rows]


def go_similarity(
    graph: KnowledgeGraph, rows: Int[np.ndarray, " row"]
) -> Float32[np.ndarray, "row row"]:
    """Cosine of the proteins' terms, ancestors included, weighted by `log(genes / term's genes)`.

    Both numbers count annotated genes of the graph; a term's genes include those of its
    descendants over is_a and part_of.

    Args:
      graph: the knowledge graph.
      rows: gene nodes, each once.
    """
    weighted = weighted_terms(graph, rows)
    return _unit_diagonal((weighted @ weighted.T).toarray())


def weighted_terms(graph: KnowledgeGraph, rows: Int[np.ndarray, " row"]) -> scipy.sparse.csr_array:
    """The terms of `go_similarity` with their weights (row by term, float64).

    Args:
      graph: the knowledge graph.
      rows: gene nodes.
    """
    implied = _implied_terms(graph)
    num_genes = np.maximum(implied.sum(axis=0), 1.0)
    num_annotated = max(int((implied.sum(axis=1) > 0).sum()), 1)
    return (implied[rows] @ scipy.sparse.diags_array(np.log(num_annotated / num_genes))).tocsr()


def without_gene_families(
    kernel: Float32[np.ndarray, "row row"], symbols: Sequence[str]
) -> Float32[np.ndarray, "row row"]:
    """A kernel in which proteins of one gene family, by their names, are not similar.

    A control: what is left of a similarity without paralogues. A family shares the letters
    before the first digit, and from four letters on all but the last of them (ADRB1, ADRB2 and
    ADRA1A; HDAC1, HDAC3; CYP2D6, CYP2C9; GABRA1, GABRG2; PRKCA, PRKCD). This
    cuts too much rather than too little: SLC6A4 and SLC22A1 are not related, but are cut, too.

    With zeros alone, the kernel would not stay positive semi-definite. The similarities of a family
    with others are therefore divided by the square root of the largest eigenvalue of its block,
    which is 1 for a single protein and `n` for `n` identical ones: a family counts once.

    Args:
      kernel: a protein kernel.
      symbols: gene symbol of each row.

    Returns:
      A positive semi-definite kernel with a unit diagonal, zero within families.
    """
    family = np.unique([_family(symbol) for symbol in symbols], return_inverse=True)[1]
    cut = kernel.astype(np.float64)
    scale = np.ones(len(cut))
    for number in np.flatnonzero(np.bincount(family) > 1):
        members = np.flatnonzero(family == number)
        block = np.ix_(members, members)
        scale[members] = 1.0 / np.sqrt(np.linalg.eigvalsh(cut[block])[-1])
        cut[block] = 0.0
    cut *= scale[:, None] * scale[None, :]
    np.fill_diagonal(cut, 1.0)
    return cut.astype(np.float32)


def _family(symbol: str) -> str:
    """What the symbols of a gene family share; the symbol itself if it names no family."""
    match = _LEADING_LETTERS.match(symbol.upper())
    stem = match[0] if match else ""
    if len(stem) < _MIN_STEM:
        return symbol
    return stem if len(stem) < _SUBUNIT_STEM else f"{stem[:-1]}-"


def _implied_terms(graph: KnowledgeGraph) -> scipy.sparse.csr_array:
    """1 where a gene is annotated with a term or a descendant of it (gene by term)."""
    annotated, parents = term_links(graph)
    implied, num_before = (annotated > 0).astype(np.float64), -1
    while implied.nnz > num_before:
        num_before = implied.nnz
        implied = ((implied + implied @ parents) > 0).astype(np.float64)
    return implied.tocsr()


def _unit_diagonal(kernel: Float[np.ndarray, "row row"]) -> Float32[np.ndarray, "row row"]:
    """`k_ij / sqrt(k_ii k_jj)`; rows of zeros become those of the identity."""
    length = np.sqrt(kernel.diagonal())
    length = np.where(length > 0, length, 1.0)
    kernel = kernel / length[:, None]
    kernel /= length[None, :]
    np.fill_diagonal(kernel, 1.0)
    return kernel.astype(np.float32)
