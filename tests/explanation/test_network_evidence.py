import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.data.batches import make_batch
from moa_jax.data.features import encode
from moa_jax.explanation.network_evidence import (
    adjoint_node_attribution,
    attention_rollout,
    edge_attribution,
    node_attention_rollout,
    smoothed_node_attribution,
)
from moa_jax.explanation.node_activity import activities, change_activity
from moa_jax.explanation.scores import Question
from moa_jax.schemas import InputError
from tests.explanation.linear_models import every_moa, linear_predictor, tiny_predictor
from tests.synthetic import make_examples, make_graph, make_raw_examples

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
    with pytest.raises(ValueError, match="reads no activity"):
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


def test_edges_get_gradient_times_weight():
    predictor = tiny_predictor(("signature", "molecule", "joint"))
    examples = encode(make_raw_examples(6, seed=1), predictor.features)
    question, directions = Question(predictor.task), every_moa(6)
    found = edge_attribution(predictor, examples, question, directions, max_examples=4)
    weight = np.asarray(predictor.graph.interacts.weight)
    assert found["interacts"].shape == (6, 3, len(weight))
    assert np.abs(found["is_a"]).max() > 0
    # The mean over a node's edges does not change where all of them grow alike.
    np.testing.assert_allclose(sum(values.sum(axis=-1) for values in found.values()), 0, atol=1e-3)
    batch = make_batch(examples, np.arange(6), 6, num_shards=1)

    @jax.jit
    def logits(weight, batch):
        edges = dataclasses.replace(predictor.graph.interacts, weight=weight)
        graph = dataclasses.replace(predictor.graph, interacts=edges)
        return question.answers(predictor.params, batch, graph)

    step = np.zeros(len(weight), np.float32)
    step[2] = 0.01
    expected = (logits(weight + step, batch) - logits(weight - step, batch)) / 0.02 * weight[2]
    np.testing.assert_allclose(found["interacts"][..., 2], expected, rtol=0.05, atol=5e-3)


def test_a_model_without_messages_gives_edges_nothing():
    predictor, examples = linear_predictor(nodes=1.0), make_examples(4)
    found = edge_attribution(predictor, examples, Question(predictor.task), every_moa(4))
    assert all((values == 0).all() for values in found.values())


def test_attention_rolls_out_as_products():
    first = np.array([[0.0, 1.0], [0.5, 0.5]])
    last = np.array([[[0.2, 0.8]]])
    mixed = 0.5 * first + 0.5 * np.eye(2)
    np.testing.assert_allclose(attention_rollout([first, last]), last @ mixed)
    np.testing.assert_allclose(attention_rollout([first, first], residual=0.0), first @ first)
    with pytest.raises(InputError, match="at least one layer"):
        attention_rollout([])


def test_node_attention_rolls_back_along_edges():
    graph = make_graph()
    attention = np.zeros((1, 2, 11))
    attention[0, 0, 10] = attention[0, 1, 2] = 1.0
    same = node_attention_rollout(attention, graph, num_genes=7, num_layers=0)
    np.testing.assert_allclose(same, attention.mean(axis=1))
    found = node_attention_rollout(attention, graph, num_genes=7, num_layers=1)
    # Term 3 (row 10) hears term 2 (row 9) alone; gene 2 hears its term 1 (row 8) alone.
    expected = np.zeros((1, 11))
    expected[0, [10, 9, 2, 8]] = 0.25
    np.testing.assert_allclose(found, expected)
    assert node_attention_rollout(attention, graph, num_genes=7, num_layers=3).sum() == (
        pytest.approx(1)
    )
