"""Message passing against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np

from moa_jax.models.message_passing import (
    BondNetworkLayer,
    owner_attention,
    reverse,
    weighted_mean,
)
from tests.synthetic import edges


def test_weighted_mean_of_a_hand_drawn_graph():
    # 0 -> 2 (0.9), 1 -> 2 (0.3), 3 -> 0 (0.5); nothing reaches 1 and 3.
    nodes = jnp.array([[1.0, 0.0], [5.0, 2.0], [7.0, 7.0], [4.0, -4.0]])
    drawn = edges([(0, 2), (1, 2), (3, 0)], [0.9, 0.3, 0.5])
    expected = [[4.0, -4.0], [0.0, 0.0], [2.0, 0.5], [0.0, 0.0]]
    np.testing.assert_allclose(weighted_mean(nodes, drawn, 4), expected, rtol=1e-6)
    # Backwards: 2 -> 0, 2 -> 1, 0 -> 3, each the only edge of its receiver.
    expected = [[7.0, 7.0], [7.0, 7.0], [0.0, 0.0], [1.0, 0.0]]
    np.testing.assert_allclose(weighted_mean(nodes, reverse(drawn), 4), expected, rtol=1e-6)


def test_weighted_mean_agrees_with_networkx():
    graph = nx.gnp_random_graph(20, 0.2, seed=1, directed=True)
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.4, 1.0, graph.number_of_edges())
    for (sender, receiver), value in zip(graph.edges, weight, strict=True):
        graph.edges[sender, receiver]["weight"] = value
    nodes = jnp.asarray(rng.normal(size=(20, 3)), jnp.float32)
    matrix = nx.to_numpy_array(graph).T
    expected = matrix @ nodes / np.maximum(matrix.sum(1, keepdims=True), 1e-6)
    ours = weighted_mean(nodes, edges(list(graph.edges), weight), 20)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_owner_attention_ignores_masked_atoms():
    scores = jnp.array([[0.0], [jnp.log(3.0)], [50.0], [1.0]])
    owner, mask = jnp.array([0, 0, 0, 1]), jnp.array([True, True, False, True])
    expected = [[0.25], [0.75], [0.0], [1.0]]
    np.testing.assert_allclose(owner_attention(scores, owner, mask, 3), expected, rtol=1e-6)


def test_bond_messages_follow_the_drawn_direction():
    layer = BondNetworkLayer(features=4)
    rng = np.random.default_rng(0)
    atoms = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)
    bonds = jnp.asarray(rng.normal(size=(2, 5)), jnp.float32)
    senders, receivers = jnp.array([0, 1]), jnp.array([1, 2])
    mask = jnp.array([True, True])
    params = layer.init(jax.random.key(0), atoms, bonds, senders, receivers, mask)

    def jacobian(changed_atom):
        def out(row):
            moved = atoms.at[changed_atom].set(row)
            return layer.apply(params, moved, bonds, senders, receivers, mask)

        return np.abs(jax.jacobian(out)(atoms[changed_atom])).sum((1, 2)) > 0

    np.testing.assert_array_equal(jacobian(0), [True, True, False])
    np.testing.assert_array_equal(jacobian(2), [False, False, True])
    cut = layer.apply(params, atoms, bonds, senders, receivers, jnp.array([True, False]))
    whole = layer.apply(params, atoms, bonds, senders, receivers, mask)
    np.testing.assert_allclose(cut[:2], whole[:2], rtol=1e-6)
    assert np.abs(cut[2] - whole[2]).max() > 1e-3
