import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.label_audit import (
    DOUBTED,
    MISSING,
    UNDECIDED,
    confident_joint,
    confident_thresholds,
    confident_values,
    estimated_errors,
    is_contradicted,
    suspicion,
    suspicious_labels,
)
from moa_jax.schemas import InputError

# Three compounds have the MoA, five have not.
ONE_PROBS = np.array([[0.9], [0.6], [0.0], [0.8], [0.55], [0.1], [0.2], [0.35]])
ONE_LABELS = np.array([[1], [1], [1], [0], [0], [0], [0], [0]])


def random_case(seed, *, num_compounds=60, num_moas=7):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(num_moas, 0.3), size=num_compounds)
    labels = (rng.random(probs.shape) < 0.05 + 0.7 * probs).astype(np.float64)
    return probs, labels


def joint_by_loops(probs, given):
    """Northcutt's confident joint for one label among several classes, as the paper writes it."""
    count, num_classes = probs.shape
    thresholds = [
        np.mean([probs[row, label] for row in range(count) if given[row] == label])
        for label in range(num_classes)
    ]
    joint = np.zeros((num_classes, num_classes), int)
    for row in range(count):
        confident = [
            label for label in range(num_classes) if probs[row, label] >= thresholds[label]
        ]
        if confident:
            joint[given[row], max(confident, key=lambda label: probs[row, label])] += 1
    return joint


