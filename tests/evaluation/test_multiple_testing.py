import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.metrics import average_precision
from moa_jax.evaluation.multiple_testing import adjusted_p_values, per_moa_differences
from moa_jax.schemas import InputError


def test_benjamini_hochberg_by_hand():
    # Ranked .01 .02 .03 .5 times 4 / rank: .04 .04 .04 .5, each the least of what follows.
    found = adjusted_p_values(np.array([0.03, 0.5, 0.01, np.nan, 0.02]))
    np.testing.assert_allclose(found, [0.04, 0.5, 0.04, np.nan, 0.04])
    assert np.isnan(adjusted_p_values(np.full(3, np.nan))).all()


def test_the_moas_that_differ_are_found():
    rng = np.random.default_rng(0)
    moa = np.repeat(np.arange(4), 20)
    labels = np.pad(np.eye(4)[moa], ((0, 0), (0, 1)))
    noise = rng.random((2, 80, 5))
    first, second = noise[0], noise[1]
    first[:, :2] += labels[:, :2] * 0.8
    table = per_moa_differences(first, second, labels, list("abcde"), num_resamples=1000)
    assert table["moa"].tolist() == list("abcde")
    assert table["num_compounds"].tolist() == [20, 20, 20, 20, 0]
    np.testing.assert_allclose(table["first"], average_precision(first, labels))
    np.testing.assert_allclose(table["second"], average_precision(second, labels))
    np.testing.assert_allclose(table["difference"], table["first"] - table["second"])
    assert (table["q_value"] < 0.05).tolist() == [True, True, False, False, False]
    assert (table["low"] > 0).tolist() == [True, True, False, False, False]
    assert table.iloc[4, 2:].isna().all()
    np.testing.assert_allclose(
        table["q_value"][:4], adjusted_p_values(table["p_value"][:4].to_numpy())
    )


def test_seeds_are_averaged():
    rng = np.random.default_rng(1)
    labels = np.eye(3)[rng.integers(0, 3, 30)]
    seeds, other = rng.random((2, 30, 3)), rng.random((30, 3))
    expected = per_moa_differences(seeds, other, labels, list("abc"), num_resamples=50)
    mean = (average_precision(seeds[0], labels) + average_precision(seeds[1], labels)) / 2
    np.testing.assert_allclose(expected["first"], mean)
    np.testing.assert_allclose(expected["second"], average_precision(other, labels))
    np.testing.assert_allclose(expected["difference"], expected["first"] - expected["second"])


def test_other_numbers_of_seeds_are_paired():
    rng = np.random.default_rng(2)
    labels = np.eye(3)[rng.integers(0, 3, 30)]
    first, second = rng.random((30, 3)), rng.random((2, 30, 3))
    found = per_moa_differences(first, second, labels, list("abc"), num_resamples=200)
    repeated = per_moa_differences(
        np.stack([first, first]), second, labels, list("abc"), num_resamples=200
    )
    pd.testing.assert_frame_equal(found, repeated)


def test_no_compound_is_refused():
    nothing = np.ones((0, 2))
    with pytest.raises(InputError, match="at least one compound"):
        per_moa_differences(nothing, nothing, nothing, ["a", "b"])
