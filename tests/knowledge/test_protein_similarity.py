"""Protein similarities against networkx, numbers computed by hand, and what holds for any graph."""

import dataclasses

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from moa_jax.knowledge.controls import rewire_interactions, shuffle_annotations
from moa_jax.knowledge.protein_similarity import (
    go_similarity,
    protein_kernel,
    string_similarity,
    without_gene_families,
)
from moa_jax.schemas import EdgeSet, InputError, KnowledgeGraph

ALL = np.arange(4)
# Gene 3 has no interaction.
LINKS = {(0, 1): 0.9, (1, 2): 0.6}
# Terms: a is_a c, b part_of c, c is_a d. Genes below: a 0 1, b 1 2, c 0 1 2, d all four.
ANNOTATIONS = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 3)]


def edge_set(pairs, weights=None):
    ends = np.array(pairs, np.int32).reshape(-1, 2)
    weights = np.ones(len(ends)) if weights is None else weights
    return EdgeSet(ends[:, 0], ends[:, 1], np.asarray(weights, np.float32))


def graph_of(num_genes, num_terms, links, annotations, *, is_a=(), part_of=()):
    both = {**links, **{(b, a): weight for (a, b), weight in links.items()}}
    names = [str(row) for row in range(num_genes)]
    genes = pd.DataFrame({"entrez_id": names, "symbol": names, "is_landmark": False})
    go_ids = [f"GO:{row:07d}" for row in range(num_terms)]
    return KnowledgeGraph(
        genes=genes,
        terms=pd.DataFrame({"go_id": go_ids, "name": "drawn", "namespace": "biological_process"}),
        interacts=edge_set(list(both), list(both.values())),
        annotated_to=edge_set(annotations),
        is_a=edge_set(is_a),
        part_of=edge_set(part_of),
    )


@pytest.fixture
def drawn():
    return graph_of(4, 4, LINKS, ANNOTATIONS, is_a=[(0, 2), (2, 3)], part_of=[(1, 2)])


def large(seed=0, num_genes=60, num_terms=25):
    """A random graph in which some genes have no interaction and some no term."""
    rng = np.random.default_rng(seed)
    pairs = {tuple(sorted(pair)) for pair in rng.integers(num_genes - 8, size=(120, 2)).tolist()}
    links = {pair: rng.uniform(0.4, 1) for pair in sorted(pairs) if pair[0] != pair[1]}
    annotated = {
        (int(g), int(t)) for g, t in rng.integers((num_genes - 4, num_terms), size=(90, 2))
    }
    parents = [(child, int(rng.integers(child))) for child in range(1, num_terms)]
    hierarchy = {"is_a": parents[::2], "part_of": parents[1::2]}
    return graph_of(num_genes, num_terms, links, sorted(annotated), **hierarchy)


@pytest.mark.parametrize("restart", [0.2, 0.7])
def test_string_similarity_is_the_cosine_of_random_walks_with_restart(drawn, restart):
    linked = nx.Graph()
    linked.add_weighted_edges_from((a, b, weight) for (a, b), weight in LINKS.items())
    degree = np.array([0.9, 1.5, 0.6, 1.0])
    reached = np.zeros((4, 4))
    for gene in range(3):
        rank = nx.pagerank(linked, 1 - restart, {gene: 1.0}, tol=1e-12, max_iter=1000)
        reached[list(rank), gene] = list(rank.values())
    reached[3, 3] = 1.0
    # PageRank's transitions are A D^-1; D^-1/2 and D^1/2 make them symmetric.
    reached *= np.sqrt(degree)[None, :] / np.sqrt(degree)[:, None]
    length = np.linalg.norm(reached, axis=0)
    expected = reached.T @ reached / np.outer(length, length)
    found = string_similarity(drawn, ALL, restart=restart)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found[3], [0, 0, 0, 1])
    assert found[0, 2] > 0.01


def test_string_similarity_of_two_proteins_by_hand():
    # W exchanges the two: the walks end at (1, 0.5) / 1.5 and (0.5, 1) / 1.5 with restart 0.5.
    graph = graph_of(2, 0, {(0, 1): 0.7}, [])
    found = string_similarity(graph, np.arange(2), restart=0.5)
    np.testing.assert_allclose(found, [[1, 0.8], [0.8, 1]], atol=1e-6)


