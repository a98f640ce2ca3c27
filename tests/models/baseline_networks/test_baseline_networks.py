"""Networks of the neural baselines: hand-drawn values, and what must change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.baseline_networks.expression import (
    ExpressionAutoencoder,
    ExpressionEmbedding,
    ExpressionMlp,
)
from moa_jax.models.baseline_networks.molecule import IntermediateFusion, MoleculeGnn
from moa_jax.models.baseline_networks.string_convolution import StringConvolution, StringGcn
from moa_jax.models.message_passing import owner_max
from tests.synthetic import NUM_LANDMARKS, NUM_MOAS, batch_of, edges, make_graph, replace

pytestmark = pytest.mark.slow

REST = {"gene_dropout": 0.0, "dropout": 0.0}
NETWORKS = {
    "mlp": ExpressionMlp(num_moas=NUM_MOAS, hidden=(8,), **REST),
    "gcn": StringGcn(num_moas=NUM_MOAS, channels=(4, 4), hidden=8, **REST),
    "embedding": ExpressionEmbedding(hidden=(8,), features=4, **REST),
    "autoencoder": ExpressionAutoencoder(hidden=(8,), features=4, **REST),
    "gnn": MoleculeGnn(num_moas=NUM_MOAS, atom_features=8, num_layers=1, hidden=8, dropout=0.0),
    "fusion": IntermediateFusion(num_moas=NUM_MOAS, features=8, hidden=8, bit_dropout=0.0, **REST),
}
# The measured genes alone, as the methods pass them.
GRAPH = replace(make_graph(), interacts=edges([(0, 2), (2, 0), (3, 2)], [0.9, 0.9, 0.3]))


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


@pytest.fixture(scope="module")
def answer():
    """network, batch -> what it says, with parameters that are not at their start."""
    params = {}

    def ask(name, batch, graph=GRAPH):
        network, batch, graph = NETWORKS[name], on_device(batch), on_device(graph)
        if name not in params:
            start = network.init(jax.random.key(0), batch, graph, train=False)["params"]
            noise = jax.random.normal(jax.random.key(1), (4096,))
            params[name] = jax.tree.map(
                lambda leaf: leaf + 0.3 * noise[: leaf.size].reshape(leaf.shape), start
            )
        expert_logits = network.apply({"params": params[name]}, batch, graph, train=False)
        return expert_logits.mean if name == "autoencoder" else expert_logits

    return ask


@pytest.mark.parametrize("name", ["mlp", "gcn", "embedding", "autoencoder", "fusion"])
def test_genes_that_are_not_measured_change_nothing(name, answer):
    batch = batch_of()
    garbled = np.where(batch.gene_mask, batch.expression, 1e3).astype(np.float32)
    expected = answer(name, batch)
    np.testing.assert_array_equal(answer(name, replace(batch, expression=garbled)), expected)
    other = replace(batch, expression=batch.expression + 1)
    assert not np.allclose(answer(name, other), expected)


def test_padding_atoms_change_nothing(answer):
    batch = batch_of()
    molecules = batch.molecules
    padding = ~molecules.atom_mask[..., None]
    garbled = replace(
        molecules,
        atom_features=np.where(padding, 7.0, molecules.atom_features).astype(np.float32),
    )
    expected = answer("gnn", batch)
    np.testing.assert_allclose(
        answer("gnn", replace(batch, molecules=garbled)), expected, rtol=1e-6
    )
    assert len(np.unique(np.asarray(expected), axis=0)) == 7


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_any_number_of_shards_gives_the_same_answers(shards, answer):
    np.testing.assert_allclose(
        answer("gnn", batch_of(num_shards=shards)), answer("gnn", batch_of()), rtol=1e-5, atol=1e-6
    )


def test_a_hidden_modality_changes_nothing(answer):
    batch = batch_of()
    hidden = np.zeros(8, bool)
    for mask, field in (("expression_mask", "expression"), ("structure_mask", "fingerprint")):
        seen = replace(batch, **{mask: hidden})
        other = replace(seen, **{field: 1 - getattr(batch, field)})
        np.testing.assert_array_equal(answer("fusion", other), answer("fusion", seen))
        assert not np.allclose(answer("fusion", seen), answer("fusion", batch))


def test_embeddings_lie_on_the_unit_sphere(answer):
    length = np.linalg.norm(answer("embedding", batch_of()), axis=1)
    np.testing.assert_allclose(length, 1.0, rtol=1e-5)


def test_the_latent_state_is_drawn_in_training_alone():
    network, batch = NETWORKS["autoencoder"], on_device(batch_of())
    params = network.init(jax.random.key(0), batch, GRAPH, train=False)
    draws = [
        network.apply(
            params, batch, GRAPH, train=True, rngs={"latent": jax.random.key(seed)}
        ).reconstructed
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.allclose(draws[0], draws[2])
    # A variance of nothing leaves the mean.
    certain = jax.tree.map(jnp.copy, params)
    certain["params"]["log_variance"]["bias"] -= 60.0
    rested = network.apply(certain, batch, GRAPH, train=False).reconstructed
    drawn = network.apply(certain, batch, GRAPH, train=True, rngs={"latent": jax.random.key(0)})
    np.testing.assert_allclose(drawn.reconstructed, rested, atol=1e-5)


def test_convolution_of_a_hand_drawn_graph():
    # 0 -> 2 (0.9), 1 -> 2 (0.3), 3 -> 0 (0.5); two examples, two channels.
    signals = np.array(
        [[[1.0, 0.0], [2.0, 1.0]], [[5.0, 2.0], [-2.0, 1.0]], [[7.0, 7.0], [0.0, 0.0]],
         [[4.0, -4.0], [1.0, 3.0]]], np.float32,
    )  # fmt: skip
    drawn = edges([(0, 2), (1, 2), (3, 0)], [0.9, 0.3, 0.5])
    params = {
        "own": {"kernel": jnp.array([[1.0], [2.0]]), "bias": jnp.array([0.5])},
        "neighbours": {"kernel": jnp.array([[10.0], [100.0]])},
    }
    filtered = StringConvolution(1).apply({"params": params}, jnp.asarray(signals), drawn)
    own = signals @ np.array([1.0, 2.0]) + 0.5
    has_modality = np.zeros((4, 2))
    has_modality[0] = [40.0 - 400.0, 10.0 + 300.0]
    # Means at node 2 with weights 3/4 and 1/4: (2, .5) and (1, 1).
    has_modality[2] = [20.0 + 50.0, 10.0 + 100.0]
    np.testing.assert_allclose(filtered[..., 0], own + has_modality, rtol=1e-5)


def test_the_order_of_edges_does_not_matter(answer):
    batch = batch_of()
    shuffled = replace(GRAPH, interacts=edges([(3, 2), (2, 0), (0, 2)], [0.3, 0.9, 0.9]))
    expected = answer("gcn", batch)
    np.testing.assert_allclose(answer("gcn", batch, shuffled), expected, rtol=1e-5)
    rewired = replace(GRAPH, interacts=edges([(0, 1), (1, 0), (3, 2)], [0.9, 0.9, 0.3]))
    assert not np.allclose(answer("gcn", batch, rewired), expected)


def test_examples_do_not_hear_each_other(answer):
    assert NUM_LANDMARKS == 5
    batch = batch_of()
    first = np.arange(8) == 0
    other = replace(
        batch, expression=np.where(first[:, None], batch.expression, 9.0).astype(np.float32)
    )
    np.testing.assert_allclose(
        answer("gcn", other)[0], answer("gcn", batch)[0], rtol=1e-5, atol=1e-6
    )


def test_owner_max_by_hand():
    values = jnp.array([[1.0, -5.0], [2.0, -7.0], [99.0, 99.0], [-3.0, 0.5]])
    owner, mask = jnp.array([0, 0, 0, 2]), jnp.array([True, True, False, True])
    expected = [[2.0, -5.0], [0.0, 0.0], [-3.0, 0.5]]
    np.testing.assert_array_equal(owner_max(values, owner, mask, 3), expected)
