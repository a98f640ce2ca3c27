"""Target propagation: labels shared among compounds with the same targets."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.kernels.target_propagation import (
    TargetPropagation,
    references_of,
    target_propagated_labels,
)
from tests.small_sets import examples

# A and B bind one protein in common; A has two signatures, D no target, E no label.
GROUPS = ["A", "A", "B", "C", "D", "E"]
TARGETS = [("HDAC1",), ("HDAC1",), ("HDAC1", "HDAC2"), ("MTOR",), (), ("HDAC2",)]
LABELS = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 0]])
TRAIN = examples(LABELS, GROUPS, targets=TARGETS)
# Cosine of {HDAC1} and {HDAC1, HDAC2}.
HALF = 0.5**0.5


def settings(**changes):
    return ml_collections.ConfigDict(
        {"share": 0.5, "doubt": 0.0, "prior": 1.0, "least": 0.1} | changes
    )


def doubt_of(train):
    """How much of each example's label is doubted, from how much of it is propagated."""
    propagation = TargetPropagation.of(train, share=0.0, doubt=1.0, prior=1.0)
    propagated = target_propagated_labels(train.targets, train, prior=1.0)
    away = train.labels - propagated
    moved = train.labels - propagation.labels[propagation.unit]
    return (moved * away).sum(axis=1) / np.maximum((away**2).sum(axis=1), 1e-12)


def test_labels_are_lent_by_target_and_once_per_compound():
    propagated = target_propagated_labels(tuple(TARGETS), TRAIN, prior=1.0)
    # B's two labels count half each.
    expected = [
        [1 + HALF / 2, HALF / 2],
        [1 + HALF / 2, HALF / 2],
        [HALF + 0.5, 0.5],
        [0, 1],
        [0, 0],
        [HALF / 2, HALF / 2],
    ]
    total = np.array([2 + HALF, 2 + HALF, 2 + HALF, 2, 1, 1 + HALF])
    np.testing.assert_allclose(propagated, np.array(expected) / total[:, None], rtol=1e-6)


def test_without_prior_votes_sum_to_one_where_there_are_any():
    propagated = target_propagated_labels((("HDAC1",), ("EGFR",)), TRAIN, prior=0.0)
    np.testing.assert_allclose(propagated.sum(axis=1), [1.0, 0.0], rtol=1e-6)


def test_a_label_is_partly_its_own():
    propagated = target_propagated_labels(tuple(TARGETS), TRAIN, prior=1.0)
    labels = references_of(settings(share=0.3), TRAIN, None).labels
    np.testing.assert_allclose(labels[:4], 0.7 * LABELS[:4] + 0.3 * propagated[:4], rtol=1e-6)
    # Nobody shares the targets of a compound without any.
    np.testing.assert_array_equal(labels[4], LABELS[4])


def test_a_label_that_others_with_the_targets_contradict_is_doubted():
    # Of EGFR's five, four carry the first MoA and one the second; the last one's label is its own
    # (nobody else binds MTOR), and one binds nothing.
    labels = np.array([[1, 0]] * 4 + [[0, 1]] * 3)
    targets = [("EGFR",)] * 5 + [("MTOR",), ()]
    train = examples(labels, list("ABCDEFG"), targets=targets)
    found = doubt_of(train)
    # Four others; three of them agree, or none does.
    np.testing.assert_allclose(found[:4], 4 / 5 * (1 / 4) ** 4, rtol=1e-4)
    np.testing.assert_allclose(found[4:], [4 / 5, 0, 0], rtol=1e-4, atol=1e-7)
    propagated = target_propagated_labels(tuple(targets), train, prior=1.0)
    learned = references_of(settings(share=0.5, doubt=1.0), train, None).labels
    share = 0.5 + 0.5 * 4 / 5
    np.testing.assert_allclose(
        learned[4], (1 - share) * labels[4] + share * propagated[4], rtol=1e-6
    )
    assert learned[4, 0] > learned[4, 1]


def signatures_of_run_one_compound_do_not_vouch_for_each_other():
    train = examples(np.array([[1, 0]] * 2), ["A", "A"], targets=[("EGFR",)] * 2)
    np.testing.assert_array_equal(doubt_of(train), [0, 0])


def test_a_compound_of_two_mechanisms_is_trusted_where_one_is_shared():
    train = examples(np.array([[1, 1], [1, 0]]), ["A", "B"], targets=[("EGFR",)] * 2)
    np.testing.assert_array_equal(doubt_of(train), [0, 0])


def test_nothing_is_shared_at_a_share_of_zero():
    # Of E nothing is known but what others lend it.
    learned = references_of(settings(share=0.0), TRAIN, None).labels
    np.testing.assert_array_equal(learned[:5], LABELS[:5])


@pytest.mark.parametrize(("least", "kept"), [(0.1, ["F", "G"]), (0.3, ["F"]), (0.9, [])])
def test_unlabelled_compounds_are_learned_from_where_labels_reach_them(least, kept):
    further = examples(
        np.zeros((4, 2)),
        ["A", "F", "G", "H"],
        targets=[("HDAC1",), ("MTOR",), ("HDAC2",), ("EGFR",)],
    )
    found = references_of(settings(least=least), TRAIN, further)
    assert found.examples.groups == (*GROUPS, *kept)
    propagated = target_propagated_labels(further.targets, TRAIN, prior=1.0)
    expected = propagated[[further.groups.index(group) for group in kept]]
    np.testing.assert_allclose(found.labels[len(GROUPS) :], expected, rtol=1e-6)


def test_nothing_is_lent_to_a_compound_whose_mechanism_is_another():
    """It has the targets of A, and is known to do something that the vocabulary lacks."""
    further = examples(np.zeros((2, 2)), ["F", "G"], targets=[("HDAC1",)] * 2)
    known = dataclasses.replace(further, other_moas=(("HDAC activator",), ()))
    assert references_of(settings(), TRAIN, further).examples.groups == (*GROUPS, "F", "G")
    assert references_of(settings(), TRAIN, known).examples.groups == (*GROUPS, "G")


def test_without_any_target_labels_stay_as_they_are():
    bare = examples(LABELS, GROUPS)
    unlabelled = examples(np.zeros((1, 2)), ["F"])
    found = references_of(settings(), bare, unlabelled)
    assert found.examples.groups == tuple(GROUPS)
    np.testing.assert_array_equal(found.labels, LABELS)