def test_with_restart_of_one_all_proteins_differ(drawn):
    np.testing.assert_array_equal(string_similarity(drawn, ALL, restart=1.0), np.eye(4))


def test_go_similarity_by_hand(drawn):
    # idf: a and b ln(4 / 2), c ln(4 / 3), d 0. Genes: 0 is a c, 1 is a b c, 2 is b c, 3 is d.
    half, third = np.log(2) ** 2, np.log(4 / 3) ** 2
    outer, inner = half + third, 2 * half + third
    mixed = outer / np.sqrt(outer * inner)
    expected = [
        [1, mixed, third / outer, 0],
        [mixed, 1, mixed, 0],
        [third / outer, mixed, 1, 0],
        [0, 0, 0, 1],
    ]
    np.testing.assert_allclose(go_similarity(drawn, ALL), expected, atol=1e-6)


def test_terms_that_no_gene_has_and_genes_without_terms_do_not_count(drawn):
    extended = dataclasses.replace(
        drawn,
        genes=pd.concat([drawn.genes, drawn.genes.assign(symbol="more")], ignore_index=True),
        terms=pd.concat([drawn.terms, drawn.terms], ignore_index=True),
    )
    found = go_similarity(extended, np.arange(8))
    np.testing.assert_array_equal(found[:4, :4], go_similarity(drawn, ALL))
    np.testing.assert_array_equal(found[4:], np.eye(8)[4:])


def test_the_kernel_is_the_weighted_mean(drawn):
    found = protein_kernel(drawn, ALL, restart=0.3, string_share=0.25)
    expected = 0.25 * string_similarity(drawn, ALL, restart=0.3) + 0.75 * go_similarity(drawn, ALL)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_array_equal(found[3], [0, 0, 0, 1])
    assert found.dtype == np.float32


@pytest.mark.parametrize("seed", range(3))
def test_kernels_are_positive_semi_definite_with_a_unit_diagonal(seed):
    graph = large(seed)
    rows = np.random.default_rng(seed).permutation(60)[:40]
    controls = shuffle_annotations(rewire_interactions(graph, seed=seed), seed=seed)
    for each in (graph, controls):
        by_string, by_go = string_similarity(each, rows, restart=0.1), go_similarity(each, rows)
        both = protein_kernel(each, rows, restart=0.1, string_share=0.5)
        for kernel in (by_string, by_go, both):
            np.testing.assert_array_equal(kernel, kernel.T)
            np.testing.assert_array_equal(kernel.diagonal(), 1.0)
            assert np.linalg.eigvalsh(kernel.astype(np.float64))[0] > -1e-6
        unlinked = ~np.isin(rows, each.interacts.senders)
        unannotated = ~np.isin(rows, each.annotated_to.senders)
        assert (unlinked & ~unannotated).any()
        assert (unlinked & unannotated).any()
        np.testing.assert_array_equal(by_string[unlinked], np.eye(40)[unlinked])
        np.testing.assert_array_equal(by_go[unannotated], np.eye(40)[unannotated])
        np.testing.assert_array_equal(
            both[unlinked & unannotated], np.eye(40)[unlinked & unannotated]
        )


def test_labels_of_nodes_and_order_of_edges_do_not_matter():
    graph, rng = large(), np.random.default_rng(1)
    # Where each gene and term goes.
    gene, term = rng.permutation(60).astype(np.int32), rng.permutation(25).astype(np.int32)

    def moved(edges, senders, receivers):
        order = rng.permutation(edges.num_edges)
        return EdgeSet(
            senders[edges.senders][order], receivers[edges.receivers][order], edges.weight[order]
        )

    relabelled = dataclasses.replace(
        graph,
        interacts=moved(graph.interacts, gene, gene),
        annotated_to=moved(graph.annotated_to, gene, term),
        is_a=moved(graph.is_a, term, term),
        part_of=moved(graph.part_of, term, term),
    )
    rows = rng.permutation(60)[:30]
    np.testing.assert_allclose(
        protein_kernel(relabelled, gene[rows], restart=0.2, string_share=0.4),
        protein_kernel(graph, rows, restart=0.2, string_share=0.4),
        atol=1e-6,
    )


