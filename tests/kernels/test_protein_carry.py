"""The step over proteins of two-step kernel ridge regression."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.kernels import protein_carry
from moa_jax.kernels.protein_carry import carry_by, gene_kernel, gene_rows
from moa_jax.knowledge.protein_similarity import protein_kernel
from moa_jax.schemas import EdgeSet
from tests.synthetic import make_knowledge_graph

SETTINGS = ml_collections.ConfigDict({"restart": 0.3, "string_share": 0.6, "ridge": 0.7})
# Columns 5, 1 and 6 of the graph.
PROTEINS = ("GENE105", "GENE101", "GENE106")


def carried(graph, proteins, settings=SETTINGS):
    kernel = gene_kernel(settings, graph)
    return carry_by(kernel, gene_rows(graph, proteins), settings.ridge)


def test_rows_of_genes_are_found_by_symbol():
    assert gene_rows(make_knowledge_graph(), PROTEINS).tolist() == [5, 1, 6]
    with pytest.raises(KeyError, match="CA2"):
        gene_rows(make_knowledge_graph(), ("CA2",))


def test_evidence_is_carried_by_kernel_ridge_regression_over_proteins():
    graph = make_knowledge_graph()
    kernel = protein_kernel(graph, np.arange(7), restart=0.3, string_share=0.6).astype(np.float64)
    rows = [5, 1, 6]
    among, to_all = kernel[np.ix_(rows, rows)], kernel[rows]
    evidence = np.random.default_rng(0).normal(size=(4, 3))
    expected = evidence @ np.linalg.inv(among + 0.7 * np.eye(3)) @ to_all
    found = carried(graph, PROTEINS)
    assert found.shape == (3, 7)
    np.testing.assert_allclose(evidence @ found, expected, atol=1e-5)


def test_the_order_of_proteins_and_genes_does_not_matter():
    graph = make_knowledge_graph()
    whole = carried(graph, PROTEINS)
    found = carried(graph, PROTEINS[::-1])
    np.testing.assert_allclose(found, whole[::-1], atol=1e-6)
    # The two genes behind the landmarks change places.
    order = np.array([0, 1, 2, 3, 4, 6, 5])

    def moved(edges: EdgeSet, *, both: bool) -> EdgeSet:
        receivers = order[edges.receivers] if both else edges.receivers
        return dataclasses.replace(
            edges,
            senders=order[edges.senders].astype(np.int32),
            receivers=receivers.astype(np.int32),
        )

    changed = dataclasses.replace(
        graph,
        genes=graph.genes.iloc[order].reset_index(drop=True),
        interacts=moved(graph.interacts, both=True),
        annotated_to=moved(graph.annotated_to, both=False),
    )
    found = carried(changed, PROTEINS)
    np.testing.assert_allclose(found, whole[:, order], atol=1e-6)


def test_with_a_kernel_of_equal_genes_evidence_is_shared_in_closed_form(monkeypatch):
    """Of `F K (K + mu I)^-1` (Stock 2018), with a kernel by hand: 1 between equals, 0 otherwise.

    Two equal proteins have (K + mu I)^-1 K = 1 / (2 + mu) everywhere, a lonely one 1 / (1 + mu).
    """
    kernel = np.zeros((7, 7), np.float32)
    kernel[np.ix_([0, 5, 1], [0, 5, 1])] = 1.0
    kernel[np.ix_([2, 6], [2, 6])] = 1.0
    monkeypatch.setattr(protein_carry, "protein_kernel", lambda *args, **settings: kernel)
    found = carried(make_knowledge_graph(), PROTEINS)
    both, one = 1 / (2 + 0.7), 1 / (1 + 0.7)
    expected = [
        [both, both, 0, 0, 0, both, 0],
        [both, both, 0, 0, 0, both, 0],
        [0, 0, one, 0, 0, 0, one],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found @ np.eye(7)[[5, 1, 6]].T, found[:, [5, 1, 6]])
    # Without a ridge evidence stays, if no two proteins are equal.
    settings = ml_collections.ConfigDict({**SETTINGS, "ridge": 1e-9})
    monkeypatch.setattr(
        protein_carry, "protein_kernel", lambda *args, **settings: np.eye(7, dtype=np.float32)
    )
    found = carried(make_knowledge_graph(), PROTEINS, settings)
    np.testing.assert_allclose(found, np.eye(7)[[5, 1, 6]], atol=1e-6)
