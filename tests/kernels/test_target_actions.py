"""What compounds do to their targets, as labels, and the mechanisms that this describes."""

import dataclasses

import numpy as np
import pytest

from moa_jax.kernels.target_actions import MechanismPrototypes, action_labels, known_targets
from moa_jax.schemas import ACTIVATES, INHIBITS
from tests.small_sets import examples

PROTEINS = ("ADRB1", "DRD2", "EGFR")


def compounds(labels, groups, targets, actions=()):
    made = examples(np.array(labels), groups, targets=targets)
    return dataclasses.replace(made, actions=tuple(map(tuple, actions)))


def test_labels_are_pairs_of_action_and_protein_of_unit_length():
    made = compounds(
        np.zeros((5, 1)),
        list("ABCDE"),
        [("EGFR",), ("ADRB1", "DRD2"), ("DRD2",), ("ADRB1", "CA2", "DRD2", "MTOR"), ()],
        [(INHIBITS,), (ACTIVATES, INHIBITS), ("",), ("", INHIBITS, ACTIVATES, ""), ()],
    )
    half = 0.5**0.5
    # The first three columns are those of inhibition.
    expected = [
        [0, 0, 1, 0, 0, 0],
        [0, half, 0, half, 0, 0],
        [0, 0.5, 0, 0, 0.5, 0],
        # Two of four targets are no proteins of the labels, but count in the length.
        [0.25, 0, 0, 0.25, 0.5, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    found = action_labels(made, PROTEINS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    lengths = np.linalg.norm(found.reshape(5, 2, 3).sum(axis=1), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 1, half, 0], rtol=1e-6)


def test_known_targets_are_in_the_order_of_the_symbols():
    made = compounds(np.zeros((2, 1)), ["A", "B"], [("EGFR", "CA2"), ("ADRB1", "EGFR")])
    assert known_targets(made, PROTEINS) == ("ADRB1", "EGFR")


# A has two signatures, of which the second names no target; D no target, E no label.
LABELS = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]]
GROUPS = ["A", "A", "B", "C", "D", "E"]
TARGETS = [("DRD2",), (), ("DRD2", "EGFR"), ("DRD2",), (), ("EGFR",)]
ACTS = [(INHIBITS,), (), (INHIBITS, ""), (ACTIVATES,), (), (INHIBITS,)]


def test_a_prototype_is_the_unit_sum_of_its_compounds():
    made = compounds(LABELS, GROUPS, TARGETS, ACTS)
    found = MechanismPrototypes.of(made, action_labels(made, PROTEINS)).matrix
    half = 0.5**0.5
    # A counts once, with its first example; nobody of known targets has the third mechanism.
    sums = np.array(
        [
            [0, 1 + half, half / 2, 0, 0, half / 2],
            [0, half, half / 2, 0, 1, half / 2],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    np.testing.assert_allclose(found, (sums / np.where(lengths, lengths, 1)).T, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_logits_without_a_compound_are_those_of_prototypes_made_without_it(seed):
    rng = np.random.default_rng(seed)
    groups = [f"G{number:02d}" for number in rng.integers(0, 14, 40)]
    # Some mechanisms have a single compound; examples of a compound need not have equal targets.
    labels = {group: rng.random(8) < 0.2 for group in sorted(set(groups))}
    targets = [tuple(rng.choice(PROTEINS, rng.integers(0, 4), replace=False)) for _ in groups]
    actions = [tuple(rng.choice([INHIBITS, ACTIVATES, ""], len(names))) for names in targets]
    made = compounds([labels[group] for group in groups], groups, targets, actions)
    known = action_labels(made, PROTEINS)
    evidence = rng.normal(size=(30, known.shape[1])).astype(np.float32)
    found = MechanismPrototypes.of(made, known).leave_one_out_logits(evidence)
    for row, group in enumerate(groups[:30]):
        rest = np.flatnonzero(np.array(groups) != group)
        without = MechanismPrototypes.of(made.take(rest), known[rest]).matrix
        np.testing.assert_allclose(found[row], evidence[row] @ without, rtol=1e-5, atol=1e-6)


def test_a_mechanism_of_one_compound_says_nothing_of_it():
    made = compounds(np.eye(3), list("ABC"), [(name,) for name in PROTEINS])
    known = action_labels(made, PROTEINS)
    found = MechanismPrototypes.of(made, known).leave_one_out_logits(np.ones_like(known))
    np.testing.assert_array_equal(np.diag(found), 0)
    np.testing.assert_allclose(found[~np.eye(3, dtype=bool)], 2**0.5, rtol=1e-6)
