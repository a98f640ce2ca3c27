"""Weights of examples: classes, agreement of replicates, and strong signatures first."""

import dataclasses

import ml_collections
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from moa_jax.training.sample_weights import (
    SampleWeights,
    balanced_weights,
    reliability,
    signal_rank,
)
from tests.small_sets import examples


def four_examples(**columns):
    """Four signatures of two classes, the last of which is a structure alone."""
    some = examples(
        np.eye(2)[[0, 0, 0, 1]],
        ["G0", "G1", "G2", "G3"],
        expression=[[1.0] * 4, [3.0] * 4, [2.0] * 4, [0.0] * 4],
    )
    return dataclasses.replace(
        some,
        has_expression=np.array([True, True, True, False]),
        table=some.table.assign(**columns),
    )


def config(**changes):
    settings = {
        "num_steps": 20,
        "balance_power": 0.0,
        "quality_power": 0.0,
        "curriculum": {"signal_power": 0.0, "gradual_fraction": 0.5},
    }
    return ml_collections.FrozenConfigDict(settings | changes)


def test_reliability_is_that_of_the_mean_of_the_replicates():
    table = four_examples(n_replicates=[3.0, 2.0, 5.0, np.nan], cc_q75=[0.5, 0.2, -0.4, 0.9]).table
    values = np.array([1.5 / 2.0, 0.4 / 1.2, 0.01])
    np.testing.assert_allclose(reliability(table), [*(values / values.mean()), 1.0], rtol=1e-6)
    unknown = table.assign(cc_q75=np.nan)
    np.testing.assert_array_equal(reliability(unknown), np.ones(4, np.float32))


def test_the_mean_of_replicates_correlates_as_foretold():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1, 200_000))
    # Single replicates of variance 4 correlate by 1/4.
    first, second = (truth + np.sqrt(3.0) * rng.normal(size=(5, 200_000)) for _ in range(2))
    found = np.corrcoef(first.mean(axis=0), second.mean(axis=0))[0, 1]
    assert found == pytest.approx(5 * 0.25 / (1 + 4 * 0.25), abs=0.01)


def test_a_signal_is_compared_with_those_of_its_measure():
    none = [np.nan] * 4
    by_strength = signal_rank(four_examples(tas=none, cc_q75=none))
    np.testing.assert_allclose(by_strength, [1 / 3, 1.0, 2 / 3, 1.0], rtol=1e-6)
    mixed = signal_rank(
        four_examples(tas=[0.5, np.nan, 0.1, np.nan], cc_q75=[np.nan, 0.3, 0.9, np.nan])
    )
    # By tas the first two of two, by cc_q75 the first of two.
    np.testing.assert_allclose(mixed, [1.0, 0.5, 0.5, 1.0], rtol=1e-6)


def test_nothing_but_classes_counts_by_default():
    some = four_examples()
    for step in (0, 7):
        np.testing.assert_array_equal(SampleWeights(some, config()).at(step), np.ones(4))
    balanced = SampleWeights(some, config(balance_power=1.0)).at(0)
    np.testing.assert_allclose(balanced, np.array([1, 1, 1, 3]) / 1.5, rtol=1e-6)


def test_strong_signatures_come_first_and_then_all_count_alike():
    none = [np.nan] * 4
    some = four_examples(tas=none, cc_q75=none)
    curriculum = {"signal_power": 2.0, "gradual_fraction": 0.5}
    weights = SampleWeights(some, config(curriculum=curriculum))
    rank = np.array([1 / 3, 1.0, 2 / 3, 1.0])
    np.testing.assert_allclose(weights.at(0), rank**2, rtol=1e-5)
    np.testing.assert_allclose(weights.at(5), rank, rtol=1e-5)
    for step in (10, 19):
        np.testing.assert_array_equal(weights.at(step), np.ones(4))


def test_quality_multiplies_the_weights_of_the_classes():
    some = four_examples(n_replicates=[3.0, 2.0, 5.0, np.nan], cc_q75=[0.5, 0.2, 0.1, np.nan])
    found = SampleWeights(some, config(balance_power=1.0, quality_power=0.5)).at(3)
    expected = np.array([1, 1, 1, 3]) / 1.5 * np.sqrt(reliability(some.table))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_balanced_weights_are_those_of_scikit_learn(power):
    strata = np.random.default_rng(2).integers(5, size=40)
    ours = balanced_weights(strata, power=power)
    theirs = compute_sample_weight("balanced" if power else None, strata)
    np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-6)
