"""Edges of STRING and GO that carry an answer: contributions of pairs of proteins, as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.explanation.attribution.carried_evidence import CarriedEvidence, EdgeContributions
from moa_jax.schemas import KnowledgeGraph

STRING, GO = "STRING", "Gene Ontology"
MECHANISM, PROTEIN = "mechanism", "protein"
# Rows of each source and answer, terms of a pair, and proteins whose ligands are named.
NUM_EDGES, NUM_TERMS, NUM_SOURCES = 10, 3, 3
EDGE_COLUMNS = (
    "answer",
    "kind",
    "protein_a",
    "protein_b",
    "source",
    "terms",
    "contribution",
    "share",
)
SUM_COLUMNS = (
    "answer",
    "kind",
    "score",
    "without_edges",
    "from_string",
    "from_go",
    "ligands_of",
)


@dataclasses.dataclass(frozen=True)
class EdgeAnswer:
    """An answer and what edges contribute to it.

    Attributes:
      name: name of the mechanism, or symbol of the protein.
      kind: `MECHANISM` or `PROTEIN`.
      score: what is explained.
      without_edges: the same on a graph without edges.
      edges: contributions of the edges.
      ligands_of: proteins whose ligands speak most for a protein, with their parts of its score.
    """

    name: str
    kind: str
    score: float
    without_edges: float
    edges: EdgeContributions
    ligands_of: str = ""


def protein_answer(
    carried: CarriedEvidence,
    symbols: Sequence[str],
    evidence: Float[np.ndarray, " protein"],
    protein: int,
) -> EdgeAnswer:
    """The score of a protein as a target of a compound.

    The parts of the proteins with ligands are exact: evidence times what carries it.

    Args:
      carried: the step over proteins.
      symbols: of the proteins.
      evidence: evidence that the compound acts on each, the mean over its examples.
      protein: number of the protein.
    """
    start, score = (float(carried.at(evidence, place)[protein]) for place in (0.0, 1.0))
    asked = np.zeros(len(evidence))
    asked[protein] = 1.0
    parts = evidence * carried.at(asked, 1.0)
    largest = np.argsort(-parts, kind="stable")[:NUM_SOURCES]
    return EdgeAnswer(
        name=symbols[protein],
        kind=PROTEIN,
        score=score,
        without_edges=start,
        edges=carried.to_protein(evidence, protein),
        ligands_of="|".join(
            f"{symbols[place]} {parts[place]:+.2f}" for place in largest if parts[place] > 0
        ),
    )


def edge_tables(
    answers: Sequence[EdgeAnswer], carried: CarriedEvidence, graph: KnowledgeGraph
) -> dict[str, pd.DataFrame]:
    """`edges` and `edge_sums` of a compound's answers.

    Returns:
      `edges`: `EDGE_COLUMNS`, the `NUM_EDGES` largest contributions by STRING and the same by GO to
      each answer, with the names of the `NUM_TERMS` shared terms that count most; `share` is the
      absolute contribution over the sum of all. Evidence that a protein passes to itself through
      its terms is among the sums, not among the edges.
      `edge_sums`: `SUM_COLUMNS`, one row per answer; the score is the sum of the next three.
    """
    rows = [row for answer in answers for row in _edge_rows(answer, carried, graph)]
    sums = [
        (
            answer.name,
            answer.kind,
            answer.score,
            answer.without_edges,
            float(answer.edges.string.sum()),
            float(answer.edges.go.sum()),
            answer.ligands_of,
        )
        for answer in answers
    ]
    return {
        "edges": pd.DataFrame(rows, columns=list(EDGE_COLUMNS)),
        "edge_sums": pd.DataFrame(sums, columns=list(SUM_COLUMNS)),
    }


def _edge_rows(answer: EdgeAnswer, carried: CarriedEvidence, graph: KnowledgeGraph) -> list[tuple]:
    symbols, names = graph.genes["symbol"].to_numpy(str), graph.terms["name"].to_numpy(str)
    string, go = answer.edges.string, answer.edges.go
    whole = max(float(np.abs(string).sum() + np.abs(go).sum()), 1e-12)
    found = [
        (*symbols[carried.links[place]], STRING, "", string[place]) for place in _largest(string)
    ]
    first, second = np.triu_indices(len(go), k=1)
    of_pairs = go[first, second] + go[second, first]
    for place in _largest(of_pairs):
        pair = np.array([first[place], second[place]])
        shared = _shared_terms(carried, pair)
        found.append((*symbols[carried.rows[pair]], GO, "|".join(names[shared]), of_pairs[place]))
    found.sort(key=lambda row: -abs(row[-1]))
    return [
        (answer.name, answer.kind, *row[:-1], float(row[-1]), abs(float(row[-1])) / whole)
        for row in found
    ]


def _largest(values: Float[np.ndarray, " edge"]) -> Int[np.ndarray, " top"]:
    """Places of the largest absolute values, without zeros."""
    count = min(NUM_EDGES, len(values))
    top = np.argpartition(-np.abs(values), count - 1)[:count] if count else np.zeros(0, int)
    top = top[np.argsort(-np.abs(values[top]), kind="stable")]
    return top[values[top] != 0]


def _shared_terms(carried: CarriedEvidence, pair: Int[np.ndarray, "2"]) -> Int[np.ndarray, " term"]:
    """The terms that two proteins share, those that make them most alike first."""
    one, other = carried.terms[pair].toarray()
    order = np.argsort(-one * other, kind="stable")[:NUM_TERMS]
    return order[(one * other)[order] > 0]
