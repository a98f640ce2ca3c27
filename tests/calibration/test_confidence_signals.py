import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from moa_jax.calibration.confidence_signals import (
    agreement,
    fit_confidence,
    margin,
    max_probability,
    negative_entropy,
)
from moa_jax.evaluation.risk_coverage import aurc
from moa_jax.schemas import InputError

PROBS = np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


def test_signals_of_one_row_by_hand():
    np.testing.assert_allclose(max_probability(PROBS), [0.7, 0.4, 0, 2])
    np.testing.assert_allclose(margin(PROBS), [0.5, 0, 0, 2])
    rows = [PROBS[0], PROBS[1], [1 / 3] * 3, [0, 1, 0]]
    np.testing.assert_allclose(
        negative_entropy(PROBS), [-scipy.stats.entropy(row) for row in rows], atol=1e-12
    )
    np.testing.assert_allclose(margin(PROBS[:, :1]), PROBS[:, 0])


def test_agreement_is_scipys_jensen_shannon():
    rng = np.random.default_rng(0)
    seeds = rng.random((3, 5, 4))
    distance = scipy.spatial.distance.jensenshannon
    expected = [
        -np.mean([distance(a, b) ** 2 for a, b in ((p, q), (p, r), (q, r))])
        for p, q, r in zip(*seeds, strict=True)
    ]
    np.testing.assert_allclose(agreement(seeds), expected)
    np.testing.assert_allclose(agreement(seeds[[2, 0, 1]]), expected)
    np.testing.assert_array_equal(agreement(seeds[[0, 0]]), 0)
    apart = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert agreement(apart)[0] == pytest.approx(-np.log(2))
    assert np.isnan(agreement(seeds[:1])).all()


def signals_and_answers(seed, count=400):
    """Answers are right where `good` is high; `noise` says nothing; `rare` is often missing."""
    rng = np.random.default_rng(seed)
    good, noise = rng.normal(size=(2, count))
    rare = np.where(rng.random(count) < 0.4, np.nan, good + rng.normal(size=count))
    correct = rng.random(count) < 1 / (1 + np.exp(-2 * good))
    return {"good": good, "noise": noise, "rare": rare, "never": np.full(count, np.nan)}, correct


def test_signals_are_combined_into_a_calibrated_confidence():
    fitted = fit_confidence(*signals_and_answers(0, 4000))
    assert fitted.signals == ("good", "noise", "rare")
    signals, correct = signals_and_answers(1, 4000)
    confidence = fitted(signals)
    assert confidence.mean() == pytest.approx(correct.mean(), abs=0.03)
    sure = confidence > 0.8
    assert correct[sure].mean() == pytest.approx(confidence[sure].mean(), abs=0.03)
    assert aurc(confidence, correct) < aurc(signals["noise"], correct) - 0.1
    assert aurc(confidence, correct) == pytest.approx(aurc(signals["good"], correct), abs=0.01)
    truth = 1 / (1 + np.exp(-2 * signals["good"]))
    assert np.abs(confidence - truth).mean() < 0.05


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_answers_all_right_or_all_wrong_teach_their_share(share):
    signals, _ = signals_and_answers(3, 20)
    found = fit_confidence(signals, np.full(20, bool(share)))(signals)
    np.testing.assert_array_equal(found, share)


def test_what_cannot_be_learnt_from_is_refused():
    signals, correct = signals_and_answers(4, 20)
    fitted = fit_confidence(signals, correct)
    with pytest.raises(InputError, match="needs the signal noise; found good"):
        fitted({"good": signals["good"]})
    with pytest.raises(
        InputError, match="none of the 20 validation compounds has a value of never"
    ):
        fit_confidence({"never": signals["never"]}, correct)
    with pytest.raises(
        InputError, match="none of the 20 validation compounds has a value of any signal"
    ):
        fit_confidence({}, correct)
    with pytest.raises(InputError, match="no validation compound"):
        fit_confidence({"good": np.zeros(0)}, np.zeros(0, bool))
