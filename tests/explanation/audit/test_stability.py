import numpy as np
import pytest
from scipy import stats

from moa_jax.explanation.audit.stability import agreement_of_pairs, overlap_of_all_pairs
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
    with pytest.raises(InputError, match="largest 5 of 4 entries"):
        agreement_of_pairs(first, second, k=5)


def test_all_pairs_of_rows_are_compared(values):
    rows = values[0][:3]
    expected = agreement_of_pairs(rows[[0, 0, 1]], rows[[1, 2, 2]], k=10).jaccard
    np.testing.assert_allclose(overlap_of_all_pairs(rows, k=10), expected)
    assert len(overlap_of_all_pairs(rows[:1], k=10)) == 0
