"""The knowledge graph of genes and Gene Ontology terms, and the columns of its tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int32

from moa_jax.schemas.errors import InputError, require_columns

GENE_NODE_COLUMNS = ("entrez_id", "symbol", "is_landmark")
TERM_COLUMNS = ("go_id", "name", "namespace")
# `genes`: tuple of Entrez ids.
# Of a gene node, to read tables and names of mechanisms: its full name and other names, which are
# separated by `|`.
GENE_TEXT_COLUMNS = ("entrez_id", "symbol", "name", "aliases")
GENE_SET_COLUMNS = ("collection", "set_id", "name", "genes")


@dataclasses.dataclass(frozen=True)
class EdgeSet:
    """Directed edges of one type between two node sets.

    Attributes:
      senders: row of the sending node in its node table.
      receivers: row of the receiving node in its node table.
      weight: in (0, 1]; STRING's combined_score / 1000 for `interacts`, 1 elsewhere.
      evidence: one evidence code per edge for `annotated_to`, empty elsewhere.
    """

    senders: Int32[np.ndarray, " edge"]
    receivers: Int32[np.ndarray, " edge"]
    weight: Float32[np.ndarray, " edge"]
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.senders) == len(self.receivers) == len(self.weight):
            raise InputError(
                f"an edge set has {len(self.senders)} senders, {len(self.receivers)} "
                f"receivers and {len(self.weight)} weights; the three must be equal."
            )

    @property
    def num_edges(self) -> int:
        """Number of directed edges."""
        return len(self.senders)


@dataclasses.dataclass(frozen=True)
class KnowledgeGraph:
    """STRING and Gene Ontology over two node sets, `gene` and `term`.

    Attributes:
      genes: `GENE_NODE_COLUMNS`; the landmarks are the first rows, in the order of the
        signatures' genes, followed by proteins that were not measured.
      terms: `TERM_COLUMNS`.
      interacts: gene - gene, each undirected STRING edge stored in both directions.
      annotated_to: gene -> term.
      is_a: term (child) -> term (parent).
      part_of: term (child) -> term (parent).
    """

    genes: pd.DataFrame
    terms: pd.DataFrame
    interacts: EdgeSet
    annotated_to: EdgeSet
    is_a: EdgeSet
    part_of: EdgeSet

    def __post_init__(self) -> None:
        require_columns(self.genes, GENE_NODE_COLUMNS, "the graph's gene table")
        require_columns(self.terms, TERM_COLUMNS, "the graph's term table")
        ends = {
            "interacts": (self.num_genes, self.num_genes),
            "annotated_to": (self.num_genes, self.num_terms),
            "is_a": (self.num_terms, self.num_terms),
            "part_of": (self.num_terms, self.num_terms),
        }
        for name, (num_senders, num_receivers) in ends.items():
            edges: EdgeSet = getattr(self, name)
            for end, limit in ((edges.senders, num_senders), (edges.receivers, num_receivers)):
                if len(end) and not (end.min() >= 0 and end.max() < limit):
                    raise InputError(f"an edge of {name} points past its {limit} nodes.")

    @property
    def num_genes(self) -> int:
        """Number of gene nodes, landmarks and others."""
        return len(self.genes)

    @property
    def num_terms(self) -> int:
        """Number of term nodes."""
        return len(self.terms)

    @property
    def num_landmarks(self) -> int:
        """Number of gene nodes that were measured; they come first."""
        return int(self.genes["is_landmark"].sum())