def test_rows_are_a_part_of_the_whole_kernel():
    graph, rows = large(), np.array([7, 55, 3])
    whole = protein_kernel(graph, np.arange(60), restart=0.2, string_share=0.5)
    part = protein_kernel(graph, rows, restart=0.2, string_share=0.5)
    np.testing.assert_allclose(part, whole[np.ix_(rows, rows)], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"restart": 0.0, "string_share": 0.5}, "restart is 0.0; expected above 0 and at most 1"),
        ({"restart": 1.5, "string_share": 0.5}, "restart is 1.5"),
        ({"restart": 0.5, "string_share": -0.1}, "string_share is -0.1; expected 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(drawn, settings, message):
    with pytest.raises(InputError, match=message):
        protein_kernel(drawn, ALL, **settings)


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("ADRB1", "ADRB2", True),
        ("ADRA1A", "ADRB1", True),
        ("HDAC1", "HDAC3", True),
        ("CYP2D6", "CYP2C9", True),
        ("HTR1A", "HTR2B", True),
        ("PIK3CA", "PIK3CD", True),
        ("MAPK1", "MAPK14", True),
        ("GABRA1", "GABRG2", True),
        ("PRKCA", "PRKCD", True),
        ("OPRM1", "OPRK1", True),
        ("RARA", "RARB", True),
        ("TUBB", "TUBA1A", True),
        ("CA2", "CA12", True),
        ("Adrb1", "ADRB2", True),
        ("EGFR", "EGF", False),
        ("EGFR", "ERBB2", False),
        ("FGFR1", "FGF2", False),
        ("MAPK1", "MAP2K1", False),
        ("JAK1", "TYK2", False),
        ("C3", "C5AR1", False),
        ("F2", "F2R", False),
    ],
)
def test_gene_families_by_name(one, other, related):
    kernel = np.array([[1, 0.5], [0.5, 1]], np.float32)
    cut = without_gene_families(kernel, [one, other])
    np.testing.assert_array_equal(cut, np.eye(2) if related else kernel)


def test_a_family_counts_once():
    # ADRB1 and ADRB2 are as similar as can be: the block's largest eigenvalue is 2.
    kernel = np.array(
        [[1, 1, 0.6, 0.4], [1, 1, 0.6, 0.4], [0.6, 0.6, 1, 0.7], [0.4, 0.4, 0.7, 1]], np.float32
    )
    cut = without_gene_families(kernel, ["ADRB1", "ADRB2", "GNAS", "EGF"])
    root = np.sqrt(2)
    expected = [
        [1, 0, 0.6 / root, 0.4 / root],
        [0, 1, 0.6 / root, 0.4 / root],
        [0.6 / root, 0.6 / root, 1, 0.7],
        [0.4 / root, 0.4 / root, 0.7, 1],
    ]
    np.testing.assert_allclose(cut, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_kernel_without_families_stays_positive_semi_definite(seed):
    kernel = protein_kernel(large(seed), np.arange(60), restart=0.05, string_share=0.3)
    symbols = [f"FAM{'ABC'[row % 3]}{row}" if row < 30 else f"Q{row}" for row in range(60)]
    symbols[40:50] = [f"HDAC{row}" for row in range(10)]
    cut = without_gene_families(kernel, symbols)
    assert np.linalg.eigvalsh(cut.astype(np.float64))[0] > -1e-6
    np.testing.assert_array_equal(cut, cut.T)
    np.testing.assert_array_equal(cut.diagonal(), 1.0)
    for members in (np.arange(30), np.arange(40, 50)):
        block = np.ix_(members, members)
        np.testing.assert_array_equal(cut[block], np.eye(len(members)))
    single = np.r_[30:40, 50:60]
    np.testing.assert_array_equal(cut[np.ix_(single, single)], kernel[np.ix_(single, single)])
