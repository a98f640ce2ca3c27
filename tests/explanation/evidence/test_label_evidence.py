"""Evidence of the nearest training compounds about a label."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.label_audit import DOUBTED, MISSING
from moa_jax.explanation.evidence.label_evidence import (
    NUM_NEAREST,
    nearest_labelled,
    similar_compounds,
    with_evidence,
)
from moa_jax.explanation.evidence.similar_compounds import KernelEvidence, ScaledCoefficients

pytestmark = pytest.mark.slow


def evidence_of(expert, groups, moas, similarity):
    similarity = np.array(similarity, float)
    references = pd.DataFrame({"group": groups, "compound": [f"drug {name}" for name in groups]})
    count = len(groups)
    return KernelEvidence(
        expert=expert,
        kernel=similarity,
        similarity=similarity,
        direct=ScaledCoefficients(np.ones(len(similarity)), np.zeros((count, 3))),
        through_proteins={},
        references=references.assign(moas=moas),
        blank=0.0,
    )


def test_a_compound_is_as_similar_as_its_most_similar_reference():
    own = evidence_of(
        "signature_kernel",
        ["A", "B", "A", "C"],
        [("x",), ("y",), ("z",), ()],
        # The last example is of another compound.
        [[0.1, 0.5, 0.2, 0.9], [0.3, 0.4, 0.1, 0.9], [1.0, 1.0, 1.0, 1.0]],
    )
    table = similar_compounds({own.expert: own}, np.array([0, 1]))
    assert table.to_dict("records") == [
        {"expert": own.expert, "group": "B", "compound": "drug B", "moas": ("y",)}
        | {"similarity": 0.5},
        {"expert": own.expert, "group": "A", "compound": "drug A", "moas": ("x", "z")}
        | {"similarity": 0.3},
    ]
    assert len(similar_compounds({}, np.array([0]))) == 0


def test_the_nearest_compounds_of_each_expert_without_those_of_similarity_zero():
    groups = [f"G{number}" for number in range(8)]
    moas = [("x",)] * 7 + [()]
    first = evidence_of("a", groups, moas, [[0.1, 0.7, 0.7, 0.2, 0.3, 0.4, 0.5, 0.9]])
    second = evidence_of("b", groups, moas, [[0.0, 0.0, 0.6, 0.0, -0.5, 0.0, 0.0, 0.0]])
    nearest = nearest_labelled(similar_compounds({"a": first, "b": second}, np.array([0])))
    assert nearest["group"].tolist() == ["G1", "G2", "G6", "G5", "G4", "G2"]
    assert nearest["expert"].tolist() == ["a"] * NUM_NEAREST + ["b"]


@pytest.mark.parametrize(
    ("carried", "agrees"),
    [
        # Of the four asked: who carries the label, and who the answer.
        ([("answer",), ("other",), ("other",), ("other",)], [True, False, False]),
        ([("answer",), ("label", "answer"), ("other",), ("other",)], [False, False, False]),
        ([("other",), ("other",), ("other",), ("other",)], [False, False, False]),
        ([("answer",), ("answer",), ("answer",), ("other",)], [True, False, True]),
        ([("answer",), ("answer",), ("other",), ("other",)], [True, False, False]),
        ([], [False, False, False]),
    ],
)
def test_the_nearest_side_with_the_model_or_do_not(carried, agrees):
    nearest = pd.DataFrame({"moas": pd.Series(carried, dtype=object)})
    table = pd.DataFrame(
        {
            "kind": [DOUBTED, DOUBTED, MISSING],
            "moa": ["label", "label", "answer"],
            # The second label is doubted in favour of what is not the answer.
            "instead": ["answer", "other", "answer"],
        }
    )
    found = with_evidence(table, nearest, "answer")
    assert found["evidence_agrees"].tolist() == agrees
    assert found["num_asked"].tolist() == [len(carried)] * 3
    counts = [sum(moa in moas for moas in carried) for moa in ("label", "label", "answer")]
    assert found["num_carrying"].tolist() == counts
    assert found["num_carrying_answer"].tolist() == [counts[2]] * 3
