import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from moa_jax.baselines.classifiers.early_fusion import ExpressionAndMorgan
from moa_jax.baselines.classifiers.late_fusion import (
    LateFusion,
    arithmetic_mean,
    fuse,
    geometric_mean,
)
from moa_jax.baselines.classifiers.logistic import expression_logistic, morgan_logistic
from moa_jax.baselines.classifiers.stacking import Stacked, WeightedProduct, fit_weighted_product
from moa_jax.baselines.inputs import MorganBits, StandardisedExpression
from tests.small_sets import knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = knowledge_graph(5)


def test_joined_inputs_stand_side_by_side():
    some = planted_examples()
    inputs = ExpressionAndMorgan(2.0)
    found = inputs.fit_transform(some)
    bits = MorganBits().transform(some)
    np.testing.assert_allclose(found[:, :5], StandardisedExpression().fit_transform(some))
    np.testing.assert_allclose(found[:, 5:], 2 * (bits - bits.mean(axis=0)))
    lacking = dataclasses.replace(
        some,
        smiles=(None, *some.smiles[1:]),
        has_expression=np.arange(some.num_examples) != 1,
    )
    again = inputs.transform(lacking)
    np.testing.assert_array_equal(again[0, 5:], 0)
    np.testing.assert_array_equal(again[1, :5], 0)
    np.testing.assert_array_equal(again[2:], found[2:])
    np.testing.assert_array_equal(again[0, :5], found[0, :5])


def test_means_by_hand():
    first, second = np.array([[0.9, 0.0]]), np.array([[0.4, 0.5]])
    np.testing.assert_allclose(geometric_mean(first, second), [[0.6, 0.0]])
    np.testing.assert_allclose(arithmetic_mean(first, second), [[0.65, 0.25]])
    alone = fuse(first, second, np.array([True]), np.array([False]), arithmetic_mean)
    np.testing.assert_array_equal(alone, first)


def test_the_combiner_by_hand():
    combine = WeightedProduct(first_weight=0.5, second_weight=2.0, intercept=1.0)
    first, second = np.array([[0.25, 0.0, 0.0]]), np.array([[0.5, 0.0, 1.0]])
    expected = [[expit(0.5 * np.log(0.25) + 2 * np.log(0.5) + 1), 0, expit(0.5 * np.log(1e-6) + 1)]]
    np.testing.assert_allclose(combine(first, second), expected)


def test_the_combiner_finds_the_weights_that_made_the_labels():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.01, 1, size=(2, 2000, 10))
    truth = WeightedProduct(first_weight=1.0, second_weight=2.0, intercept=0.5)
    labels = (rng.random(first.shape) < truth(first, second)).astype(np.float32)
    found = fit_weighted_product(first, second, labels, np.ones(2000))
    assert found.first_weight == pytest.approx(1.0, abs=0.1)
    assert found.second_weight == pytest.approx(2.0, abs=0.1)
    assert found.intercept == pytest.approx(0.5, abs=0.1)


def test_an_expert_of_noise_gets_little_weight():
    planted = planted_examples(num_compounds=36)
    fitted = Stacked(expression_logistic(0.03), morgan_logistic(1.0)).fit(planted, GRAPH, seed=0)
    # The structures are one homologous series, dealt out to the MoAs in turn.
    assert fitted.combine.first_weight > 5 * abs(fitted.combine.second_weight)
    alone = LateFusion(expression_logistic(0.03), morgan_logistic(1.0)).fit(planted, GRAPH, seed=0)
    np.testing.assert_array_equal(
        fitted.expression.predict(planted), alone.expression.predict(planted)
    )


def test_each_expert_learns_from_what_there_is():
    planted = planted_examples()
    has = np.arange(60) < 30
    some = dataclasses.replace(planted, has_expression=has)
    fitted = LateFusion(expression_logistic(0.03), morgan_logistic(1.0)).fit(some, GRAPH, seed=0)
    measured = planted.take(np.flatnonzero(has))
    for expert, learner, known in (
        (fitted.expression, expression_logistic(0.03), measured),
        (fitted.structure, morgan_logistic(1.0), planted),
    ):
        expected = learner.fit(known, GRAPH, seed=0).predict(planted)
        np.testing.assert_array_equal(expert.predict(planted), expected)


def test_without_a_compound_of_both_the_experts_are_multiplied():
    planted = planted_examples()
    has = np.arange(60) < 30
    smiles = tuple(None if seen else text for seen, text in zip(has, planted.smiles, strict=True))
    apart = dataclasses.replace(planted, has_expression=has, smiles=smiles)
    fitted = Stacked(expression_logistic(0.03), morgan_logistic(1.0)).fit(apart, GRAPH, seed=0)
    assert fitted.combine is geometric_mean
