"""What the protein network adds: sums along both paths, finite differences, and edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.explanation.attribution.protein_paths import (
    READ,
    network_paths,
    passed_along_edges,
    passing_shares,
    read_proteins,
)
from moa_jax.explanation.attribution.target import moa_directions
from moa_jax.explanation.compound_page.protein_tables import explain_proteins
from moa_jax.explanation.evidence.carrying_edges import MECHANISM, PROTEIN
from moa_jax.models.experts import PROTEIN_NETWORK
from tests.explanation.protein_models import (
    asked_examples,
    its_carried_evidence,
    network_predictor,
)
from tests.synthetic import NUM_GENES, NUM_TERMS, make_knowledge_graph

pytestmark = pytest.mark.slow
MOAS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def asked():
    """A model, its edges, and what it reads and adds for six examples."""
    predictor = network_predictor()
    given = predictor, predictor.encode(asked_examples()), moa_directions(MOAS[:, None], 3)
    edges = its_carried_evidence(predictor)
    return given, edges, read_proteins(*given, {}), network_paths(*given, edges)


def test_what_is_read_is_what_the_model_answers(asked):
    (predictor, *_), edges, read, paths = asked
    parts = predictor.task.model.experts
    assert parts[-1] == PROTEIN_NETWORK
    np.testing.assert_allclose(paths.score, read.score, atol=1e-6)
    # Both modalities are missing in the last example, one in each of the first two.
    assert not read.values["evidence"][5].any()
    np.testing.assert_allclose(
        edges.at(read.values["evidence"].astype(float), 1.0), read.values["carried"], atol=1e-4
    )
    assert np.abs(read.score).max() > 0.1
    at_genes = np.zeros((NUM_GENES, 6), np.float32)
    at_genes[edges.rows] = read.values["evidence"].sum(axis=(1, 2)).T
    shares, at_genes = jax.tree.map(jnp.asarray, (passing_shares(predictor), at_genes))
    passed = np.asarray(shares.passed(at_genes, NUM_TERMS))[:, edges.rows]
    np.testing.assert_allclose(np.moveaxis(passed, -1, 0), read.values["passed"], atol=1e-4)


def test_gradients_are_finite_differences(asked):
    given, _, read, _ = asked
    rng, step = np.random.default_rng(0), 3e-3
    for name in READ:
        moved = rng.normal(size=read.values[name].shape).astype(np.float32)
        high, low = (read_proteins(*given, {name: sign * step * moved}) for sign in (1, -1))
        expected = (high.score - low.score) / (2 * step)
        found = (read.gradients[name] * moved).sum(axis=tuple(range(1, moved.ndim)))
        # The others lack a modality, whose evidence is 0: the largest of it has no gradient.
        np.testing.assert_allclose(found[2:5], expected[2:5], rtol=0.03, atol=3e-3)


def test_contributions_of_proteins_sum_to_what_their_evidence_changes(asked):
    given, _, read, paths = asked
    change = paths.score - read_proteins(*given, {"evidence": -read.values["evidence"]}).score
    assert np.abs(change).max() > 0.05
    np.testing.assert_allclose(
        paths.of_evidence.sum(axis=1), change, atol=0.01 * np.abs(change).max()
    )


def test_contributions_of_edges_sum_to_what_they_change(asked):
    (predictor, *_), edges, _, paths = asked
    shares = passing_shares(predictor)
    for rows in (np.array([0]), np.array([4]), np.array([0, 3, 4])):
        found = edges.contributions(paths.factors(edges, rows)) + passed_along_edges(
            shares,
            edges,
            paths.by_passed[rows].astype(float) / len(rows),
            paths.evidence[rows].sum(axis=(1, 2)).astype(float),
        )
        change = (paths.score - paths.without_edges)[rows]
        assert np.abs(change).min() > 1e-3
        assert abs(found.total - change.mean()) < 0.01 * np.abs(change).mean()


def test_what_is_passed_is_shared_out_among_the_edges(asked):
    (predictor, *_), edges, read, _ = asked
    shares = passing_shares(predictor)
    gradient = np.random.default_rng(0).normal(size=read.values["passed"].shape)
    evidence = read.values["evidence"].sum(axis=(1, 2)).astype(float)
    found = passed_along_edges(shares, edges, gradient, evidence)
    by_path = (gradient * read.values["passed"]).sum(axis=(0, 2))
    np.testing.assert_allclose([found.string.sum(), found.go.sum()], by_path, rtol=1e-4)
    # Evidence for one protein goes along its own edges alone.
    alone = np.where(np.arange(evidence.shape[1]) == 0, evidence, 0.0)
    gene = edges.rows[0]
    of_gene = passed_along_edges(shares, edges, gradient, alone)
    others = ~(edges.links == gene).any(axis=1)
    assert others.any()
    np.testing.assert_array_equal(of_gene.string[others], 0.0)
    terms = make_knowledge_graph().annotated_to
    own = terms.receivers[terms.senders == gene]
    members = set(terms.senders[np.isin(terms.receivers, own)].tolist())
    apart = [place for place, row in enumerate(edges.rows) if row not in members]
    np.testing.assert_array_equal(of_gene.go[apart], 0.0)


def test_a_compounds_tables_are_means_of_its_examples_and_sum_to_the_answers(asked):
    (predictor, encoded, _), edges, read, paths = asked
    graph, rows = make_knowledge_graph(), np.array([0, 3])
    explained = explain_proteins(predictor, encoded, graph, edges, MOAS)
    names = ("first", "second", "third")
    ligands = np.arange(len(edges.rows))
    tables = explained.tables(rows, 0, moas=names, graph=graph, ligands=ligands, targets=())
    proteins, sums = tables["proteins"], tables["edge_sums"]
    np.testing.assert_allclose(
        proteins.set_index("symbol")["contribution_network"][list(explained.evidence.proteins)],
        paths.of_evidence[rows].mean(axis=0),
        atol=1e-5,
    )
    assert sums["kind"].tolist() == [MECHANISM, PROTEIN, PROTEIN, PROTEIN]
    assert sums["answer"].tolist() == ["first", *proteins["symbol"].head(3)]
    np.testing.assert_allclose(sums["score"][0], read.score[rows].mean(), atol=1e-5)
    np.testing.assert_allclose(sums["score"][1:], proteins["score"].head(3), rtol=1e-4)
    whole = sums["without_edges"] + sums["from_string"] + sums["from_go"]
    change = (sums["score"] - sums["without_edges"]).abs()
    assert ((whole - sums["score"]).abs() <= 0.01 * change + 1e-6).all()
    assert set(tables["edges"]["answer"]) <= set(sums["answer"])
