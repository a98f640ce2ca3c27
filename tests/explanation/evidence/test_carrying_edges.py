"""The tables of edges: the largest of each source, with names, and exact parts of ligands."""

import ml_collections
import numpy as np
import pytest

from moa_jax.explanation.attribution.carried_evidence import EdgeContributions, carried_evidence
from moa_jax.explanation.evidence.carrying_edges import (
    GO,
    PROTEIN,
    STRING,
    EdgeAnswer,
    edge_tables,
    protein_answer,
)
from tests.knowledge.test_protein_similarity import graph_of

LINKS = {(0, 1): 0.9, (1, 2): 0.6}
# Terms 0 and 1 have two of four genes each, term 2 three.
ANNOTATED = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (3, 2)]
GRAPH = graph_of(4, 3, LINKS, ANNOTATED)
SYMBOLS = ("3", "1", "0")


@pytest.fixture(scope="module")
def carried():
    settings = ml_collections.ConfigDict({"restart": 0.5, "string_share": 0.5, "ridge": 1.0})
    return carried_evidence(settings, GRAPH, np.array([3, 1, 0]))


def test_rows_by_hand(carried):
    go = np.array([[9.0, 0.0, 0.5], [0.0, 0.0, -2.0], [0.5, -2.0, 0.0]])
    answer = EdgeAnswer("any", PROTEIN, 3.0, 1.0, EdgeContributions(np.array([0.0, 3.0]), go))
    tables = edge_tables([answer], carried, GRAPH)
    edges = tables["edges"].drop(columns=["answer", "kind"]).values.tolist()
    # All terms are called "drawn", and the last tells no protein apart. A protein is no edge.
    assert edges == [
        ["1", "0", GO, "drawn|drawn", -4.0, 4.0 / 17.0],
        ["1", "2", STRING, "", 3.0, 3.0 / 17.0],
        ["3", "0", GO, "", 1.0, 1.0 / 17.0],
    ]
    assert tables["edge_sums"].values.tolist() == [["any", PROTEIN, 3.0, 1.0, 3.0, 6.0, ""]]


def test_the_ligands_of_other_proteins_have_exact_parts(carried):
    evidence = np.array([-1.0, 4.0, 2.0])
    answer = protein_answer(carried, SYMBOLS, evidence, 2)
    assert answer.score == pytest.approx(carried.at(evidence, 1.0)[2])
    assert answer.without_edges == pytest.approx(1.0)
    assert answer.edges.total == pytest.approx(answer.score - 1.0, rel=0.01)
    parts = evidence * carried.at(np.eye(3), 1.0)[:, 2]
    assert parts.sum() == pytest.approx(answer.score)
    order = np.argsort(-parts)
    expected = [f"{SYMBOLS[place]} {parts[place]:+.2f}" for place in order if parts[place] > 0]
    assert answer.ligands_of.split("|") == expected
