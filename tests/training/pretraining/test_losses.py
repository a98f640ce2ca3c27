"""Losses of pretraining: values by hand, and nothing from what is masked."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.compounds.molecular_graph import ATOM_FEATURES
from moa_jax.training.pretraining.contrast import alignment_loss, compound_contrast
from moa_jax.training.pretraining.links import (
    hide_links,
    link_loss,
    link_numbers,
    link_scores,
    relation_loss,
)
from moa_jax.training.pretraining.masked_genes import hide_genes, mean_squared_error
from moa_jax.training.pretraining.molecules import (
    ELEMENTS,
    hidden_element_loss,
    hide_atoms,
    standardised_descriptors,
)
from tests.synthetic import batch_of, edges, make_graph, replace

pytestmark = pytest.mark.slow

KEY = jax.random.key(0)


def gradient_rows(gradient):
    """Rows that a loss depends on."""
    return np.flatnonzero(np.abs(np.asarray(gradient)).reshape(len(gradient), -1).sum(axis=1))


def test_hidden_genes_are_measured_ones_and_hidden_from_the_encoder():
    batch = batch_of()
    batch = replace(batch, example_mask=np.arange(8) < 6)
    seen, hidden = hide_genes(KEY, batch, share=0.5)
    hidden = np.asarray(hidden)
    assert not (hidden & ~np.asarray(batch.gene_mask)).any()
    assert not hidden[6:].any()
    assert 0 < hidden.sum() < batch.gene_mask[:6].sum()
    np.testing.assert_array_equal(seen.gene_mask, batch.gene_mask & ~hidden)
    np.testing.assert_array_equal(seen.expression, np.where(hidden, 0.0, batch.expression))
    none, hidden = hide_genes(KEY, batch, share=0.0)
    assert not np.asarray(hidden).any()
    np.testing.assert_array_equal(none.expression, batch.expression)


def test_squared_error_by_hand_and_only_where_unmasked():
    predicted = jnp.array([[1.0, 2.0, 9.0], [0.0, -1.0, 5.0]])
    values = jnp.array([[0.0, 2.0, jnp.nan], [0.0, 1.0, jnp.inf]])
    mask = jnp.array([[True, True, False], [False, True, False]])
    loss = lambda predicted: mean_squared_error(predicted, values, mask)  # noqa: E731 (two uses)
    assert loss(predicted) == pytest.approx((1 + 0 + 4) / 3)
    np.testing.assert_allclose(
        jax.grad(loss)(predicted), [[2 / 3, 0, 0], [0, -4 / 3, 0]], rtol=1e-6
    )
    assert mean_squared_error(predicted, values, jnp.zeros_like(mask)) == 0.0


def test_contrast_of_compounds_by_hand():
    """Rows 0 and 1 are one compound, 2 another; cosines 0 to row 2 and 1 between 0 and 1."""
    embedding = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    compound = jnp.array([4, 4, 7])
    loss = compound_contrast(embedding, compound, jnp.ones(3, bool), temperature=0.5)
    # Each anchor: -log(e^2 / (e^2 + e^0)); row 2 has no positive and does not count.
    assert loss == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)
    # With a third signature of the compound at right angles: the mean over two positives.
    embedding = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss = compound_contrast(embedding, jnp.array([4, 4, 4]), jnp.ones(3, bool), temperature=1.0)
    near = -math.log(math.e / (math.e + 1))
    far = -math.log(1 / (math.e + 1))
    assert loss == pytest.approx((2 * (near + far) / 2 + math.log(2)) / 3, rel=1e-6)


def test_alignment_by_hand():
    signature = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    structure = jnp.array([[1.0, 0.0], [0.6, 0.8]])
    loss = alignment_loss(
        signature, structure, jnp.array([0, 1]), jnp.ones(2, bool), temperature=1.0
    )
    cross = lambda own, other: math.log(1 + math.exp(other - own))  # noqa: E731 (four uses)
    by_hand = (cross(1, 0.6) + cross(1, 0) + cross(0.8, 0) + cross(0.8, 0.6)) / 4
    assert loss == pytest.approx(by_hand, rel=1e-6)


def test_rows_of_one_compound_are_no_negatives_of_each_other():
    signature = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    loss = alignment_loss(
        signature, signature, jnp.array([3, 3]), jnp.ones(2, bool), temperature=0.1
    )
    assert loss == 0.0


@pytest.mark.parametrize("loss", [compound_contrast, alignment_loss])
def test_masked_rows_change_no_contrastive_loss_and_have_no_gradient(loss):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 3)).astype(np.float32)
    compound = jnp.array([0, 0, 1, 1, 0, 2])
    mask = jnp.array([True, True, True, True, False, False])
    others = () if loss is compound_contrast else (jnp.asarray(rows[::-1].copy()),)

    def value(rows, mask=mask):
        return loss(rows, *others, compound, mask, temperature=0.3)

    changed = rows.copy()
    changed[4:] = rng.normal(size=(2, 3)) * 50
    assert value(jnp.asarray(rows)) == pytest.approx(float(value(jnp.asarray(changed))), rel=1e-6)
    np.testing.assert_array_equal(gradient_rows(jax.grad(value)(jnp.asarray(rows))), [0, 1, 2, 3])
    cut = loss(
        jnp.asarray(rows[:4]),
        *(other[:4] for other in others),
        compound[:4],
        mask[:4],
        temperature=0.3,
    )
    assert value(jnp.asarray(rows)) == pytest.approx(float(cut), rel=1e-6)
    assert value(jnp.asarray(rows), jnp.zeros(6, bool)) == 0.0


def test_hidden_atoms_lose_their_features_and_nothing_else():
    molecules = batch_of().molecules
    seen, hidden = hide_atoms(KEY, molecules, share=0.5)
    hidden = np.asarray(hidden)
    assert not (hidden & ~molecules.atom_mask).any()
    assert 0 < hidden.sum() < molecules.atom_mask.sum()
    assert not np.asarray(seen.atom_features)[hidden].any()
    np.testing.assert_array_equal(
        np.asarray(seen.atom_features)[~hidden], molecules.atom_features[~hidden]
    )
    assert seen.bond_features is molecules.bond_features


def test_element_loss_by_hand():
    features = np.zeros((1, 3, len(ATOM_FEATURES)), np.float32)
    carbon, nitrogen = ATOM_FEATURES.index("element C"), ATOM_FEATURES.index("element N")
    features[0, :2, carbon] = 1.0
    features[0, 2, nitrogen] = 1.0
    logits = np.zeros((1, 3, len(ELEMENTS)), np.float32)
    logits[0, 0, carbon] = 2.0
    logits[0, 1] = np.arange(len(ELEMENTS))
    hidden = jnp.array([[True, False, True]])
    size = len(ELEMENTS)
    by_hand = (math.log(math.exp(2) + size - 1) - 2 + math.log(size)) / 2
    value = lambda logits: hidden_element_loss(logits, jnp.asarray(features), hidden)  # noqa: E731
    assert value(jnp.asarray(logits)) == pytest.approx(by_hand, rel=1e-6)
    gradient = jax.grad(value)(jnp.asarray(logits))
    np.testing.assert_array_equal(gradient_rows(gradient[0]), [0, 2])
    assert sorted(ELEMENTS) == list(range(len(ELEMENTS)))


def test_descriptors_are_standardised_with_a_row_for_none():
    values = standardised_descriptors(("CCO", "c1ccccc1", "CC(=O)N"))
    np.testing.assert_allclose(values[:3].mean(axis=0), 0.0, atol=1e-6)
    spread = values[:3].std(axis=0)
    assert (np.isclose(spread, 1.0, atol=1e-5) | (spread == 0)).all()
    assert not values[3].any()
    assert standardised_descriptors(()).shape == (1, values.shape[1])


def test_both_directions_of_an_interaction_are_hidden_together():
    graph = make_graph()
    links = link_numbers(graph)
    np.testing.assert_array_equal(links["interacts"], [0, 0, 1, 1, 2, 2])
    for seed in range(5):
        left, hidden = hide_links(jax.random.key(seed), graph, links, share=0.5)
        pairs = np.asarray(hidden["interacts"]).reshape(3, 2)
        np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
        for relation, rows in hidden.items():
            weight = getattr(graph, relation).weight
            np.testing.assert_array_equal(
                getattr(left, relation).weight, np.where(rows, 0.0, weight)
            )
    # What is not there is not hidden again.
    absent = dataclasses.replace(
        graph, interacts=edges([(0, 5), (5, 0)], [0.0, 0.0]), annotated_to=graph.annotated_to
    )
    _, hidden = hide_links(KEY, absent, link_numbers(absent), share=1.0)
    assert not np.asarray(hidden["interacts"]).any()
    assert np.asarray(hidden["annotated_to"]).all()


def test_link_scores_and_loss_by_hand():
    nodes = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    scores = link_scores(nodes, jnp.array([1.0, 2.0]), jnp.array([0, 1]), jnp.array([1, 2]))
    np.testing.assert_allclose(scores, np.array([3 - 4, 1.5 - 1]) / math.sqrt(2), rtol=1e-6)
    dot = link_scores(nodes, jnp.ones(2), jnp.array([0]), jnp.array([1]))
    assert dot[0] == pytest.approx(1 / math.sqrt(2))
    softplus = lambda value: math.log(1 + math.exp(value))  # noqa: E731 (four uses)
    positive, negative = jnp.array([1.0, 50.0]), jnp.array([-2.0, 9.0])
    value = lambda positive: link_loss(positive, negative, jnp.array([True, False]))  # noqa: E731
    assert value(positive) == pytest.approx((softplus(-1.0) + softplus(-2.0)) / 2, rel=1e-6)
    assert jax.grad(value)(positive)[1] == 0.0


def test_only_hidden_links_move_the_nodes():
    graph = make_graph()
    nodes = jnp.asarray(np.random.default_rng(0).normal(size=(11, 4)), jnp.float32)
    nothing = {"interacts": jnp.zeros(6, bool), "annotated_to": jnp.zeros(5, bool)}
    loss = lambda nodes, hidden: relation_loss(  # noqa: E731 (two uses)
        KEY, nodes, jnp.ones((2, 4)), graph, hidden, num_genes=7
    )
    assert loss(nodes, nothing) == 0.0
    # The first annotation is of gene 0 to term 0, the eighth node; the other receiver is a term.
    one = {**nothing, "annotated_to": jnp.arange(5) == 0}
    moved = gradient_rows(jax.grad(loss)(nodes, one))
    assert {0, 7} <= set(moved.tolist()) <= {0, *range(7, 11)}