def test_one_label_by_hand():
    # p of the carriers: .9, .6, .0; 1 - p of the others: .2, .45, .9, .8, .65.
    np.testing.assert_allclose(confident_thresholds(ONE_PROBS, ONE_LABELS), [[0.6, 0.5]])
    # The fifth reaches the threshold of `has it` alone, the last one that of `has not` alone.
    expected = [1, 1, 0, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(confident_values(ONE_PROBS, ONE_LABELS)[:, 0], expected)
    # Given 0: believed 0 three times, 1 twice; given 1: once and twice.
    np.testing.assert_array_equal(confident_joint(ONE_PROBS, ONE_LABELS), [[[3, 2], [1, 2]]])
    np.testing.assert_array_equal(
        is_contradicted(ONE_PROBS, ONE_LABELS)[:, 0], [0, 0, 1, 1, 1, 0, 0, 0]
    )
    # All labels are counted, so that scaling changes nothing.
    np.testing.assert_allclose(estimated_errors(ONE_PROBS, ONE_LABELS), [[2.0, 1.0]])


def column(*values):
    return np.array(values)[:, None]


def test_of_two_confident_values_the_more_probable_one_counts():
    # Thresholds of `has it` (.3 + .2) / 2 = .25, of `has not` .7; .3 reaches both.
    probs, labels = column(0.3, 0.2, 0.3), column(1, 1, 0)
    np.testing.assert_allclose(confident_thresholds(probs, labels), [[0.7, 0.25]])
    np.testing.assert_array_equal(confident_values(probs, labels)[:, 0], [0, 0, 0])
    # Thresholds (.6 + .2) / 2 = .4 and (.3 + .4) / 2 = .35; .6 reaches both.
    probs, labels = column(0.6, 0.2, 0.7, 0.6), column(1, 1, 0, 0)
    np.testing.assert_allclose(confident_thresholds(probs, labels), [[0.35, 0.4]])
    np.testing.assert_array_equal(confident_values(probs, labels)[:, 0], [1, 0, 1, 1])


def test_labels_without_a_confident_value_are_not_counted():
    # Thresholds .95 and .9: the compounds between them are not counted.
    probs, labels = column(1.0, 0.8, 0.0, 0.1), column(1, 1, 0, 0)
    np.testing.assert_array_equal(
        confident_values(probs, labels)[:, 0], [1, UNDECIDED, 0, UNDECIDED]
    )
    np.testing.assert_array_equal(confident_joint(probs, labels), [[[1, 0], [0, 1]]])
    # Two carriers are doubted and one is confirmed, of four: the fourth is shared out.
    probs, labels = column(1.0, 0.0, 0.0, 0.3, 0.05, 0.05), column(1, 1, 1, 1, 0, 0)
    np.testing.assert_array_equal(confident_joint(probs, labels), [[[2, 0], [2, 1]]])
    np.testing.assert_allclose(estimated_errors(probs, labels), [[0.0, 4 * 2 / 3]])


@pytest.mark.parametrize("seed", range(3))
def test_each_moa_is_northcutts_problem_of_two_classes(seed):
    probs, labels = random_case(seed)
    joint = confident_joint(probs, labels)
    for moa in range(probs.shape[1]):
        two = np.stack([1 - probs[:, moa], probs[:, moa]], axis=1)
        expected = joint_by_loops(two, labels[:, moa].astype(int))
        np.testing.assert_array_equal(joint[moa], expected)
    assert joint[:, 0, 1].sum() + joint[:, 1, 0].sum() == is_contradicted(probs, labels).sum()
    rate = joint[:, 1, 0] / np.maximum(joint[:, 1].sum(axis=1), 1)
    np.testing.assert_allclose(estimated_errors(probs, labels)[:, 1], rate * labels.sum(axis=0))


def test_equal_probabilities_reach_their_own_mean():
    probs, labels = np.full((7, 1), 0.1, np.float32), np.array([[1]] * 3 + [[0]] * 4)
    # Both values are confident, and .9 is the larger.
    assert (confident_values(probs, labels) == 0).all()
    np.testing.assert_array_equal(confident_joint(probs, labels), [[[4, 0], [3, 0]]])


def test_an_moa_that_nobody_or_everybody_has():
    probs, labels = np.array([[0.2, 0.9], [0.4, 0.5]]), np.array([[0, 1], [0, 1]])
    thresholds = confident_thresholds(probs, labels)
    np.testing.assert_allclose(thresholds, [[0.7, np.nan], [np.nan, 0.7]])
    np.testing.assert_array_equal(confident_values(probs, labels), [[0, 1], [-1, -1]])
    np.testing.assert_array_equal(estimated_errors(probs, labels), 0.0)
    assert not is_contradicted(probs, labels).any()


def test_scores_by_hand():
    probs = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    labels = np.array([[0, 1, 1], [1, 0, 0]])
    np.testing.assert_allclose(
        suspicion(probs, labels, "self_confidence"), [[0.5, 0.7, 0.8], [0.9, 0.6, 0.3]]
    )
    np.testing.assert_allclose(suspicion(probs, labels), [[0.2, 0.2, 0.3], [0.5, 0.5, 0.2]])


def test_the_margin_of_single_labels_is_the_papers():
    probs = random_case(3)[0]
    given = np.random.default_rng(3).integers(probs.shape[1], size=len(probs))
    labels = np.eye(probs.shape[1])[given]
    expected = [
        np.delete(row, label).max() - row[label] for row, label in zip(probs, given, strict=True)
    ]
    np.testing.assert_allclose(suspicion(probs, labels)[np.arange(len(probs)), given], expected)


def test_an_unknown_score_is_refused():
    with pytest.raises(InputError, match="no score 'entropy'; the scores are normalised_margin"):
        suspicion(ONE_PROBS, ONE_LABELS, "entropy")


def test_the_table_by_hand():
    probs = np.array([[0.1, 0.7, 0.0], [0.6, 0.1, 0.1], [0.2, 0.5, 0.1], [0.5, 0.0, 0.3]])
    labels = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1]])
    table = suspicious_labels(probs, labels, ["P", "Q", "R", "S"], ["a", "b", "c"])
    assert list(table.columns) == [
        "compound",
        "labels",
        "moa",
        "kind",
        "score",
        "confident",
        "prob",
        "instead",
        "instead_prob",
    ]
    # Thresholds of `has it`: .4, .5, .3; of `has not`: .8, 2.2 / 3, 2.8 / 3.
    found = table.head(2).to_dict("records")
    common = {"compound": "P", "labels": "a", "instead": "b", "instead_prob": 0.7}
    assert found[0] == {
        **common, "moa": "a", "kind": DOUBTED, "score": 0.7 - 0.1, "confident": True, "prob": 0.1
    }  # fmt: skip
    assert found[1] == {
        **common, "moa": "b", "kind": MISSING, "score": 0.7 - 0.1, "confident": True, "prob": 0.7
    }  # fmt: skip
    # All other labels are the most probable MoAs.
    assert len(table) == 2


