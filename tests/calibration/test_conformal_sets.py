import numpy as np
import pytest
import scipy.special

from moa_jax.calibration.conformal_sets import calibrate_label_sets, set_quality
from moa_jax.schemas import InputError


def compounds(rng, count, *, num_moas=8):
    """Scores and one or two MoAs each."""
    shape = (count, num_moas)
    labels = np.eye(num_moas)[rng.integers(0, num_moas, count)]
    labels = np.maximum(labels, rng.random(shape) < 0.05)
    return scipy.special.softmax(rng.normal(size=shape) + 3.0 * labels, axis=1), labels


@pytest.mark.parametrize("error_rate", [0.1, 0.2, 0.05])
def test_coverage_is_within_two_points_of_nominal(error_rate):
    rng = np.random.default_rng(0)
    coverage = []
    for _ in range(40):
        sets = calibrate_label_sets(*compounds(rng, 200))
        probs, labels = compounds(rng, 100)
        coverage.append(set_quality(sets.predict(probs, error_rate), labels)["coverage"])
    assert np.mean(coverage) == pytest.approx(1 - error_rate, abs=0.02)


def test_p_values_by_hand():
    # Nonconformity of the calibration compounds: .1, .4 (the worse of its MoAs), .8.
    probs = np.array([[0.9, 0.0], [0.7, 0.6], [0.1, 0.2]])
    sets = calibrate_label_sets(probs, np.array([[1, 0], [1, 1], [0, 1]]))
    found = sets.p_values(np.array([[0.95, 0.5], [0.2, 0.0]]))
    np.testing.assert_allclose(found, [[4 / 4, 2 / 4], [2 / 4, 1 / 4]])
    np.testing.assert_array_equal(
        sets.predict(np.array([[0.95, 0.5], [0.2, 0.0]]), 0.5), [[True, False], [False, False]]
    )


def test_too_few_calibration_compounds_give_full_sets():
    rng = np.random.default_rng(2)
    sets = calibrate_label_sets(*compounds(rng, 8))
    probs, _ = compounds(rng, 20)
    assert sets.predict(probs, 0.1).all()
    assert not sets.predict(probs, 0.2).all()


def test_unlabelled_rows_change_nothing():
    rng = np.random.default_rng(4)
    probs, labels = compounds(rng, 30)
    new, truth = compounds(rng, 12)
    expected = calibrate_label_sets(probs, labels).p_values(new)
    more = np.concatenate([probs, np.full((2, 8), 0.5)])
    sets = calibrate_label_sets(more, np.concatenate([labels, np.zeros((2, 8))]))
    np.testing.assert_array_equal(sets.p_values(new), expected)
    chosen = expected > 0.3
    quality = set_quality(chosen, truth)
    more = np.concatenate([chosen, np.zeros((3, 8), bool)])
    more_truth = np.concatenate([truth, np.zeros((3, 8))])
    assert set_quality(more, more_truth) == quality


def test_quality_by_hand():
    sets = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
    labels = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]])
    # The last compound has no label and does not count.
    assert set_quality(sets, labels) == {
        "coverage": pytest.approx(1 / 3),
        "label_coverage": pytest.approx(2 / 4),
        "mean_size": pytest.approx(1.0),
        "median_size": 1.0,
        "single": pytest.approx(1 / 3),
        "empty": pytest.approx(1 / 3),
    }
    assert all(np.isnan(value) for value in set_quality(sets[:0], labels[:0]).values())


def test_what_cannot_be_done_is_refused():
    probs, labels = compounds(np.random.default_rng(5), 10)
    with pytest.raises(
        InputError, match="no labelled compound among 10 to calibrate label sets on"
    ):
        calibrate_label_sets(probs, np.zeros((10, 8)))
    sets = calibrate_label_sets(probs, labels)
    with pytest.raises(InputError, match=r"error rate is 1\.5"):
        sets.predict(probs, 1.5)


def test_p_values_count_ties_and_both_ends():
    """A score's p-value is the share of calibration scores at least as large, itself counted."""
    own = np.array([0.9, 0.5, 0.5, 0.2])
    labels = np.eye(2)[[0, 0, 0, 0]]
    sets = calibrate_label_sets(np.stack([own, 1 - own], axis=1), labels)
    asked = np.array([[1.0, 0.9], [0.7, 0.5], [0.3, 0.2], [0.1, 0.0]])
    scores = 1 - own
    expected = [[(np.sum(scores >= 1 - p) + 1) / 5 for p in row] for row in asked]
    np.testing.assert_array_equal(sets.p_values(asked), expected)
    assert sets.p_values(asked)[0, 0] == 1
    assert sets.p_values(asked)[-1, -1] == 0.2
