import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.examples.pooling import (
    WEIGHT_KINDS,
    median_by_compound,
    pool_by_compound,
    series_weights,
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


def in_series(doses, strengths, *, lines="A375", times=24.0, groups=None):
    """Signatures of one compound with the given doses and root mean square z-scores."""
    count = len(doses)
    values = np.outer(strengths, [1.0, -1.0])
    found = examples(np.zeros((count, 2)), groups or ["A"] * count, expression=values)
    found.table["dose_um"] = doses
    found.table["cell_line"] = lines
    found.table["time_h"] = times
    return found


def test_a_dose_of_a_series_weighs_as_its_energy():
    doses, strengths = [0.1, 1.0, 10.0], [1.0, 2.0, 4.0]
    np.testing.assert_allclose(
        series_weights(in_series(doses, strengths)), [1 / 21, 4 / 21, 16 / 21]
    )
    # Replicates of one dose share its weight, and make two votes of the series.
    found = in_series([0.1, 0.1, 10.0, 10.0], [1.0, 1.0, 2.0, 2.0])
    np.testing.assert_allclose(series_weights(found), [0.2, 0.2, 0.8, 0.8])
    # 10 and 9.98 uM are one dose; nothing that is zero throughout is preferred.
    np.testing.assert_array_equal(series_weights(in_series([10.0, 9.98], [1.0, 3.0])), [1, 1])
    written = in_series([np.nan, np.nan], [1.0, 3.0])
    texts = written.table.assign(dose_text=["1 ng/mL", "9 ng/mL"])
    told_apart = dataclasses.replace(written, table=texts)
    np.testing.assert_allclose(series_weights(told_apart), [0.1, 0.9])
    np.testing.assert_array_equal(series_weights(written), [1, 1])
    np.testing.assert_allclose(series_weights(in_series([1.0, 10.0], [0.0, 0.0])), [0.5, 0.5])


def test_every_series_weighs_the_same():
    lines = ["A375"] * 3 + ["MCF7"]
    found = in_series([1.0, 3.0, 10.0, 10.0], [0.5, 1.0, 3.0, 1.0], lines=lines)
    weights = series_weights(found)
    assert weights[:3].sum() == pytest.approx(1)
    assert weights[3] == 1
    # So do times and compounds of their own.
    for other in ({"times": [6.0, 24.0]}, {"groups": ["A", "B"]}):
        np.testing.assert_array_equal(series_weights(in_series([1.0, 9.0], [1.0, 5.0], **other)), 1)


def test_with_one_dose_a_series_is_the_plain_mean():
    rng = np.random.default_rng(2)
    groups = [f"G{row}" for row in rng.integers(0, 6, 40)]
    lines = rng.choice(["A375", "MCF7", None], 40)
    for doses in (np.full(40, 10.0), np.full(40, np.nan)):
        found = in_series(doses, rng.random(40), lines=lines, groups=groups)
        np.testing.assert_array_equal(series_weights(found), np.ones(40))
    probs = rng.random((40, 2))
    ours, _, _ = pool_by_compound(probs, found.labels, groups, series_weights(found))
    np.testing.assert_array_equal(ours, pool_by_compound(probs, found.labels, groups)[0])


def test_structures_without_expression_weigh_nothing():
    found = in_series([np.nan, 10.0], [0.0, 2.0])
    object.__setattr__(found, "has_expression", np.array([False, True]))
    np.testing.assert_array_equal(series_weights(found), [0, 1])


def test_median_by_compound():
    values = np.array([1.0, np.nan, 4.0, 2.0, np.nan])
    found = median_by_compound(values, ["B", "A", "B", "B", "B"])
    np.testing.assert_array_equal(found, [np.nan, 2.0])
