"""The zero-shot evaluation: measures, choices, descriptions by name, and its graphs."""

import numpy as np
import pandas as pd

from experiments.zero_shot.graphs import IDENTITY, NO_FAMILIES, REWIRED, TRUE, graph_kernels
from experiments.zero_shot.measures import by_name, chosen_elsewhere, per_compound, per_mechanism
from moa_jax.knowledge.mechanism_names import GeneTexts
from moa_jax.knowledge.protein_similarity import protein_kernel
from tests.synthetic import make_knowledge_graph

SCORES = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 0.0], [0.0, 3.0]])
LABELS = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], bool)


def test_compounds_are_ranked_for_each_mechanism():
    found = per_mechanism(SCORES, LABELS)
    # First: positives at ranks 1 and 3 of 4; second: at ranks 1 and 2.
    np.testing.assert_allclose(found["AUROC"], [0.75, 1.0])
    np.testing.assert_allclose(found["AP"], [(1 + 2 / 3) / 2, 1.0])


def test_mechanisms_are_ranked_for_each_compound_and_equal_ones_share_the_first_place():
    found = per_compound(SCORES, LABELS)
    np.testing.assert_allclose(found["AP per compound"], [1, 0.5, 1, 1])
    np.testing.assert_allclose(found["top-1"], [1, 0.5, 1, 1])


def test_a_setting_is_chosen_without_the_fold_that_it_is_for():
    values = {"a": np.array([1.0, 0.0, 0.0]), "b": np.array([0.0, 0.2, 0.2])}
    assert chosen_elsewhere(values, np.array([0, 1, 1])) == ["b", "a"]


def test_a_name_gives_genes_and_action():
    table = pd.DataFrame(
        {"entrez_id": ["1", "2"], "symbol": ["AKT1", "AKT2"], "name": "", "aliases": ""}
    )
    found = by_name(GeneTexts(table), ["Akt inhibitor", "Antioxidant"], ["AKT1", "OTHER", "AKT2"])
    assert found.names == ("Akt inhibitor",)
    half = 0.5**0.5
    np.testing.assert_allclose(found.pairs, [[half, 0, half, 0, 0, 0]], rtol=1e-6)


def test_kernels_are_those_of_the_graphs():
    graph = make_knowledge_graph()
    rows = np.arange(graph.num_genes)
    kernels = graph_kernels(graph, rows, restart=0.5, seed=0)
    assert list(kernels) == [TRUE, REWIRED, NO_FAMILIES, IDENTITY]
    expected = protein_kernel(graph, rows, restart=0.5, string_share=0.3)
    np.testing.assert_allclose(kernels[TRUE].mixed(0.3), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(kernels[IDENTITY].mixed(0.3), np.eye(graph.num_genes))
    # All of these genes are called GENE, so they are one family.
    np.testing.assert_array_equal(kernels[NO_FAMILIES].mixed(0.3), np.eye(graph.num_genes))
