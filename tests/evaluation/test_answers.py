"""One answer per compound, from its good signatures, judged by what validation says."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.answer_trust import CANNOT_TELL, fit_trust
from moa_jax.evaluation.answers import answer_compounds
from moa_jax.evaluation.signature_gates import SignatureQuality
from tests.synthetic import NUM_MOAS, make_raw_examples

# Three compounds with two signatures each.
RAW = make_raw_examples(6)
MOAS = RAW.moas
WEAK = "weak: the activity score (TAS) is 0.10, at least 0.20 is needed"


@pytest.fixture(scope="module")
def trust():
    """Validation answers that are right where they are sure."""
    rng = np.random.default_rng(0)
    labels = np.eye(NUM_MOAS)[np.arange(60) % NUM_MOAS]
    sure = np.arange(60) < 40
    guess = np.eye(NUM_MOAS)[(np.arange(60) + 1) % NUM_MOAS]
    probs = np.where(sure[:, None], 0.9 * labels, 0.4 * guess) + 0.05
    return fit_trust(probs + rng.uniform(0, 0.01, probs.shape), labels)


def quality_of(reasons, notes=((),) * 6):
    return SignatureQuality(
        passes=np.array([not own for own in reasons]),
        reasons=tuple(reasons),
        notes=tuple(notes),
        measures=pd.DataFrame(index=range(6)),
    )


def sure_of(*moas):
    return np.eye(NUM_MOAS)[list(moas)] * 0.9 + 0.05


def answered(trust, probs, reasons=((),) * 6, notes=((),) * 6):
    trusts = {"fusion": trust, "expression": trust}
    return answer_compounds(RAW, probs, quality_of(reasons, notes), trusts)


def test_sure_answers_are_given_with_confidence_and_set(trust):
    answers = answered(trust, sure_of(0, 0, 1, 1, 2, 2))
    table = answers.table
    assert table["pert_id"].tolist() == ["GROUP000", "GROUP001", "GROUP002"]
    assert table["answer"].tolist() == list(MOAS)
    assert table["moa_1"].tolist() == list(MOAS)
    assert (table["confidence"] > trust.threshold).all()
    assert all(moa in own.split("|") for moa, own in zip(MOAS, table["label_set"], strict=True))
    assert table["n_signatures_used"].tolist() == [2, 2, 2]
    assert table["reasons"].tolist() == [""] * 3
    total = table[["probability_1", "probability_2", "probability_3"]].sum(axis=1)
    np.testing.assert_allclose(total, 1)


def test_low_confidence_is_no_answer(trust):
    flat = np.array([0.4, 0.05, 0.05]) + 0.05
    answers = answered(trust, np.vstack([np.tile(flat, (2, 1)), sure_of(1, 1, 2, 2)]))
    assert answers.table["answer"].tolist() == [CANNOT_TELL, *MOAS[1:]]
    assert answers.is_answered.tolist() == [False, True, True]
    assert answers.table["moa_1"][0] == MOAS[0]
    assert "below the" in answers.table["reasons"][0]


def test_poor_signatures_do_not_count(trust):
    reasons = [(WEAK,), (), (WEAK,), (WEAK, "replicates disagree: x"), (), ()]
    notes = [(), (), (), (), ("cell line HELA was not in training",), ()]
    answers = answered(trust, sure_of(2, 0, 1, 1, 2, 2), reasons, notes)
    table = answers.table
    # The weak signature spoke for another mechanism.
    assert table["answer"].tolist() == [MOAS[0], CANNOT_TELL, MOAS[2]]
    assert table["n_signatures_used"].tolist() == [1, 0, 2]
    assert table["reasons"].tolist() == [
        "",
        "weak (2 of 2 signatures); replicates disagree (1 of 2 signatures)",
        "",
    ]
    # What the poor ones say is shown all the same.
    assert table["moa_1"][1] == MOAS[1]
    assert table["notes"][2] == "cell line HELA was not in training (1 of 2 signatures)"
    assert answers.used.tolist() == [False, True, False, False, True, True]
    assert answers.most_confident(5) == sorted(
        answers.most_confident(5),
        key=lambda name: -table.set_index("pert_id")["confidence"][name],
    )
    assert "GROUP001" not in answers.most_confident(5)
    assert len(answers.most_confident(1)) == 1


def test_without_validation_nothing_is_answered():
    answers = answer_compounds(RAW, sure_of(0, 0, 1, 1, 2, 2), quality_of(((),) * 6), {})
    assert not answers.is_answered.any()
    assert answers.table["reasons"].str.startswith("the run keeps no answers").all()
    assert answers.table["confidence"].isna().all()
