import numpy as np
import pytest
from scipy import stats

from moa_jax.explanation.stability import (
    agreement_of_pairs,
    agreement_of_runs,
    agreement_within,
)
from moa_jax.schemas import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).normal(size=(3, 4, 30))


def test_rank_correlations_are_scipys(values):
    found = agreement_of_pairs(values[0], values[1].round(0), k=5)
    expected = [
        stats.spearmanr(one, other).statistic
        for one, other in zip(values[0], values[1].round(0), strict=True)
    ]
    np.testing.assert_allclose(found.spearman, expected)


def test_shared_entries_by_hand():
    first = np.array([[4.0, 3.0, 2.0, -9.0]])
    second = np.array([[4.0, -3.0, 2.0, 1.0]])
    # {0, 1} and {0, 2}; by size {3, 0} and {0, 1}.
    assert agreement_of_pairs(first, second, k=2).jaccard == pytest.approx(1 / 3)
    assert agreement_of_pairs(first, second, k=2, by_size=True).jaccard == pytest.approx(1 / 3)
    assert agreement_of_pairs(first, first, k=2).jaccard == 1
    constant = agreement_of_pairs(first, np.ones((1, 4)), k=2)
    assert np.isnan(constant.spearman).all()


def test_runs_are_compared_in_all_pairs(values):
    found = agreement_of_runs(values, k=10)
    pairs = [agreement_of_pairs(values[a], values[b], k=10) for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(found.jaccard, np.mean([pair.jaccard for pair in pairs], axis=0))
    np.testing.assert_allclose(found.spearman, np.mean([pair.spearman for pair in pairs], axis=0))
    same = agreement_of_runs(np.stack([values[0]] * 3), k=10)
    np.testing.assert_allclose([same.jaccard, same.spearman], 1)
    with pytest.raises(InputError, match="first 31 of 30"):
        agreement_of_runs(values, k=31)
    with pytest.raises(InputError, match="1 runs"):
        agreement_of_runs(values[:1])


def test_groups_are_compared_within(values):
    found = agreement_within(values[0], ["b", "a", "b", "b"], k=10)
    assert list(found) == ["b"]
    expected = agreement_of_pairs(values[0, [0, 0, 2]], values[0, [2, 3, 3]], k=10)
    np.testing.assert_allclose(found["b"].jaccard, expected.jaccard)
