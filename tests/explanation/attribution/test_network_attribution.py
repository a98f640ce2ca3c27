import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.explanation.attribution.network_attribution import (
    adjoint_node_attribution,
    smoothed_node_attribution,
)
from moa_jax.explanation.attribution.node_activity import activities, change_activity
from tests.synthetic import make_examples, make_graph

pytestmark = pytest.mark.slow


def test_activity_is_changed_inside_of_compiled_functions():
    rng = np.random.default_rng(0)
    genes, matrix = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 3), (3, 4)))
    inner = jax.jit(lambda matrix: jnp.tanh(genes @ matrix).sum(axis=1))
    function = lambda matrix: inner(matrix) + 2 * (3 * genes @ matrix)[:, 0]  # noqa: E731
    first, second = activities(function, matrix)
    np.testing.assert_allclose(first, genes @ matrix, rtol=1e-5)
    np.testing.assert_allclose(second, 3 * genes @ matrix, rtol=1e-5)
    same = change_activity(function, matrix, lambda place, product: product)
    np.testing.assert_allclose(same, function(matrix), rtol=1e-5)
    changed = change_activity(function, matrix, lambda place, product: product + 1 + place)
    expected = jnp.tanh(first + 1).sum(axis=1) + 2 * (second[:, 0] + 2)
    np.testing.assert_allclose(changed, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="propagation matrix in transpose"):
        change_activity(lambda matrix: matrix.T @ genes.T, matrix, lambda place, product: product)
    with pytest.raises(ValueError, match="does not read node activities"):
        change_activity(lambda matrix: genes, matrix, lambda place, product: product)


def test_the_adjoint_of_a_linear_model_is_the_gradient_of_its_sources():
    examples, graph = make_examples(8), make_graph()
    weights = np.random.default_rng(0).normal(size=(5, 3))
    change = np.where(examples.gene_mask, examples.expression, 0.0)
    contributions = change[:, None] * weights.T
    found = adjoint_node_attribution(contributions, change, graph.propagation)
    slope = (weights * examples.gene_mask[:, None]).T @ graph.propagation
    expected = slope[None] * (change @ graph.propagation)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    smoothed = smoothed_node_attribution(contributions, graph.propagation)
    np.testing.assert_allclose(smoothed, contributions @ graph.propagation)
