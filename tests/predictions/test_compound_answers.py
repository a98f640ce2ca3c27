"""One answer per compound, from its good signatures, judged by what validation says."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.calibration.broader_classes import MIN_BROADER_PROBABILITY, fit_broader_classes
from moa_jax.calibration.calibrator import (
    CANNOT_TELL,
    NONE_OF_THESE,
    CalibratedAnswers,
    Calibrator,
    fit_calibrator,
)
from moa_jax.calibration.quality_gates import SignatureQuality
from moa_jax.knowledge.mechanism_hierarchy import MechanismClasses
from moa_jax.predictions.answer_basis import training_basis
from moa_jax.predictions.compound_answers import answer_compounds, label_set, named_set
from tests.synthetic import NUM_MOAS, make_raw_examples

# Three compounds with two signatures each.
RAW = make_raw_examples(6)
MOAS = RAW.moas
WEAK = "weak: the activity score (TAS) is 0.10, at least 0.20 is needed, so try a higher dose"
POOR = "replicates disagree: x, so measure more replicates"
NO_STRUCTURE = dataclasses.replace(RAW, smiles=(None,) * 6)


@pytest.fixture(scope="module")
def calibrator():
    """Validation answers that are right where they are sure."""
    rng = np.random.default_rng(0)
    labels = np.eye(NUM_MOAS)[np.arange(60) % NUM_MOAS]
    sure = np.arange(60) < 40
    guess = np.eye(NUM_MOAS)[(np.arange(60) + 1) % NUM_MOAS]
    probs = np.where(sure[:, None], 0.9 * labels, 0.4 * guess) + 0.05
    return fit_calibrator(probs + rng.uniform(0, 0.01, probs.shape), labels)


def quality_of(reasons, notes=((),) * 6):
    return SignatureQuality(
        passes=np.array([not own for own in reasons]),
        reasons=tuple(reasons),
        notes=tuple(notes),
        measures=pd.DataFrame(index=range(6)),
    )


def sure_of(*moas):
    return np.eye(NUM_MOAS)[list(moas)] * 0.9 + 0.05


def answered(calibrator, probs, reasons=((),) * 6, notes=((),) * 6, *, examples=RAW, **others):
    views = {"fusion": probs, "structure": sure_of(2, 2, 2, 2, 2, 2)}
    calibrators = {"fusion": calibrator, "expression": calibrator, "structure": calibrator}
    return answer_compounds(
        examples, views | others.pop("views", {}), quality_of(reasons, notes), calibrators, **others
    )


def test_sure_answers_are_given_with_confidence_and_set(calibrator):
    answers = answered(
        calibrator, sure_of(0, 0, 1, 1, 2, 2), num_compounds={"moa 0": 7, "moa 1": 1}
    )
    table = answers.table
    assert table["pert_id"].tolist() == ["GROUP000", "GROUP001", "GROUP002"]
    assert table["answer"].tolist() == list(MOAS)
    assert table["moa_1"].tolist() == list(MOAS)
    assert table["compounds_1"].tolist() == [7, 1, 0]
    assert table["basis"].tolist() == ["3 to 9 training compounds", "1 or 2 training compounds", ""]
    assert (table["confidence"] > calibrator.threshold).all()
    assert all(moa in own.split("|") for moa, own in zip(MOAS, table["label_set"], strict=True))
    assert table["n_signatures_used"].tolist() == [2, 2, 2]
    assert table["answered_from"].tolist() == ["expression+structure"] * 3
    assert table["reasons"].tolist() == [""] * 3
    total = table[["probability_1", "probability_2", "probability_3"]].sum(axis=1)
    np.testing.assert_allclose(total, 1)
    # The vocabulary has three mechanisms only, and nothing judges "none of these".
    assert table[["moa_4", "moa_5"]].isna().all(axis=None)
    np.testing.assert_array_equal(answers.basis.weights, 0.5)


def test_low_confidence_is_no_answer_and_no_set_of_one(calibrator):
    flat = np.array([0.4, 0.05, 0.05]) + 0.05
    probs = np.vstack([np.tile(flat, (2, 1)), sure_of(1, 1, 2, 2)])
    answers = answered(calibrator, probs)
    table = answers.table
    assert table["answer"].tolist() == [CANNOT_TELL, *MOAS[1:]]
    assert answers.is_answered.tolist() == [False, True, True]
    assert table["moa_1"][0] == MOAS[0]
    assert table["confidence"][0] < calibrator.threshold
    assert f"below the threshold of {calibrator.threshold:.2f} that gives" in table["reasons"][0]
    assert table["reasons"][0].endswith(", so measure more replicates, cell lines or doses")
    without = answered(calibrator, probs, examples=NO_STRUCTURE).table
    assert ", so provide the structure with --compoundinfo or measure more" in without["reasons"][0]


@pytest.mark.parametrize(("inside", "expected"), [([1], [0, 1]), ([], [0, 1]), ([1, 2], [1, 2])])
def test_a_set_without_an_answer_is_widened(inside, expected):
    in_set = np.isin(np.arange(3), inside)[None]
    calibrated = CalibratedAnswers(
        probs=np.array([[0.5, 0.3, 0.2]]),
        none_of_these=np.array([0.0]),
        confidence=np.array([0.4]),
        is_answered=np.array([False]),
        p_values=np.where(in_set, 0.5, 0.05),
        in_set=in_set,
        none_in_set=np.array([False]),
    )
    assert np.flatnonzero(label_set(calibrated)).tolist() == expected
    answer = dataclasses.replace(calibrated, is_answered=np.array([True]))
    assert np.flatnonzero(label_set(answer)).tolist() == inside


def test_poor_signatures_do_not_count(calibrator):
    reasons = [(WEAK,), (), (WEAK,), (WEAK, POOR), (), ()]
    notes = [(), (), (), (), ("cell line HELA was not in training",), ()]
    probs = sure_of(2, 0, 1, 1, 2, 2)
    answers = answered(calibrator, probs, reasons, notes, examples=NO_STRUCTURE)
    table = answers.table
    # The weak signature spoke for another mechanism.
    assert table["answer"].tolist() == [MOAS[0], CANNOT_TELL, MOAS[2]]
    assert table["n_signatures_used"].tolist() == [1, 0, 2]
    assert table["reasons"].tolist() == [
        "",
        "weak (2 of 2 signatures), so try a higher dose; replicates disagree (1 of 2 signatures), "
        "so measure more replicates; provide its structure with --compoundinfo for an answer from "
        "that",
        "",
    ]
    # Without an answer these are missing.
    shown = ["confidence", "moa_1", "probability_1", "label_set", "answered_from", "carried_by"]
    assert table.loc[1, shown].isna().all()
    assert np.isnan(answers.basis.pooled[1]).all()
    assert table["notes"][2] == "cell line HELA was not in training (1 of 2 signatures)"
    assert answers.basis.used.tolist() == [False, True, False, False, True, True]
    np.testing.assert_array_equal(answers.basis.weights, [0, 1, 0, 0, 0.5, 0.5])
    assert sorted(answers.to_explain(5)) == ["GROUP000", "GROUP002"]
    assert len(answers.to_explain(1)) == 1


def test_without_a_good_signature_the_structure_answers(calibrator):
    reasons = [(), (), (WEAK,), (WEAK, POOR), (), ()]
    answers = answered(calibrator, sure_of(0, 0, 1, 1, 2, 2), reasons)
    row = answers.table.iloc[1]
    assert row["answer"] == row["moa_1"] == MOAS[2]
    assert row["answered_from"] == "structure"
    assert row["confidence"] > calibrator.threshold
    assert row["reasons"] == ""
    assert row["notes"] == (
        "answered from the structure alone: weak (2 of 2 signatures), so try a higher dose and "
        "replicates disagree (1 of 2 signatures), so measure more replicates"
    )
    assert pd.isna(row["carried_by"]) or row["carried_by"] == ""
    assert "GROUP001" in answers.to_explain(5)


def test_an_unsure_structure_says_why_and_keeps_the_gates(calibrator):
    flat = np.tile(np.array([0.4, 0.05, 0.05]) + 0.05, (6, 1))
    reasons = [(), (), (WEAK,), (WEAK,), (), ()]
    answers = answered(calibrator, sure_of(0, 0, 1, 1, 2, 2), reasons, views={"structure": flat})
    row = answers.table.iloc[1]
    assert row["answer"] == CANNOT_TELL
    assert row["confidence"] < calibrator.threshold
    assert len(row["label_set"].split("|")) >= 2
    assert row["reasons"].endswith(", so measure it again")
    assert row["notes"].startswith("answered from the structure alone: weak (2 of 2 signatures)")


def test_a_structure_without_expression_is_answered_alone(calibrator):
    examples = dataclasses.replace(RAW, has_expression=np.array([True] * 4 + [False] * 2))
    row = answered(calibrator, sure_of(0, 0, 1, 1, 0, 0), examples=examples).table.iloc[2]
    assert row["answered_from"] == "structure"
    assert row["answer"] == MOAS[2]
    assert row["n_signatures"] == 0
    assert row["doses_um"] == row["cell_lines"] == ""
    assert row["notes"] == ""


def test_new_compounds_are_explained_first(calibrator):
    known = pd.DataFrame(
        {
            "known": ["yes", "no", "analogue"],
            "nearest_tanimoto": [1.0, 0.2, 0.6],
            "nearest_known": ["a: moa 0", "b: moa 1", "c: moa 2"],
        },
        index=["GROUP000", "GROUP001", "GROUP002"],
    )
    # The known one is the surest.
    probs = sure_of(0, 0, 1, 1, 2, 2)
    probs[2:4] -= [0.0, 0.1, 0.0]
    answers = answered(calibrator, probs, known=known)
    assert answers.is_answered.all()
    assert answers.table["known"].tolist() == ["yes", "no", "analogue"]
    assert answers.table["nearest_known"].tolist() == ["a: moa 0", "b: moa 1", "c: moa 2"]
    assert answers.to_explain(2) == ["GROUP002", "GROUP001"]
    assert answers.to_explain(9) == ["GROUP002", "GROUP001", "GROUP000"]
    # Without a structure "new" rests on a name.
    unseen = answered(calibrator, probs, known=known, examples=NO_STRUCTURE).table["notes"]
    assert unseen.tolist() == [
        "",
        "without a structure, a training compound under another name counts as new",
        "",
    ]


def test_doses_are_a_series(calibrator):
    table = RAW.table.assign(dose_um=[0.1, 10.0] * 3, cell_line="A375")
    expression = np.ones_like(RAW.expression)
    # Three times as strong: nine times the energy.
    expression[1::2] = 3.0
    series = dataclasses.replace(RAW, table=table, expression=expression)
    probs = sure_of(1, 0, 1, 1, 2, 2)
    answers = answered(calibrator, probs, examples=series)
    np.testing.assert_allclose(answers.basis.weights, [0.1, 0.9] * 3)
    np.testing.assert_allclose(answers.basis.pooled[0], 0.1 * probs[0] + 0.9 * probs[1])
    row = answers.table.iloc[0]
    assert row["moa_1"] == MOAS[0]
    assert row["doses_um"] == "0.1|10"
    assert (row["cell_lines"], row["times_h"]) == ("A375", "24")
    # 0.9 x 0.95 of 0.9 x 0.95 + 0.1 x 0.05.
    assert row["carried_by"] == "10 uM (0.99), 0.1 uM (0.01)"


@dataclasses.dataclass(frozen=True)
class OpenCalibrator(Calibrator):
    """A trust that finds the compound's mechanism to be another one."""

    share: float = 0.7

    def calibrate(self, probs):
        low = np.full(len(probs), 0.2)
        none = np.full(len(probs), self.share)
        nothing = low > 0.5
        return CalibratedAnswers(probs, none, low, nothing, probs, probs > 1, nothing)


