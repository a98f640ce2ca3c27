"""Probabilities of described mechanisms, and what a run keeps for them."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.calibration.described_mechanisms import (
    ScoreCalibration,
    fit_by_view,
    fit_score_calibration,
    read_unseen,
    write_unseen,
)
from moa_jax.schemas import InputError
from moa_jax.training.unseen_mechanisms import UnseenAnswers

# Of ten pairs with the score 0 one is right, of four with the score 2 three are.
SCORES = np.repeat([0.0, 2.0], [10, 4])
IS_RIGHT = np.array([1.0] + [0.0] * 9 + [1.0] * 3 + [0.0])


def test_probabilities_are_the_shares_that_were_right():
    found = fit_score_calibration(SCORES, IS_RIGHT, np.ones(14))
    np.testing.assert_allclose(found(np.array([0.0, 2.0])), [0.1, 0.75], atol=1e-4)


def test_a_pair_that_stands_for_several_counts_as_often():
    weight = np.where(IS_RIGHT > 0, 1.0, 3.0)
    found = fit_score_calibration(SCORES, IS_RIGHT, weight)
    np.testing.assert_allclose(found(np.array([0.0, 2.0])), [1 / 28, 3 / 6], atol=1e-4)


def test_the_order_of_scores_stays():
    found = fit_score_calibration(SCORES, 1 - IS_RIGHT, np.ones(14))
    assert found.slope == 0
    np.testing.assert_allclose(found(np.array([0.0, 5.0])), 10 / 14, atol=1e-4)


def test_without_right_or_wrong_pairs_there_is_no_calibration():
    assert fit_score_calibration(SCORES, np.zeros(14), np.ones(14)) is None
    assert fit_score_calibration(SCORES, np.ones(14), np.ones(14)) is None
    assert fit_score_calibration(np.zeros(0), np.zeros(0), np.zeros(0)) is None


def unseen():
    scores = pd.DataFrame(
        {
            "view": ["fusion"] * 14 + ["structure"] * 2,
            "protocol": ["plain"] * 14 + ["strict"] * 2,
            "mechanism": "some",
            "score": [*SCORES, 0.0, 1.0],
            "is_right": [*(IS_RIGHT > 0), False, False],
            "weight": 1.0,
        }
    )
    evidence = {"fusion": np.arange(6, dtype=np.float32).reshape(2, 3)}
    return UnseenAnswers(scores, evidence)


def test_each_view_and_protocol_is_calibrated_by_itself():
    fitted = fit_by_view(unseen().scores)
    assert list(fitted) == [("fusion", "plain")]
    assert isinstance(fitted["fusion", "plain"], ScoreCalibration)


def test_a_run_gives_back_what_it_keeps(tmp_path):
    write_unseen(tmp_path, unseen())
    found = read_unseen(tmp_path)
    pd.testing.assert_frame_equal(found.scores, unseen().scores, check_dtype=False)
    np.testing.assert_array_equal(found.evidence["fusion"], unseen().evidence["fusion"])


def test_a_run_without_it_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no scores of left-out mechanisms"):
        read_unseen(tmp_path)
