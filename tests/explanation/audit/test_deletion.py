import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.explanation.attribution.baseline_signatures import no_change
from moa_jax.explanation.attribution.target import AttributionTarget
from moa_jax.explanation.audit.deletion import (
    control_importance,
    deletion_curves,
    ranks,
)
from moa_jax.knowledge.propagation import string_degree
from tests.explanation.attribution.linear_models import every_moa, feature_spec, linear_predictor
from tests.synthetic import make_examples, make_knowledge_graph


@pytest.fixture(scope="module")
def linear():
    """Model, examples, contributions against no change, and that baseline."""
    predictor, examples = linear_predictor(), make_examples(8)
    baselines = no_change(examples, predictor.features)[:, 0]
    weights = np.asarray(predictor.params["genes"]["kernel"])
    change = np.where(examples.gene_mask, examples.expression - baselines, 0.0)
    values = (change[:, None] * weights.T).astype(np.float32)
    return predictor, examples, values, baselines


def curves_of(linear, importance):
    predictor, examples, _, baselines = linear
    return deletion_curves(
        predictor,
        examples,
        AttributionTarget(predictor.task),
        every_moa(8),
        importance=importance,
        replacement=baselines,
    )


def test_curves_of_a_linear_model_are_sums_of_its_contributions(linear):
    _, examples, values, _ = linear
    curves = curves_of(linear, values)
    measured = values[..., examples.gene_mask]
    ordered = -np.sort(-measured, axis=-1)
    lost = np.concatenate([np.zeros((8, 3, 1)), np.cumsum(ordered, axis=-1)], axis=-1)
    # Of four measured genes.
    lost = lost[..., [0, 0, 0, 0, 0, 1, 1, 2, 3, 4]]
    assert curves.fractions == (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)
    whole = curves.deletion[..., 0]
    np.testing.assert_allclose(curves.deletion, whole[..., None] - lost, rtol=1e-3, atol=1e-4)
    nothing = whole - lost[..., -1]
    np.testing.assert_allclose(curves.insertion, nothing[..., None] + lost, rtol=1e-3, atol=1e-4)
    # By hand: trapezoids, and means over the inner points.
    deletion, width = whole[..., None] - lost, np.diff(curves.fractions)
    area = (width * (deletion[..., 1:] + deletion[..., :-1])).sum(axis=-1) / 2
    np.testing.assert_allclose(curves.deletion_auc, area, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        curves.comprehensiveness, lost[..., 1:-1].mean(axis=-1), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        curves.sufficiency,
        (lost[..., -1:] - lost[..., 1:-1]).mean(axis=-1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_no_ranking_beats_that_of_a_linear_models_contributions(linear):
    best = curves_of(linear, values := linear[2])
    for other in (-values, np.random.default_rng(0).random(values.shape).astype(np.float32)):
        worse = curves_of(linear, other)
        assert (best.deletion_auc <= worse.deletion_auc + 1e-5).all()
        assert (best.insertion_auc >= worse.insertion_auc - 1e-5).all()


def test_ranks_put_absent_genes_last():
    importance = jnp.array([[[0.5, 2.0, 0.5, 9.0]]])
    found = ranks(importance, jnp.array([[True, True, True, False]]))
    np.testing.assert_array_equal(found, [[[1, 0, 2, 3]]])


def test_controls():
    examples, features, graph = make_examples(8), feature_spec(), make_knowledge_graph()
    found = control_importance(examples, features, graph, num_targets=2)
    assert sorted(found) == ["absolute_z", "degree", "random"]
    change = np.abs(examples.expression * features.scale + features.mean)
    np.testing.assert_allclose(found["absolute_z"][:, 1], change, rtol=1e-5)
    np.testing.assert_allclose(string_degree(graph)[:6], [0.9, 0.9, 0, 0, 0, 1.8], rtol=1e-6)
    np.testing.assert_allclose(found["degree"][3, 0], [0.9, 0.9, 0, 0, 0], rtol=1e-6)
    assert {values.shape for values in found.values()} == {(8, 2, 5)}
