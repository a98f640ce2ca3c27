"""References of the kernel experts: who they are, and what their soft labels are made from."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.data.examples.features import fit_features
from moa_jax.kernels.target_propagation import known_mechanisms, references_of
from moa_jax.schemas import ACTIONS, INHIBITS
from tests.small_sets import examples, gene_table

# A and B bind one protein in common; A has two signatures, D no target.
GROUPS = ["A", "A", "B", "C", "D"]
TARGETS = [("HDAC1",), ("HDAC1",), ("HDAC1", "HDAC2"), ("MTOR",), ()]
LABELS = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]])
TRAIN = examples(LABELS, GROUPS, targets=TARGETS, moas=("HDAC inhibitor", "MTOR inhibitor"))
# Cosine of {HDAC1} and {HDAC1, HDAC2}.
HALF = 0.5**0.5
# Without a label: A is a training compound, E has no known target.
FURTHER = examples(
    np.zeros((4, 2)),
    ["A", "E", "F", "G"],
    targets=[("HDAC1",), (), ("HDAC2",), ("EGFR",)],
    moas=TRAIN.moas,
)


def settings(**changes):
    return ml_collections.ConfigDict({"share": 0.5, "doubt": 0.0, "prior": 1.0} | changes)


def test_all_unlabelled_compounds_with_known_targets_are_references():
    found = references_of(settings(), TRAIN, FURTHER)
    assert found.examples.groups == (*GROUPS, "F", "G")
    # F has the targets of B in part; nobody has those of G.
    expected = [[HALF / 2 / (1 + HALF)] * 2, [0, 0]]
    np.testing.assert_allclose(found.labels[len(GROUPS) :], expected, rtol=1e-6)


@pytest.mark.parametrize("unlabelled", [None, examples(np.zeros((1, 2)), ["E"])])
def test_without_further_compounds_of_known_targets_the_training_examples_are_all(unlabelled):
    assert references_of(settings(), TRAIN, unlabelled).examples is TRAIN


def test_without_any_target_labels_stay_as_they_are():
    bare = examples(LABELS, GROUPS)
    np.testing.assert_array_equal(references_of(settings(), bare, None).labels, LABELS)


def test_mechanisms_are_shared_by_targets():
    found = references_of(settings(share=0.3), TRAIN, None).labels
    propagated = np.array([1 + HALF / 2, HALF / 2]) / (2 + HALF)
    np.testing.assert_allclose(found[0], 0.7 * LABELS[0] + 0.3 * propagated, rtol=1e-6)


def test_a_compound_whose_mechanisms_are_outside_the_vocabulary_gets_none_of_it():
    """It has the targets of A, and is known to do something that the vocabulary lacks."""
    further = dataclasses.replace(FURTHER.take(np.array([2, 2])), groups=("F", "G"))
    known = dataclasses.replace(further, other_moas=(("HDAC activator",), ()))
    found = references_of(settings(), TRAIN, known)
    assert found.examples.groups == (*GROUPS, "F", "G")
    labels = found.labels[len(GROUPS) :]
    np.testing.assert_array_equal(labels[0], [0, 0])
    assert labels[1].min() > 0
    # Its targets are labels of its own all the same.
    targets = found.targets(("HDAC1", "HDAC2"))
    np.testing.assert_array_equal(targets.own[targets.unit[len(GROUPS)]], [0, 0.5, 0, 0.5])


def test_targets_are_shared_by_mechanisms_inside_and_outside_the_vocabulary():
    further = dataclasses.replace(
        FURTHER.take(np.array([1, 2, 3])),
        groups=("F", "G", "H"),
        other_moas=(("EGFR inhibitor",), (), ("EGFR inhibitor",)),
        actions=((), ("",), (INHIBITS,)),
    )
    found = references_of(settings(), TRAIN, further)
    # F has no targets: it is no reference. D has none either, but its mechanism is that of B and C.
    assert found.examples.groups == (*GROUPS, "G", "H")
    assert known_mechanisms(found.examples) == [
        ("HDAC inhibitor",),
        ("HDAC inhibitor",),
        ("HDAC inhibitor", "MTOR inhibitor"),
        ("MTOR inhibitor",),
        ("MTOR inhibitor",),
        (),
        ("EGFR inhibitor",),
    ]
    proteins = ("EGFR", "HDAC1", "HDAC2", "MTOR")
    propagation = found.targets(proteins)
    labels = propagation.labels[propagation.unit].reshape(-1, len(ACTIONS), len(proteins))
    # D: B's two targets, of which each counts half, by a cosine; C's one; and a vote for none.
    np.testing.assert_allclose(
        labels[4].sum(axis=0), np.array([0, HALF / 2, HALF / 2, 1]) / (2 + HALF), rtol=1e-6
    )
    # G's own, as nobody shares a mechanism with it; half of H's is for none.
    np.testing.assert_allclose(labels[5].sum(axis=0), [0, 0, 1, 0], rtol=1e-6)
    inhibits = ACTIONS.index(INHIBITS)
    np.testing.assert_allclose(labels[6, inhibits], [0.5 + 0.5 / 2, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(labels[6, 1 - inhibits], 0)


def test_references_are_encoded_with_their_soft_labels():
    found = references_of(settings(), TRAIN, FURTHER)
    encoded = found.encode(fit_features(TRAIN, gene_table(4)))
    np.testing.assert_array_equal(encoded.labels, found.labels)
    assert encoded.has_expression.tolist() == found.examples.has_expression.tolist()