@pytest.mark.parametrize(("share", "answer"), [(0.7, NONE_OF_THESE), (0.4, CANNOT_TELL)])
def test_none_of_these_has_a_probability_of_its_own(calibrator, share, answer):
    views = {"fusion": sure_of(0, 0, 1, 1, 2, 2)}
    calibrators = {"fusion": OpenCalibrator(**vars(calibrator), share=share)}
    answers = answer_compounds(RAW, views, quality_of(((),) * 6), calibrators)
    table = answers.table
    assert table["none_of_these"].tolist() == [share] * 3
    assert table["answer"].tolist() == [answer] * 3
    assert not answers.is_answered.any()
    assert f"with a probability of {share:.2f} the mechanism is not among" in (table["reasons"][0])


def test_a_large_set_names_the_most_probable_and_says_how_many_there_are():
    moas = [f"moa {row:02d}" for row in range(30)]
    probs = np.linspace(0.0, 1.0, 30)
    few = np.arange(30) < 3
    assert named_set(few, probs, moas) == "moa 00|moa 01|moa 02"
    named = named_set(np.ones(30, bool), probs, moas).split("|")
    assert named[:2] == ["moa 29", "moa 28"]
    assert named[-1] == "and 10 more"
    assert len(named) == 21


def test_without_validation_nothing_is_answered():
    views = {"fusion": sure_of(0, 0, 1, 1, 2, 2)}
    answers = answer_compounds(RAW, views, quality_of(((),) * 6), {})
    assert not answers.is_answered.any()
    assert answers.table["reasons"].str.startswith("the run has no out-of-fold answers").all()
    assert answers.table[["confidence", "label_set"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (1, "1 or 2"), (2, "1 or 2"), (3, "3 to 9"), (9, "3 to 9"), (10, "10 or more")],
)
def test_the_number_of_training_compounds_is_said_in_words(count, words):
    assert training_basis(count) == (f"{words} training compounds" if words else "")


def test_a_broader_mechanism_is_stated_where_the_first_is_not_sure(calibrator):
    classes = MechanismClasses(("first two",), np.array([[True, True, False]]))
    flat = np.tile([0.45, 0.4, 0.05], (2, 1))
    probs = np.vstack([flat, sure_of(1, 1), np.tile([0.1, 0.4, 0.5], (2, 1))])
    # Out of fold, the right mechanism is always one of the two.
    fitted = fit_broader_classes(flat, np.eye(NUM_MOAS)[[0, 1]], classes)
    table = answered(calibrator, probs, broader={"fusion": fitted}).table
    assert table["answer"][0] == CANNOT_TELL
    assert table["broader_mechanism"][0] == "first two"
    assert table["broader_probability"][0] == 1
    # The second is sure of its mechanism; the third one's first mechanism is in no class.
    assert table["probability_1"][1] > MIN_BROADER_PROBABILITY
    assert table[["broader_mechanism", "broader_probability"]][1:].isna().all(axis=None)
    without = answered(calibrator, probs).table
    assert without["broader_mechanism"].isna().all()
