"""Layers of message passing against loops over nodes and edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.graph_layers import (
    GraphAttentionLayer,
    GraphConvolutionLayer,
    GraphPoolingLayer,
    TypedRelationLayer,
)
from moa_jax.models.message_passing import weighted_mean
from tests.synthetic import edges

pytestmark = pytest.mark.slow

NUM_NODES, FEATURES, OUT, HEADS = 6, 3, 4, 2
# Node 5 hears nothing; 1 -> 0 is there twice; the last edge has no weight.
PAIRS = [(1, 0), (2, 0), (1, 0), (0, 3), (4, 3), (5, 4), (3, 2), (2, 1), (0, 4)]
WEIGHT = [0.9, 0.4, 0.2, 1.0, 0.7, 0.5, 0.8, 0.3, 0.0]
RELATIONS = {"is_a": slice(0, 5), "part_of": slice(5, 9)}
LAYERS = {
    "convolution": GraphConvolutionLayer(features=OUT),
    "attention": GraphAttentionLayer(features=OUT, num_heads=HEADS),
    "pooling": GraphPoolingLayer(features=OUT),
    "typed": TypedRelationLayer(features=OUT),
}


def drawn(name, pairs=PAIRS, weight=WEIGHT):
    """The edges, as the layer of this name takes them, on the device."""
    if name != "typed":
        return jax.tree.map(jnp.asarray, edges(pairs, weight))
    parts = {relation: edges(pairs[rows], weight[rows]) for relation, rows in RELATIONS.items()}
    return jax.tree.map(jnp.asarray, parts)


def nodes():
    return jnp.asarray(np.random.default_rng(0).normal(size=(NUM_NODES, FEATURES)), jnp.float32)


@pytest.fixture(scope="module")
def params():
    """Parameters of every layer, biases too, away from their start."""
    noise = np.random.default_rng(1).normal(size=64).astype(np.float32)
    return {
        name: jax.tree.map(
            lambda leaf: leaf + noise[: leaf.size].reshape(leaf.shape),
            layer.init(jax.random.key(0), nodes(), drawn(name)),
        )
        for name, layer in LAYERS.items()
    }


@pytest.fixture(scope="module")
def answer(params):
    return lambda name, x, graph: LAYERS[name].apply(params[name], x, graph)


def slow_attention(p, x):
    values = np.einsum("nf,fhw->nhw", x, p["values"]["kernel"])
    out = x @ p["own"]["kernel"] + p["own"]["bias"]
    for node in range(NUM_NODES):
        for head in range(HEADS):
            total, heard = 0.0, np.zeros(OUT // HEADS)
            for (sender, receiver), weight in zip(PAIRS, WEIGHT, strict=True):
                if receiver == node:
                    score = (
                        values[sender, head] @ p["sender_score"][head]
                        + values[node, head] @ p["receiver_score"][head]
                    )
                    share = weight * np.exp(score if score > 0 else 0.2 * score)
                    total, heard = total + share, heard + share * values[sender, head]
            if total:
                out[node, head * OUT // HEADS : (head + 1) * OUT // HEADS] += heard / total
    return out


def slow_convolution(p, x):
    sent, received = np.ones(NUM_NODES), np.ones(NUM_NODES)
    for (sender, receiver), weight in zip(PAIRS, WEIGHT, strict=True):
        sent[sender] += weight
        received[receiver] += weight
    mixing = np.diag((sent * received) ** -0.5)
    for (sender, receiver), weight in zip(PAIRS, WEIGHT, strict=True):
        mixing[receiver, sender] += weight / (received[receiver] * sent[sender]) ** 0.5
    return mixing @ x @ p["values"]["kernel"] + p["bias"]


def slow_pooling(p, x):
    out = np.zeros((NUM_NODES, OUT))
    for node in range(NUM_NODES):
        strongest = np.zeros(OUT)
        for (sender, receiver), weight in zip(PAIRS, WEIGHT, strict=True):
            if receiver == node:
                said = np.maximum(x[sender] @ p["pool"]["kernel"] + p["pool"]["bias"], 0.0)
                strongest = np.maximum(strongest, weight * said)
        state = x[node] @ p["own"]["kernel"] + p["own"]["bias"]
        state = state + strongest @ p["neighbours"]["kernel"]
        out[node] = state / np.linalg.norm(state)
    return out


def slow_typed(p, x):
    out = x @ p["own"]["kernel"] + p["own"]["bias"]
    for relation, rows in RELATIONS.items():
        for node in range(NUM_NODES):
            found = [
                (sender, weight)
                for (sender, receiver), weight in zip(PAIRS[rows], WEIGHT[rows], strict=True)
                if receiver == node and weight
            ]
            for sender, weight in found:
                share = weight / sum(weight for _, weight in found)
                out[node] += share * (x[sender] @ p[relation]["kernel"])
    return out


SLOW = {
    "convolution": slow_convolution,
    "attention": slow_attention,
    "pooling": slow_pooling,
    "typed": slow_typed,
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_equals_a_slow_layer(name, params, answer):
    slow = SLOW[name](jax.tree.map(np.asarray, params[name]["params"]), np.asarray(nodes()))
    np.testing.assert_allclose(answer(name, nodes(), drawn(name)), slow, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "pooling"])
def test_the_order_of_edges_and_edges_without_weight_change_nothing(name, answer):
    expected = answer(name, nodes(), drawn(name))
    turned = answer(name, nodes(), drawn(name, PAIRS[-2::-1], WEIGHT[-2::-1]))
    np.testing.assert_allclose(turned, expected, rtol=1e-5, atol=1e-6)
    present = answer(name, nodes(), drawn(name, PAIRS, [*WEIGHT[:-1], 1.0]))
    changed = np.abs(present - expected).max(axis=1) > 1e-3
    np.testing.assert_array_equal(changed, np.arange(NUM_NODES) == PAIRS[-1][1])


@pytest.mark.parametrize("name", LAYERS)
def test_relabelled_nodes_give_relabelled_states(name, answer):
    order = np.random.default_rng(2).permutation(NUM_NODES)
    place = np.argsort(order)
    pairs = [(place[sender], place[receiver]) for sender, receiver in PAIRS]
    relabelled = answer(name, nodes()[order], drawn(name, pairs))
    expected = answer(name, nodes(), drawn(name))[order]
    np.testing.assert_allclose(relabelled, expected, rtol=1e-5, atol=1e-6)


def test_attention_without_scores_is_the_weighted_mean(params):
    p = jax.tree.map(jnp.copy, params["attention"]["params"])
    p["sender_score"] *= 0
    p["receiver_score"] *= 0
    p["own"] = jax.tree.map(jnp.zeros_like, p["own"])
    out = LAYERS["attention"].apply({"params": p}, nodes(), drawn("attention"))
    mixed = weighted_mean(nodes(), drawn("attention"), NUM_NODES)
    kernel = p["values"]["kernel"].reshape(FEATURES, OUT)
    np.testing.assert_allclose(out, mixed @ kernel, rtol=1e-5, atol=1e-6)


def test_swapped_relations_are_told_apart(answer):
    swapped = drawn("typed")
    swapped = {"is_a": swapped["part_of"], "part_of": swapped["is_a"]}
    expected = answer("typed", nodes(), drawn("typed"))
    assert not np.allclose(answer("typed", nodes(), swapped), expected, atol=1e-2)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_finite_where_nothing_is_heard(name, params):
    def total(x):
        return LAYERS[name].apply(params[name], x, drawn(name)).sum()

    assert np.isfinite(jax.grad(total)(jnp.zeros((NUM_NODES, FEATURES)))).all()
