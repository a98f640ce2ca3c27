"""Factored attention equals plain attention over tokens that are written out."""

import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.models.cross_attention import AtomAttention, NodeAttention


def softmax(scores):
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


def test_node_attention_is_attention_over_active_tokens():
    rng = np.random.default_rng(0)
    query, activity = rng.normal(size=(3, 8)), rng.normal(size=(3, 5))
    nodes = rng.normal(size=(5, 6))
    module = NodeAttention(features=8, num_heads=2)
    inputs = [jnp.asarray(value, jnp.float32) for value in (query, activity, nodes)]
    params = module.init(jax.random.key(0), *inputs)["params"]
    out, attention = module.apply({"params": params}, *inputs)

    kernel = lambda name: np.asarray(params[name]["kernel"], np.float64)  # noqa: E731 (5 uses)
    asked = np.einsum("bf,fhd->bhd", query, kernel("query")) + params["query"]["bias"]

    def tokens(name):
        active = np.einsum("nf,fhd->nhd", nodes, kernel(f"active_{name}"))
        static = np.einsum("nf,fhd->nhd", nodes, kernel(f"static_{name}"))
        return activity[:, :, None, None] * active + static

    weights = softmax(np.einsum("bhd,bnhd->bhn", asked, tokens("key")) / np.sqrt(4))
    value = np.einsum("bhn,bnhd->bhd", weights, tokens("value")).reshape(3, 8)
    np.testing.assert_allclose(attention, weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        out, value @ kernel("out") + params["out"]["bias"], rtol=1e-4, atol=1e-5
    )


def test_atom_attention_stays_within_the_molecule():
    rng = np.random.default_rng(1)
    query = jnp.asarray(rng.normal(size=(3, 8)), jnp.float32)
    atoms = jnp.asarray(rng.normal(size=(1, 6, 5)), jnp.float32)
    owner = jnp.array([[0, 0, 0, 2, 2, 0]], np.int32)
    mask = jnp.array([[True, True, True, True, True, False]])
    module = AtomAttention(features=8, num_heads=2)
    params = module.init(jax.random.key(0), query, atoms, owner, mask)["params"]
    out, attention = module.apply({"params": params}, query, atoms, owner, mask)

    kernel = lambda name: np.asarray(params[name]["kernel"], np.float64)  # noqa: E731 (4 uses)
    asked = np.einsum("bf,fhd->bhd", query, kernel("query")) + params["query"]["bias"]
    for row, members in ((0, [0, 1, 2]), (2, [3, 4])):
        key = np.einsum("af,fhd->ahd", atoms[0, members], kernel("key"))
        weights = softmax((np.einsum("hd,ahd->ha", asked[row], key)) / np.sqrt(4))
        np.testing.assert_allclose(attention[0, members].T, weights, rtol=1e-4, atol=1e-6)
        value = np.einsum("af,fhd->ahd", atoms[0, members], kernel("value"))
        expected = np.einsum("ha,ahd->hd", weights, value).reshape(-1) @ kernel("out")
        np.testing.assert_allclose(out[row], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out[1], 0.0)
    np.testing.assert_array_equal(attention[0, 5], 0.0)
