import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from experiments.label_audit.planted_errors import (
    planted_choice_quality,
    planted_ranking_quality,
)
from moa_jax.evaluation.label_audit import estimated_errors, is_contradicted, suspicion


def test_quality_of_a_ranking_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.95, 0.2]])
    planted = np.array([[True, False, True], [False, True, False]])
    audited = np.array([[True, True, True], [True, False, True]])
    # Ranked: right, wrong, wrong, wrong, right = hits 1, 0, 0, 0, 1.
    assert planted_ranking_quality(scores, planted, audited, 2) == {
        "num_audited": 5.0,
        "num_planted": 2.0,
        "chance": 0.4,
        "average_precision": pytest.approx((1 / 1 + 2 / 5) / 2),
        "precision": 0.5,
        "recall": 0.5,
    }
    assert planted_ranking_quality(scores, planted, audited, 99)["precision"] == 0.4
    nothing = planted_ranking_quality(scores, planted & False, audited, 2)
    assert nothing["precision"] == 0.0
    assert np.isnan([nothing["recall"], nothing["average_precision"]]).all()
    empty = planted_ranking_quality(scores, planted, audited & False, 2)
    assert np.isnan([empty["chance"], empty["precision"], empty["recall"]]).all()


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    scores, planted = rng.integers(5, size=(20, 4)) / 4, rng.random((20, 4)) < 0.2
    audited = rng.random((20, 4)) < 0.6
    found = planted_ranking_quality(scores, planted, audited, 10)["average_precision"]
    assert found == pytest.approx(average_precision_score(planted[audited], scores[audited]))


def test_quality_of_a_choice_by_hand():
    chosen = np.array([[True, True, False], [True, False, True]])
    planted = np.array([[True, False, True], [False, True, True]])
    audited = np.array([[True, True, True], [True, True, False]])
    assert planted_choice_quality(chosen, planted, audited) == {
        "num_chosen": 3.0,
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 3),
    }
    none = planted_choice_quality(chosen & False, planted, audited)
    assert none["num_chosen"] == none["recall"] == 0
    assert np.isnan(none["precision"])


@pytest.mark.parametrize("score", ["normalised_margin", "self_confidence"])
def test_ideal_probabilities_under_symmetric_noise_tell_every_error(score):
    # Of the 50 compounds of each of six MoAs two are taken for each of the other five.
    true = np.repeat(np.arange(6), 50)
    given = (true + np.tile(np.repeat(np.arange(6), [40, 2, 2, 2, 2, 2]), 6)) % 6
    probs = np.where(np.eye(6)[true] > 0, 0.8, 0.04)
    labels = np.eye(6)[given]
    planted = labels != np.eye(6)[true]
    np.testing.assert_array_equal(is_contradicted(probs, labels), planted)
    np.testing.assert_allclose(estimated_errors(probs, labels), 10.0)
    for audited in (labels > 0, labels == 0):
        quality = planted_ranking_quality(suspicion(probs, labels, score), planted, audited, 60)
        assert quality["num_planted"] == 60
        assert quality["average_precision"] == quality["precision"] == quality["recall"] == 1.0
