"""Edges that carry evidence: sums, finite differences, and numbers by hand."""

import ml_collections
import numpy as np
import pytest
import scipy.linalg

from moa_jax.explanation.attribution.carried_evidence import carried_evidence
from moa_jax.kernels.protein_carry import carry_by, gene_kernel
from tests.knowledge.test_protein_similarity import graph_of, large

SETTINGS = ml_collections.ConfigDict({"restart": 0.2, "string_share": 0.4, "ridge": 0.7})
GRAPH = large()
ROWS = np.random.default_rng(3).permutation(60)[:25]
EVIDENCE = np.random.default_rng(4).normal(size=25)


@pytest.fixture(scope="module")
def carried():
    return carried_evidence(SETTINGS, GRAPH, ROWS)


def test_the_path_leads_from_no_edges_to_what_the_closed_form_carries(carried):
    carry = carry_by(gene_kernel(SETTINGS, GRAPH), ROWS, SETTINGS.ridge)[:, ROWS]
    np.testing.assert_allclose(carried.at(EVIDENCE, 1.0), EVIDENCE @ carry, atol=1e-5)
    np.testing.assert_allclose(carried.at(EVIDENCE, 0.0), EVIDENCE / 1.7, atol=1e-12)
    without = graph_of(60, 25, {}, [])
    bare = carried_evidence(SETTINGS, without, ROWS)
    np.testing.assert_allclose(bare.at(EVIDENCE, 1.0), EVIDENCE / 1.7, atol=1e-12)


@pytest.mark.parametrize("protein", [0, 7, 24])
def test_contributions_sum_to_what_the_edges_change(carried, protein):
    change = carried.at(EVIDENCE, 1.0) - carried.at(EVIDENCE, 0.0)
    found = carried.to_protein(EVIDENCE, protein)
    assert found.total == pytest.approx(change[protein], rel=5e-3)
    np.testing.assert_array_equal(found.go, found.go.T)
    assert np.abs(found.string).sum() > 0.01
    assert np.abs(found.go).sum() > 0.01


def test_gradients_by_similarities_are_finite_differences(carried):
    place, step, rng = 0.6, 1e-5, np.random.default_rng(0)
    gradient = rng.normal(size=25)
    factors = carried.factors(EVIDENCE[None], gradient[None], place)
    kernel = (1 - place) * np.eye(25) + place * (carried.vectors * carried.values) @ (
        carried.vectors.T
    )
    change = rng.normal(size=(25, 25))
    change += change.T

    def score(kernel):
        return EVIDENCE @ np.linalg.solve(kernel + 0.7 * np.eye(25), kernel) @ gradient

    expected = (score(kernel + step * change) - score(kernel - step * change)) / (2 * step)
    found = (factors.left.T @ factors.right * change).sum()
    assert found == pytest.approx(expected, rel=1e-5)


def test_parts_of_interactions_are_integrated_finite_differences(carried):
    """Of the similarities by STRING along `place * W`, for fixed gradients by them."""
    rng = np.random.default_rng(1)
    factors = carried.factors(EVIDENCE[None], rng.normal(size=(1, 25)), 1.0)
    pairs = factors.left.T @ factors.right
    np.fill_diagonal(pairs, 0.0)
    walk, step = carried.walk.toarray(), 1e-5

    def score(walk):
        reached = scipy.linalg.inv(np.eye(60) - 0.8 * walk)
        alike = (reached @ reached)[np.ix_(ROWS, ROWS)]
        return 0.4 * (pairs * alike / np.outer(carried.lengths, carried.lengths)).sum()

    points, weights = np.polynomial.legendre.leggauss(24)
    expected = np.zeros(len(carried.links))
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        for number, (one, other) in enumerate(carried.links):
            moved = np.zeros_like(walk)
            moved[one, other] = moved[other, one] = walk[one, other]
            rise = score(point * walk + step * moved) - score(point * walk - step * moved)
            expected[number] += weight * rise / (2 * step)
    found = carried.contributions(factors).string
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_edges_of_other_components_contribute_nothing():
    links = {(0, 1): 0.9, (1, 2): 0.6, (3, 4): 0.8, (4, 5): 0.7, (3, 5): 0.5}
    annotated = [(0, 0), (1, 0), (2, 2), (3, 1), (4, 1), (5, 2)]
    graph = graph_of(6, 4, links, annotated)
    carried = carried_evidence(SETTINGS, graph, np.array([4, 0, 2, 3, 1]))
    found = carried.to_protein(np.array([1.0, 2.0, -1.0, 3.0, 0.5]), 1)
    assert carried.links.tolist() == sorted(map(list, links))
    np.testing.assert_allclose(found.string[2:], 0.0, atol=1e-12)
    assert (np.abs(found.string[:2]) > 1e-3).all()
    # Genes 0 and 1 share a term, as 3 and 4 do.
    assert abs(found.go[1, 4]) > 1e-3
    np.testing.assert_allclose(found.go[0], 0.0, atol=1e-12)


def test_two_proteins_by_hand():
    """One shared term of weight log 2 and one own term of weight log 4: cosine 1 / 5."""
    graph = graph_of(4, 3, {}, [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (3, 2)])
    # Every term has two of four genes, so the cosine is 1 / 2, and .6 of it counts.
    carried = carried_evidence(SETTINGS, graph, np.array([0, 1]))
    alike = 0.6 * 0.5
    parts = [(1 + sign * alike) / (1.7 + sign * alike) for sign in (1, -1)]
    expected = (parts[0] - parts[1]) / 2
    np.testing.assert_allclose(carried.at(np.array([2.0, 0.0]), 1.0)[1], 2 * expected)
    found = carried.to_protein(np.array([2.0, 0.0]), 1)
    assert found.go[0, 1] == pytest.approx(expected, rel=1e-6)
    assert found.total == pytest.approx(2 * expected, rel=1e-6)
