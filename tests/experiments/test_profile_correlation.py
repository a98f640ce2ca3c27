"""Correlations per signature agree with scipy."""

import numpy as np
import pytest
from scipy import stats

from experiments.pretraining.profile_correlation import pearson_by_signature, spearman_by_signature


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(pearson_by_signature, stats.pearsonr), (spearman_by_signature, stats.spearmanr)],
)
def test_correlations_agree_with_scipy_and_see_only_unmasked_genes(ours, theirs):
    rng = np.random.default_rng(0)
    measured = rng.normal(size=(5, 30))
    # Rounding makes ties.
    predicted = np.round(measured + rng.normal(size=(5, 30)), 1)
    expected = [theirs(*rows).statistic for rows in zip(predicted, measured, strict=True)]
    np.testing.assert_allclose(ours(predicted, measured), expected, rtol=1e-12)
    mask = np.arange(30) < 20
    predicted[:, 20:] = np.nan
    expected = [
        theirs(*rows).statistic for rows in zip(predicted[:, :20], measured[:, :20], strict=True)
    ]
    np.testing.assert_allclose(ours(predicted, measured, mask), expected, rtol=1e-12)


def test_a_constant_prediction_has_no_correlation():
    measured = np.arange(6.0)[None]
    assert np.isnan(pearson_by_signature(np.ones((1, 6)), measured)).all()
    assert np.isnan(spearman_by_signature(np.ones((1, 6)), measured)).all()