def test_a_second_mechanism_is_missing_by_confidence_alone():
    # Nobody's second most probable MoA beats the first, yet .4 is what carriers of b have.
    probs = np.array([[0.6, 0.4], [0.7, 0.0], [0.1, 0.4], [0.3, 0.4]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    (row,) = suspicious_labels(
        probs, labels, list("PQRS"), list("ab"), score="self_confidence"
    ).to_dict("records")
    assert (row["compound"], row["moa"], row["kind"], row["confident"]) == ("P", "b", MISSING, True)
    assert (row["score"], row["instead"]) == (0.4, "b")


def test_a_compound_that_carries_all_moas_has_nothing_instead():
    probs = np.array([[0.0, 0.9], [0.9, 0.0], [0.8, 0.9], [0.0, 0.0]])
    labels = np.array([[1, 1], [1, 0], [1, 1], [0, 0]])
    table = suspicious_labels(probs, labels, list("PQRS"), list("ab"))
    first = table[(table["compound"] == "P") & (table["moa"] == "a")].iloc[0]
    assert first["instead"] is None
    assert np.isnan(first["instead_prob"])
    assert first["score"] == 0.0


@pytest.mark.parametrize("score", ["normalised_margin", "self_confidence"])
def test_the_table_agrees_with_the_matrices_and_moves_with_rows_and_columns(score):
    probs, labels = random_case(5)
    compounds = [f"C{row}" for row in range(len(probs))]
    moas = [f"M{moa}" for moa in range(probs.shape[1])]
    table = suspicious_labels(probs, labels, compounds, moas, score=score)
    assert table["score"].is_monotonic_decreasing
    scores, confident = suspicion(probs, labels, score), is_contradicted(probs, labels)
    assert len(table) == (confident | (suspicion(probs, labels) > 0)).sum()
    for row in table.itertuples():
        place = compounds.index(row.compound), moas.index(row.moa)
        assert row.kind == (DOUBTED if labels[place] else MISSING)
        assert (row.score, row.confident) == (scores[place], confident[place])
        assert row.prob == probs[place]
        assert labels[place[0], moas.index(row.instead)] == 0
        assert row.instead_prob == probs[place[0], moas.index(row.instead)]
    rows, columns = np.random.default_rng(1).permutation(60), [3, 1, 0, 2, 6, 5, 4]
    moved = suspicious_labels(
        probs[rows][:, columns],
        labels[rows][:, columns],
        [compounds[row] for row in rows],
        [moas[column] for column in columns],
        score=score,
    )
    key = ["compound", "moa"]
    left, right = (
        t.drop(columns="labels").sort_values(key, ignore_index=True) for t in (table, moved)
    )
    assert left.equals(right)


def test_the_labels_of_some_rows_are_those_of_all():
    rng = np.random.default_rng(11)
    probs, labels = rng.random((30, 5)), (rng.random((30, 5)) < 0.3).astype(float)
    names, moas = [f"c{row}" for row in range(30)], list("abcde")
    whole = suspicious_labels(probs, labels, names, moas)
    some = suspicious_labels(probs, labels, names, moas, of=np.arange(30) % 7 == 0)
    wanted = whole[whole["compound"].isin(names[::7])].reset_index(drop=True)
    assert len(wanted)
    pd.testing.assert_frame_equal(some, wanted)
