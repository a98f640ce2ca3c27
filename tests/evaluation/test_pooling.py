import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.pooling import (
    WEIGHT_KINDS,
    median_by_compound,
    pool_by_compound,
    signature_weights,
)
from moa_jax.schemas import InputError
from tests.small_sets import examples

PROBS = np.array([[0.2, 0.8], [0.5, 0.5], [0.4, 0.0], [0.6, 0.4]])
LABELS = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
GROUPS = ["B", "A", "B", "B"]


def pooled(weights):
    return pool_by_compound(PROBS, LABELS, GROUPS, weights)[0]


def test_pooling_by_hand():
    probs, labels = PROBS[:3].astype(np.float32), LABELS[:3]
    means, union, names = pool_by_compound(probs, labels, GROUPS[:3])
    assert names == ("A", "B")
    np.testing.assert_allclose(means, [[0.5, 0.5], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_array_equal(union, [[0, 1], [1, 1]])


def test_weighted_pooling_is_numpys_weighted_mean():
    weights = np.array([1.0, 7.0, 2.0, 0.0])
    expected = np.average(PROBS[[0, 2, 3]], axis=0, weights=weights[[0, 2, 3]])
    np.testing.assert_allclose(pooled(weights), [[0.5, 0.5], expected])
    np.testing.assert_allclose(pooled(weights * 10), pooled(weights))
    np.testing.assert_array_equal(pooled(np.ones(4)), pooled(None))


@pytest.mark.parametrize(
    ("weights", "same_as"),
    [
        # A missing weight is the mean of the compound's other weights.
        ([1.0, np.nan, 3.0, np.nan], [1.0, 1.0, 3.0, 2.0]),
        # Of a compound that has none, or zeros only, all signatures count alike.
        ([np.nan, 1.0, np.nan, np.nan], [1.0, 1.0, 1.0, 1.0]),
        ([0.0, 0.0, 0.0, np.nan], [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_missing_weights(weights, same_as):
    np.testing.assert_allclose(pooled(np.array(weights)), pooled(np.array(same_as)))


@pytest.mark.parametrize("wrong", [-1.0, np.inf])
def test_impossible_weights_are_refused(wrong):
    with pytest.raises(InputError, match=f"compound B has the weight {wrong}"):
        pooled(np.array([1.0, 1.0, wrong, 1.0]))


def test_weights_come_from_the_signature_table():
    found = examples(LABELS, GROUPS, expression=[[3.0, -4.0], [0, 2], [1.9, 0], [-2, 2]])
    found.table["cc_q75"] = [0.5, -0.1, np.nan, 0.2]
    expected = {
        "mean": [1, 1, 1, 1],
        "tas": [0.3, np.nan, 0.05, 0.3],
        "cc_q75": [0.5, 0.0, np.nan, 0.2],
        "replicates": [3, np.nan, 2, 3],
        "strength": np.sqrt([12.5, 2, 1.9**2 / 2, 4]),
        "num_strong": [2, 1, 0, 2],
    }
    for kind, values in expected.items():
        np.testing.assert_allclose(signature_weights(found, kind), values, rtol=1e-6)
    with pytest.raises(InputError, match="no weight 'median'; the weights are mean, tas"):
        signature_weights(found, "median")


def test_balanced_pooling_is_a_mean_of_means():
    rng = np.random.default_rng(0)
    probs, groups = rng.random((30, 3)), [f"G{row}" for row in rng.integers(0, 4, 30)]
    found = examples(np.ones((30, 3)), groups)
    for kind, column in (
        ("balanced_cell_line", "cell_line"),
        ("balanced_dose", "dose_um"),
        ("balanced_time", "time_h"),
    ):
        weights = signature_weights(found, kind)
        table = pd.DataFrame(probs).assign(group=groups, level=found.table[column])
        within = table.groupby(["group", "level"], dropna=False).mean()
        expected = within.groupby("group").mean().to_numpy()
        ours, _, _ = pool_by_compound(probs, found.labels, groups, weights)
        np.testing.assert_allclose(ours, expected)


@pytest.mark.parametrize("kind", WEIGHT_KINDS)
def test_order_of_signatures_does_not_matter(kind):
    rng = np.random.default_rng(1)
    groups = [f"G{row}" for row in rng.integers(0, 5, 20)]
    found, probs = examples(rng.integers(0, 2, (20, 3)), groups), rng.random((20, 3))
    order = rng.permutation(20)
    shuffled = found.take(order)
    first = pool_by_compound(probs, found.labels, groups, signature_weights(found, kind))
    second = pool_by_compound(
        probs[order], shuffled.labels, shuffled.groups, signature_weights(shuffled, kind)
    )
    np.testing.assert_allclose(first[0], second[0])
    assert first[2] == second[2]


def test_unmeasured_genes_and_absent_signatures_say_nothing():
    found = examples(LABELS[:2], ["A", "B"], expression=[[3.0, 1e6], [0.0, 1e6]])
    object.__setattr__(found, "gene_mask", np.array([True, False]))
    object.__setattr__(found, "has_expression", np.array([True, False]))
    np.testing.assert_array_equal(signature_weights(found, "strength"), [3, np.nan])
    np.testing.assert_array_equal(signature_weights(found, "num_strong"), [1, np.nan])


def test_median_by_compound():
    values = np.array([1.0, np.nan, 4.0, 2.0, np.nan])
    found = median_by_compound(values, ["B", "A", "B", "B", "B"])
    np.testing.assert_array_equal(found, [np.nan, 2.0])
