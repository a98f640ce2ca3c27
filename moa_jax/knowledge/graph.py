"""Joins landmarks, STRING and the Gene Ontology into one knowledge graph."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from moa_jax.knowledge.gene_identifiers import AMBIGUOUS, UNKNOWN, GeneIdentifiers
from moa_jax.knowledge.gene_ontology import IS_A, PART_OF, Annotations, Ontology, ancestors
from moa_jax.knowledge.gene_selection import gene_interactions, interaction_edges, select_genes
from moa_jax.knowledge.string_db import MAX_SCORE, genes_of_proteins
from moa_jax.knowledge.term_selection import nearest_kept, select_terms, specific_annotations
from moa_jax.schemas import GENE_NAME_COLUMNS, EdgeSet, InputError, KnowledgeGraph, require_columns

NAMESPACES = ("biological_process", "molecular_function", "cellular_component")

# Entrez id -> term -> evidence codes.
GeneTerms = Mapping[str, Mapping[str, Sequence[str]]]


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
      max_terms: largest number of terms.
      namespaces: namespaces of the Gene Ontology from which terms are taken.
    """

    min_score: int = 700
    max_hops: int = 1
    max_genes: int = 3500
    min_term_genes: int = 10
    max_term_genes: int = 500
    max_terms: int = 1000
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

    Gene nodes are the landmarks in their order, then the targets that STRING has, then STRING
    neighbours (see `settings`), the last two by Entrez id. Term nodes are sorted by id.

    Args:
      landmarks: columns `entrez_id symbol`, in the order of the signatures' genes.
      identifiers: names of genes.
      string_info: output of `read_string_info`.
      string_links: output of `read_string_links`, with a min_score not above the settings'.
      ontology: output of `read_obo`.
      annotations: output of `read_gaf`.
      targets: gene symbols of the compounds' known targets.
      settings: selection of nodes and edges.

    Returns:
      The graph, and its coverage as JSON values: counts of landmarks, targets, nodes and edges,
      and counts of what was left out, by reason.

    Raises:
      InputError: a landmark is repeated, or STRING or the annotations have none of them.
    """
    landmark_ids = _landmark_ids(landmarks)
    protein_genes, dropped_proteins = genes_of_proteins(string_info, identifiers)
    interactions, dropped_links = gene_interactions(string_links, protein_genes, settings.min_score)
    gene_terms, dropped_annotations = _terms_of_genes(annotations.table, identifiers)
    in_string = set(protein_genes.values())
    _require_known(landmark_ids, in_string, set(gene_terms))
    target_report, target_ids = _find_targets(targets, identifiers, in_string)
    gene_ids = select_genes(
        landmark_ids,
        target_ids,
        interactions,
        max_hops=settings.max_hops,
        max_genes=settings.max_genes,
    )
    genes = _gene_nodes(gene_ids, landmarks, identifiers)
    interacts = interaction_edges(interactions, gene_ids)
    terms, annotated_to, is_a, part_of, num_lost = _ontology_part(
        gene_ids, len(landmark_ids), gene_terms, ontology, settings
    )
    graph = KnowledgeGraph(genes, terms, interacts, annotated_to, is_a, part_of)
    coverage = {
        "landmarks": _landmark_report(
            landmark_ids=landmark_ids,
            in_string=in_string,
            interactions=interactions,
            gene_terms=gene_terms,
            ontology=ontology,
            graph=graph,
        ),
        "targets": target_report,
        **_size_report(graph, landmark_ids, target_ids),
        "dropped": {
            **string_links.attrs.get("dropped", {}),
            **dropped_links,
            **dropped_proteins,
            **annotations.dropped,
            **dropped_annotations,
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


def _require_known(landmark_ids: list[str], in_string: set[str], annotated: set[str]) -> None:
    """Refuses sources that have none of the landmarks."""
    for source, known in (("STRING", in_string), ("the GO annotations", annotated)):
        if not known & set(landmark_ids):
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


def _size_report(
    graph: KnowledgeGraph, landmark_ids: list[str], target_ids: list[str]
) -> dict[str, dict[str, int]]:
    """Numbers of nodes and edges by kind."""
    return {
        "nodes": {
            "genes": graph.num_genes,
            "landmarks": graph.num_landmarks,
            "targets": len(set(target_ids) - set(landmark_ids)),
            "neighbours": graph.num_genes - len({*landmark_ids, *target_ids}),
            "terms": graph.num_terms,
        },
        "edges": {
            name: getattr(graph, name).num_edges
            for name in ("interacts", "annotated_to", "is_a", "part_of")
        },
    }


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


def _ontology_part(
    gene_ids: Sequence[str],
    num_landmarks: int,
    gene_terms: GeneTerms,
    ontology: Ontology,
    settings: GraphSettings,
) -> tuple[pd.DataFrame, EdgeSet, EdgeSet, EdgeSet, int]:
    """Term nodes, their three edge sets, and the number of annotations without a kept term."""
    above = ancestors(ontology)
    direct = [gene_terms.get(gene, {}) for gene in gene_ids]
    kept = select_terms(
        direct,
        ontology,
        above,
        num_landmarks=num_landmarks,
        namespaces=settings.namespaces,
        min_term_genes=settings.min_term_genes,
        max_term_genes=settings.max_term_genes,
        max_terms=settings.max_terms,
    )
    row_of = {term: row for row, term in enumerate(kept)}
    nearest = nearest_kept(ontology, kept, above)
    annotated: list[tuple[int, int]] = []
    evidence: list[str] = []
    num_lost = 0
    for row, terms in enumerate(direct):
        specific, lost = specific_annotations(terms, row_of, nearest, above)
        num_lost += lost
        annotated += [(row, row_of[term]) for term in specific]
        evidence += specific.values()
    links = {
        wanted: [
            (row_of[term], row_of[ancestor])
            for term in kept
            for ancestor, relation in nearest[term].items()
            if relation == wanted
        ]
        for wanted in (IS_A, PART_OF)
    }
    terms = ontology.terms[ontology.terms["go_id"].isin(row_of)].reset_index(drop=True)
    annotated_to = _edges(annotated, tuple(evidence))
    return terms, annotated_to, _edges(links[IS_A]), _edges(links[PART_OF]), num_lost


def _edges(pairs: Sequence[tuple[int, int]], evidence: tuple[str, ...] = ()) -> EdgeSet:
    """Edges of weight 1 from (sender, receiver)."""
    ends = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return EdgeSet(ends[:, 0], ends[:, 1], np.ones(len(ends), np.float32), evidence)


def _find_targets(
    targets: Sequence[str], identifiers: GeneIdentifiers, in_string: set[str]
) -> tuple[dict[str, Any], list[str]]:
    """A report on the target symbols, and the Entrez ids of those in STRING."""
    names = sorted(set(targets))
    found = {name: identifiers.resolve(name) for name in names}
    resolved = {name: result.entrez_id for name, result in found.items() if result.entrez_id}
    report = {
        "given": len(names),
        "resolved": len(resolved),
        "in_string": sum(gene in in_string for gene in resolved.values()),
        "ambiguous": [name for name in names if found[name].how == AMBIGUOUS],
        "unknown": [name for name in names if found[name].how == UNKNOWN],
        "not_in_string": [name for name, gene in resolved.items() if gene not in in_string],
    }
    return report, sorted({*resolved.values()} & in_string)


def _landmark_report(
    *,
    landmark_ids: Sequence[str],
    in_string: set[str],
    interactions: pd.DataFrame,
    gene_terms: GeneTerms,
    ontology: Ontology,
    graph: KnowledgeGraph,
) -> dict[str, Any]:
    namespace_of = dict(zip(ontology.terms["go_id"], ontology.terms["namespace"], strict=True))
    linked = {*interactions["gene1"], *interactions["gene2"]}
    in_namespace = collections.Counter(
        namespace
        for gene in landmark_ids
        for namespace in {namespace_of[term] for term in gene_terms.get(gene, ())}
    )

    def num_touched(edges: EdgeSet) -> int:
        return len(np.unique(edges.senders[edges.senders < len(landmark_ids)]))

    return {
        "total": len(landmark_ids),
        "in_string": sum(gene in in_string for gene in landmark_ids),
        "not_in_string": [gene for gene in landmark_ids if gene not in in_string],
        "with_string_link": sum(gene in linked for gene in landmark_ids),
        "with_interaction": num_touched(graph.interacts),
        "annotated": sum(gene in gene_terms for gene in landmark_ids),
        "annotated_by_namespace": dict(sorted(in_namespace.items())),
        "with_term": num_touched(graph.annotated_to),
    }
