"""The cost experiment: all compared methods give the same contributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.explanation_cost.against_captum import ways
from moa_jax.models.encoders.signature import SignatureEncoder

pytestmark = pytest.mark.slow


def test_both_ways_to_explain_the_encoder_agree():
    draw = lambda seed, *shape: jax.random.normal(jax.random.key(seed), shape)  # noqa: E731 (4 uses)
    encoder = SignatureEncoder(2, 3, 4, 0.5, 0.5)
    given = {
        "expression": draw(0, 3, 5),
        "gene_mask": jnp.arange(15).reshape(3, 5) % 4 > 0,
        "nodes": draw(1, 7, 3),
        "propagation": draw(2, 5, 7),
        "direction": jax.nn.one_hot(jnp.array([0, 1, 1]), 2),
    }
    inputs = [given[name] for name in ("expression", "gene_mask", "nodes", "propagation")]
    params = encoder.init(jax.random.key(3), *inputs, train=False)["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.5 * draw(4, *leaf.shape), params)
    found = {name: explain(params, given) for name, explain in ways(encoder, 32).items()}
    np.testing.assert_allclose(found["affine"], found["written_out"], rtol=1e-4, atol=1e-5)
    assert (np.abs(found["affine"]).max(axis=1) > 0.1).all()
    assert not np.asarray(found["affine"])[~np.asarray(given["gene_mask"])].any()
