"""Mechanisms at chance: found where planted, with the reason that was planted."""

import dataclasses
import itertools

import numpy as np
import pytest

from moa_jax.evaluation.metrics import average_precision
from moa_jax.model_card.moa_failures import failures, random_precisions
from tests.synthetic import make_raw_examples


def examples_with(num_compounds, labels, expression):
    """Two signatures for each compound, with labels of the compound and a size."""
    examples = make_raw_examples(2 * num_compounds)
    rows = np.arange(2 * num_compounds) // 2
    return dataclasses.replace(
        examples,
        labels=labels[rows].astype(np.float32),
        expression=(examples.expression * expression[rows, None]).astype(np.float32),
    )


def test_what_is_at_chance_is_named_with_its_reason():
    num = 40
    labels = np.zeros((num, 3))
    labels[:10, 0] = labels[10:20, 1] = 1
    labels[20:, 2] = 1
    rng = np.random.default_rng(0)
    probs = rng.random((num, 3))
    # The first is found; the second is not, and its signatures are weak.
    probs[:10, 0] += 1
    probs[:, 2] += labels[:, 2]
    strength = np.where(labels[:, 1] > 0, 0.1, 1.0)
    test = examples_with(num, labels, strength)
    train_labels = np.eye(3)[np.array([0] * 6 + [1] * 3 + [2] * 6)]
    train = examples_with(15, train_labels, np.ones(15))
    # Of one compound of the second mechanism there is the structure alone.
    measured = np.arange(30) // 2 != 6
    train = dataclasses.replace(train, has_expression=measured)
    (found,) = failures(probs, labels, test.moas, train, test)
    assert found.moa == test.moas[1]
    assert (found.num_test, found.num_train, found.num_measured) == (10, 3, 2)
    assert found.auprc == pytest.approx(average_precision(probs, labels)[1])
    assert found.p_value > 0.05
    assert found.reasons == (
        "few measured training compounds (2)",
        "weak signatures (their median is in the lowest quarter)",
    )


def test_random_rankings_have_the_precision_of_all_orders():
    exact = []
    for places in itertools.combinations(range(6), 2):
        labels = np.zeros((6, 1))
        labels[list(places)] = 1
        exact.append(average_precision(-np.arange(6.0)[:, None], labels)[0])
    draws = random_precisions(6, 2)
    assert set(np.round(draws, 9)) <= set(np.round(exact, 9))
    assert draws.mean() == pytest.approx(np.mean(exact), abs=0.02)
