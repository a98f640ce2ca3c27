"""What STRING and the Gene Ontology know about the graph's landmarks and targets."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from moa_jax.knowledge.gene_identifiers import AMBIGUOUS, UNKNOWN, Resolution
from moa_jax.knowledge.gene_ontology import Ontology
from moa_jax.schemas import EdgeSet, KnowledgeGraph

# Entrez id -> term -> evidence codes.
GeneTerms = Mapping[str, Mapping[str, Sequence[str]]]


@dataclasses.dataclass(frozen=True)
class GeneSources:
    """STRING and the annotations by Entrez id.

    Attributes:
      in_string: genes with a protein in STRING.
      interactions: output of `gene_selection.gene_interactions`.
      terms: annotated terms of each gene.
      dropped: number of rows left out, by reason.
    """

    in_string: frozenset[str]
    interactions: pd.DataFrame
    terms: GeneTerms
    dropped: Mapping[str, int]


def landmark_report(
    landmark_ids: Sequence[str],
    sources: GeneSources,
    ontology: Ontology,
    graph: KnowledgeGraph,
) -> dict[str, Any]:
    """Counts of landmarks in STRING and the Gene Ontology, and with edges in the graph.

    Args:
      landmark_ids: Entrez ids.
      sources: what is known of all genes.
      ontology: the terms and their namespaces.
      graph: the assembled graph.
    """
    namespace_of = dict(zip(ontology.terms["go_id"], ontology.terms["namespace"], strict=True))
    linked = {*sources.interactions["gene1"], *sources.interactions["gene2"]}
    in_namespace = collections.Counter(
        namespace
        for gene in landmark_ids
        for namespace in {namespace_of[term] for term in sources.terms.get(gene, ())}
    )
    with_interaction, with_term = _genes_with_edges(graph)
    is_landmark = graph.genes["is_landmark"].to_numpy(bool)
    return {
        "total": len(landmark_ids),
        "in_string": sum(gene in sources.in_string for gene in landmark_ids),
        "not_in_string": [gene for gene in landmark_ids if gene not in sources.in_string],
        "with_string_link": sum(gene in linked for gene in landmark_ids),
        "with_interaction": int((with_interaction & is_landmark).sum()),
        "annotated": sum(gene in sources.terms for gene in landmark_ids),
        "annotated_by_namespace": dict(sorted(in_namespace.items())),
        "with_term": int((with_term & is_landmark).sum()),
    }


def target_report(
    found: Mapping[str, Resolution], sources: GeneSources, graph: KnowledgeGraph
) -> dict[str, Any]:
    """Counts and names of targets that are no genes, or genes without edges in the graph.

    Args:
      found: name of each target, sorted -> its gene.
      sources: what is known of all genes.
      graph: the assembled graph, in which every target is a node.

    Returns:
      Counts of names (`given`, `resolved`, `in_string`) and of different genes (`genes`); the names
      that are `ambiguous`, `unknown` or `not_in_string`; for names that are not the gene's symbol
      in the graph, that symbol (`renamed`); number and symbols of the genes without an interaction,
      without a term, and without either.
    """
    resolved = {name: gene.entrez_id for name, gene in found.items() if gene.entrez_id}
    is_target = graph.genes["entrez_id"].isin(set(resolved.values())).to_numpy()
    with_interaction, with_term = _genes_with_edges(graph)
    lacking = {
        "without_interaction": ~with_interaction,
        "without_term": ~with_term,
        "without_either": ~(with_interaction | with_term),
    }
    symbols = graph.genes["symbol"]
    symbol_of = dict(zip(graph.genes["entrez_id"], symbols, strict=True))
    current = {name: symbol_of[gene] for name, gene in resolved.items()}
    named = {name: sorted(symbols[is_target & lacks]) for name, lacks in lacking.items()}
    return {
        "given": len(found),
        "resolved": len(resolved),
        "in_string": sum(gene in sources.in_string for gene in resolved.values()),
        "ambiguous": [name for name, gene in found.items() if gene.how == AMBIGUOUS],
        "unknown": [name for name, gene in found.items() if gene.how == UNKNOWN],
        "not_in_string": [n for n, gene in resolved.items() if gene not in sources.in_string],
        "renamed": {name: symbol for name, symbol in current.items() if symbol != name},
        "genes": int(is_target.sum()),
        **{name: {"number": len(genes), "genes": genes} for name, genes in named.items()},
    }


def size_report(graph: KnowledgeGraph, num_known: int) -> dict[str, dict[str, int]]:
    """Numbers of nodes and edges by kind.

    Args:
      graph: the assembled graph.
      num_known: number of landmarks and targets.
    """
    return {
        "nodes": {
            "genes": graph.num_genes,
            "landmarks": graph.num_landmarks,
            "targets": num_known - graph.num_landmarks,
            "neighbours": graph.num_genes - num_known,
            "terms": graph.num_terms,
        },
        "edges": {
            name: getattr(graph, name).num_edges
            for name in ("interacts", "annotated_to", "is_a", "part_of")
        },
    }


def _genes_with_edges(graph: KnowledgeGraph) -> tuple[np.ndarray, np.ndarray]:
    """Whether each gene node interacts with another one, and whether it is annotated to a term."""

    def sends(edges: EdgeSet) -> np.ndarray:
        return np.isin(np.arange(graph.num_genes), edges.senders)

    return sends(graph.interacts), sends(graph.annotated_to)
