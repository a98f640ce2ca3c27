"""Joins landmarks, STRING and the Gene Ontology into one knowledge graph."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from moa_jax.knowledge.coverage import (
    GeneSources,
    GeneTerms,
    landmark_report,
    size_report,
    target_report,
)
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.knowledge.gene_ontology import IS_A, PART_OF, Annotations, Ontology, ancestors
from moa_jax.knowledge.gene_selection import gene_interactions, interaction_edges, select_genes
from moa_jax.knowledge.string_db import MAX_SCORE, genes_of_proteins
from moa_jax.knowledge.term_selection import (
    Ancestors,
    nearest_kept,
    select_terms,
    specific_annotations,
)
from moa_jax.schemas import GENE_NAME_COLUMNS, EdgeSet, InputError, KnowledgeGraph, require_columns

NAMESPACES = ("biological_process", "molecular_function", "cellular_component")


@dataclasses.dataclass(frozen=True)
class GraphSettings:
    """Selection of the graph's nodes and edges.

    Attributes:
      min_score: smallest combined_score of a STRING link, 0..1000 (700 is STRING's "high").
      max_hops: maximum distance of a STRING neighbour from a landmark or target.
      max_genes: number of genes at which no more neighbours are added. Landmarks and targets are
        always kept.
      min_term_genes: smallest number of the graph's genes annotated with a term or a descendant.
      max_term_genes: largest such number.
      max_terms: largest number of terms, see `select_terms`.
      namespaces: namespaces of the Gene Ontology from which terms are taken.
    """

    min_score: int = 700
    max_hops: int = 1
    max_genes: int = 4000
    min_term_genes: int = 5
    max_term_genes: int = 500
    max_terms: int = 1500
    namespaces: tuple[str, ...] = NAMESPACES

    def __post_init__(self) -> None:
        if not 1 <= self.min_score <= MAX_SCORE:
            raise InputError(f"min_score is {self.min_score}; expected 1 to {MAX_SCORE}.")
        for name in ("max_hops", "max_genes", "min_term_genes", "max_terms"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 or more.")
        unknown = sorted(set(self.namespaces) - set(NAMESPACES))
        if unknown:
            raise InputError(f"namespaces has {unknown[0]!r}; expected any of {NAMESPACES}.")
        if self.min_term_genes > self.max_term_genes:
            raise InputError(
                f"min_term_genes is {self.min_term_genes} and max_term_genes "
                f"{self.max_term_genes}; the first must not exceed the second."
            )


def assemble_graph(
    *,
    landmarks: pd.DataFrame,
    identifiers: GeneIdentifiers,
    string_info: pd.DataFrame,
    string_links: pd.DataFrame,
    ontology: Ontology,
    annotations: Annotations,
    targets: Sequence[str],
    settings: GraphSettings,
) -> tuple[KnowledgeGraph, dict[str, Any]]:
    """Assembles the graph; the order of the rows of its sources does not matter.

    Gene nodes are the landmarks in their order, then the other targets, then STRING neighbours (see
    `settings`), the last two by Entrez id. A landmark or target that neither STRING nor the
    annotations have is a node without edges. Term nodes are sorted by id.

    Args:
      landmarks: columns `entrez_id symbol`, in the order of the signatures' genes.
      identifiers: names of genes.
      string_info: output of `read_string_info`.
      string_links: output of `read_string_links`, with a min_score not above the settings'.
      ontology: output of `read_obo`.
      annotations: output of `read_gaf`.
      targets: names of the known targets of all compounds.
      settings: selection of nodes and edges.

    Returns:
      The graph, and its coverage as JSON values: reports on landmarks and targets, counts of nodes
      and edges, and counts of what was left out, by reason.

    Raises:
      InputError: a landmark is repeated, or STRING or the annotations have none of them.
    """
    landmark_ids = _landmark_ids(landmarks)
    sources = _gene_sources(identifiers, string_info, string_links, annotations, settings.min_score)
    _require_known(landmark_ids, sources)
    found = {name: identifiers.resolve(name) for name in sorted(set(targets))}
    target_ids = sorted({gene.entrez_id for gene in found.values() if gene.entrez_id})
    gene_ids = select_genes(
        landmark_ids,
        target_ids,
        sources.interactions,
        max_hops=settings.max_hops,
        max_genes=settings.max_genes,
    )
    num_known = len({*landmark_ids, *target_ids})
    genes = _gene_nodes(gene_ids, landmarks, identifiers)
    graph, num_lost = _joined(genes, num_known, sources, ontology, settings)
    coverage = {
        "landmarks": landmark_report(landmark_ids, sources, ontology, graph),
        "targets": target_report(found, sources, graph),
        **size_report(graph, num_known),
        "dropped": {
            **string_links.attrs.get("dropped", {}),
            **sources.dropped,
            "annotated term of a gene node without a kept term above it": num_lost,
        },
    }
    return graph, coverage


def _landmark_ids(landmarks: pd.DataFrame) -> list[str]:
    require_columns(landmarks, GENE_NAME_COLUMNS, "the landmark table")
    repeated = landmarks["entrez_id"][landmarks["entrez_id"].duplicated()]
    if len(repeated):
        raise InputError(f"the landmark table repeats the Entrez id {repeated.iloc[0]}.")
    if not len(landmarks):
        raise InputError("the landmark table has no row; expected one per measured gene.")
    return list(landmarks["entrez_id"])


def _gene_sources(
    identifiers: GeneIdentifiers,
    string_info: pd.DataFrame,
    string_links: pd.DataFrame,
    annotations: Annotations,
    min_score: int,
) -> GeneSources:
    """STRING and the annotations by Entrez id."""
    protein_genes, dropped_proteins = genes_of_proteins(string_info, identifiers)
    interactions, dropped_links = gene_interactions(string_links, protein_genes, min_score)
    terms, dropped_annotations = _terms_of_genes(annotations.table, identifiers)
    return GeneSources(
        in_string=frozenset(protein_genes.values()),
        interactions=interactions,
        terms=terms,
        dropped={
            **dropped_links,
            **dropped_proteins,
            **annotations.dropped,
            **dropped_annotations,
        },
    )


def _require_known(landmark_ids: list[str], sources: GeneSources) -> None:
    """Refuses sources that have none of the landmarks."""
    for source, known in (("STRING", sources.in_string), ("the GO annotations", sources.terms)):
        if not set(known) & set(landmark_ids):
            raise InputError(
                f"none of the {len(landmark_ids)} landmarks, such as {landmark_ids[0]}, is in "
                f"{source}; check that the gene identifiers and the species are the same."
            )


def _gene_nodes(
    gene_ids: Sequence[str], landmarks: pd.DataFrame, identifiers: GeneIdentifiers
) -> pd.DataFrame:
    """`GENE_NODE_COLUMNS` of the landmarks, which come first, and of the other genes."""
    others = [identifiers.symbol_of.get(gene, gene) for gene in gene_ids[len(landmarks) :]]
    return pd.DataFrame(
        {
            "entrez_id": gene_ids,
            "symbol": [*landmarks["symbol"], *others],
            "is_landmark": np.arange(len(gene_ids)) < len(landmarks),
        }
    )


def _terms_of_genes(
    table: pd.DataFrame, identifiers: GeneIdentifiers
) -> tuple[GeneTerms, dict[str, int]]:
    """Annotations by Entrez id.

    The database's object id is used if it is a known Entrez id (NCBI's files); otherwise the
    symbol is looked up (UniProt's files).
    """
    found: dict[tuple[str, str], str | None] = {}
    terms: dict[str, dict[str, list[str]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    dropped: collections.Counter[str] = collections.Counter()
    for gene, symbol, term, code in table.itertuples(index=False):
        if (gene, symbol) not in found:
            is_entrez = gene in identifiers.symbol_of
            found[gene, symbol] = gene if is_entrez else identifiers.resolve(symbol).entrez_id
        entrez_id = found[gene, symbol]
        if entrez_id is None:
            dropped["annotation of a gene whose name is unknown or ambiguous"] += 1
        else:
            terms[entrez_id][term].append(code)
    return terms, dict(dropped)


def _joined(
    genes: pd.DataFrame,
    num_known: int,
    sources: GeneSources,
    ontology: Ontology,
    settings: GraphSettings,
) -> tuple[KnowledgeGraph, int]:
    """Adds terms and edges to the gene nodes.

    Args:
      genes: `GENE_NODE_COLUMNS`, landmarks and targets first.
      num_known: number of landmarks and targets.
      sources: interactions and annotations of all genes.
      ontology: the terms.
      settings: selection of terms.

    Returns:
      The graph, and the number of its genes' annotations without a kept term.
    """
    above = ancestors(ontology)
    direct = [sources.terms.get(gene, {}) for gene in genes["entrez_id"]]
    kept = select_terms(
        direct,
        ontology,
        above,
        num_known=num_known,
        namespaces=settings.namespaces,
        min_term_genes=settings.min_term_genes,
        max_term_genes=settings.max_term_genes,
        max_terms=settings.max_terms,
    )
    row_of = {term: row for row, term in enumerate(kept)}
    nearest = nearest_kept(ontology, kept, above)
    annotated_to, num_lost = _annotations(direct, row_of, nearest, above)
    graph = KnowledgeGraph(
        genes=genes,
        terms=ontology.terms[ontology.terms["go_id"].isin(row_of)].reset_index(drop=True),
        interacts=interaction_edges(sources.interactions, list(genes["entrez_id"])),
        annotated_to=annotated_to,
        is_a=_term_edges(nearest, row_of, IS_A),
        part_of=_term_edges(nearest, row_of, PART_OF),
    )
    return graph, num_lost


def _annotations(
    direct: Sequence[Mapping[str, Sequence[str]]],
    row_of: Mapping[str, int],
    nearest: Mapping[str, Mapping[str, str]],
    above: Ancestors,
) -> tuple[EdgeSet, int]:
    """Edges from genes to their most specific kept terms, and the number of terms without one."""
    annotated: list[tuple[int, int]] = []
    evidence: list[str] = []
    num_lost = 0
    for row, terms in enumerate(direct):
        specific, lost = specific_annotations(terms, row_of, nearest, above)
        num_lost += lost
        annotated += [(row, row_of[term]) for term in specific]
        evidence += specific.values()
    return _edges(annotated, tuple(evidence)), num_lost


def _term_edges(
    nearest: Mapping[str, Mapping[str, str]], row_of: Mapping[str, int], wanted: str
) -> EdgeSet:
    """Edges of one relation from each kept term to its nearest kept ancestors."""
    pairs = [
        (row_of[term], row_of[ancestor])
        for term in row_of
        for ancestor, relation in nearest[term].items()
        if relation == wanted
    ]
    return _edges(pairs)


def _edges(pairs: Sequence[tuple[int, int]], evidence: tuple[str, ...] = ()) -> EdgeSet:
    """Edges of weight 1 from (sender, receiver)."""
    ends = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return EdgeSet(ends[:, 0], ends[:, 1], np.ones(len(ends), np.float32), evidence)
