import numpy as np
import pytest
import scipy.special

from moa_jax.evaluation.conformal import calibrate_label_sets, set_quality
from moa_jax.schemas import InputError


def compounds(rng, count, *, difficulty=None, num_moas=8):
    """Scores and one or two MoAs each; `difficulty` in (0, 1] hides the true ones."""
    shape = (count, num_moas)
    labels = np.eye(num_moas)[rng.integers(0, num_moas, count)]
    labels = np.maximum(labels, rng.random(shape) < 0.05)
    effect = 3.0 if difficulty is None else 3.0 * (1 - difficulty)[:, None]
    return scipy.special.softmax(rng.normal(size=shape) + effect * labels, axis=1), labels


@pytest.mark.parametrize("error_rate", [0.1, 0.2, 0.05])
def test_coverage_is_within_two_points_of_nominal(error_rate):
    rng = np.random.default_rng(0)
    coverage = []
    for _ in range(40):
        sets = calibrate_label_sets(*compounds(rng, 200))
        probs, labels = compounds(rng, 100)
        coverage.append(set_quality(sets.predict(probs, error_rate), labels)["coverage"])
    assert np.mean(coverage) == pytest.approx(1 - error_rate, abs=0.02)


def test_strata_are_covered_one_by_one():
    rng = np.random.default_rng(1)

    def draw(count):
        hard = rng.random(count) < 0.5
        difficulty = np.where(hard, 0.8, 0.1)
        names = np.where(hard, "hard", "easy").tolist()
        return *compounds(rng, count, difficulty=difficulty), names

    coverage = {(name, mondrian): [] for name in ("easy", "hard") for mondrian in (False, True)}
    for _ in range(40):
        probs, labels, strata = draw(400)
        new, truth, new_strata = draw(100)
        predicted = {
            False: calibrate_label_sets(probs, labels).predict(new, 0.2),
            True: calibrate_label_sets(probs, labels, strata).predict(new, 0.2, new_strata),
        }
        for (name, mondrian), values in coverage.items():
            inside = np.array(new_strata) == name
            values.append(set_quality(predicted[mondrian], truth, inside)["coverage"])
    means = {key: np.mean(values) for key, values in coverage.items()}
    assert means["easy", True] == pytest.approx(0.8, abs=0.02)
    assert means["hard", True] == pytest.approx(0.8, abs=0.02)
    assert means["hard", False] < 0.75
    assert means["easy", False] > 0.85


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


def test_an_unknown_stratum_rules_nothing_out():
    rng = np.random.default_rng(3)
    sets = calibrate_label_sets(*compounds(rng, 30), strata=["known"] * 30)
    probs, _ = compounds(rng, 2)
    np.testing.assert_array_equal(sets.p_values(probs, ["other", "known"])[0], 1.0)


def test_masked_and_unlabelled_rows_change_nothing():
    rng = np.random.default_rng(4)
    probs, labels = compounds(rng, 30)
    new, truth = compounds(rng, 12)
    expected = calibrate_label_sets(probs, labels).p_values(new)
    padded = np.concatenate([probs, np.full((5, 8), np.nan), np.full((2, 8), 0.5)])
    more_labels = np.concatenate([labels, np.ones((5, 8)), np.zeros((2, 8))])
    mask = np.r_[np.ones(30, bool), np.zeros(5, bool), np.ones(2, bool)]
    sets = calibrate_label_sets(padded, more_labels, example_mask=mask)
    np.testing.assert_array_equal(sets.p_values(new), expected)
    chosen = expected > 0.3
    quality = set_quality(chosen, truth)
    more = np.concatenate([chosen, np.zeros((3, 8), bool)])
    more_truth = np.concatenate([truth, np.ones((3, 8))])
    assert set_quality(more, more_truth, np.arange(15) < 12) == quality


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
    with pytest.raises(InputError, match="no labelled compound among 10 to calibrate on"):
        calibrate_label_sets(probs, np.zeros((10, 8)))
    sets = calibrate_label_sets(probs, labels)
    with pytest.raises(InputError, match="knows no strata, found one"):
        sets.p_values(probs, ["a"] * 10)
    with pytest.raises(InputError, match=r"error rate is 1\.5"):
        sets.predict(probs, 1.5)
    with pytest.raises(InputError, match="needs the stratum of each compound"):
        calibrate_label_sets(probs, labels, ["a"] * 10).p_values(probs)


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
