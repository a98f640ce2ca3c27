"""Labels shared among compounds with common annotations, by hand and without one of them."""

import numpy as np
import pytest

from moa_jax.kernels.label_propagation import LabelPropagation, doubt

# A and B have one annotation in common; A has two examples, D no annotation, E no label.
GROUPS = ["A", "A", "B", "C", "D", "E"]
NAMES = [("HDAC1",), ("HDAC1",), ("HDAC1", "HDAC2"), ("MTOR",), (), ("HDAC2",)]
LABELS = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 0]], np.float32)
# Cosine of {HDAC1} and {HDAC1, HDAC2}.
HALF = 0.5**0.5
# Mean of the labels of compounds with the same annotations; B's two labels count half each.
VOTES = np.array(
    [
        [1 + HALF / 2, HALF / 2],
        [1 + HALF / 2, HALF / 2],
        [HALF + 0.5, 0.5],
        [0, 1],
        [0, 0],
        [HALF / 2, HALF / 2],
    ]
)
COMPOUNDS = np.array([1 + HALF, 1 + HALF, 1 + HALF, 1, 0, HALF])


def propagation_of(labels=LABELS, names=NAMES, groups=GROUPS, **changes):
    settings = {"share": 0.5, "doubt": 0.0, "prior": 1.0} | changes
    return LabelPropagation.of(np.asarray(labels, np.float32), names, groups, **settings)


def labels_of(propagation):
    return propagation.labels[propagation.unit]


def test_examples_of_a_compound_with_the_same_annotations_and_labels_are_one_unit():
    propagation = propagation_of()
    assert propagation.unit.tolist() == [0, 0, 1, 2, 3, 4]
    assert propagation.groups == ("A", "B", "C", "D", "E")
    # D has no annotation and E no label, so theirs are not shared.
    assert propagation.sources.tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_label_is_partly_that_of_compounds_with_the_same_annotations(share):
    propagated = VOTES / (1 + COMPOUNDS)[:, None]
    found = labels_of(propagation_of(share=share))
    np.testing.assert_allclose(
        found[:4], (1 - share) * LABELS[:4] + share * propagated[:4], rtol=1e-6
    )
    # Nobody shares the annotations of D, and all that is known of E is what it shares.
    np.testing.assert_array_equal(found[4], LABELS[4])
    np.testing.assert_allclose(found[5], propagated[5], rtol=1e-6)


def test_without_prior_propagated_labels_sum_to_one():
    found = labels_of(propagation_of(share=1.0, prior=0.0))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found[5], [0.5, 0.5], rtol=1e-6)


def test_nothing_is_shared_at_a_share_of_zero_but_with_compounds_without_a_label():
    found = labels_of(propagation_of(share=0.0))
    np.testing.assert_array_equal(found[:5], LABELS[:5])
    np.testing.assert_allclose(found[5], VOTES[5] / (1 + COMPOUNDS[5]), rtol=1e-6)


def test_labels_that_are_no_whole_numbers_vote_by_their_share():
    """Two compounds with a sum of labels above 1 count once each, one below 1 by its sum."""
    labels = [[0.8, 0.8], [0.2, 0.0], [0.0, 0.0]]
    found = labels_of(propagation_of(labels, [("X",)] * 3, list("ABC"), share=1.0))
    np.testing.assert_allclose(found, [[0.7 / 3, 0.5 / 3]] * 3, rtol=1e-6)


def test_doubt_by_hand():
    others, agreeing = np.array([4.0, 4.0, 0.0, 1.0]), np.array([3.0, 0.0, 0.0, 1.0])
    expected = [4 / 5 * (1 / 4) ** 4, 4 / 5, 0, 0]
    np.testing.assert_allclose(doubt(agreeing, others), expected, rtol=1e-12)


def doubt_of(labels, names, groups):
    """How much each example's label is doubted, from how much of it is propagated."""
    labels = np.asarray(labels, np.float32)
    shared = labels_of(propagation_of(labels, names, groups, share=1.0))
    moved = labels - labels_of(propagation_of(labels, names, groups, share=0.0, doubt=1.0))
    away = labels - shared
    return (moved * away).sum(axis=1) / np.maximum((away**2).sum(axis=1), 1e-12)


def test_a_label_that_others_with_the_annotations_contradict_is_doubted():
    # Of EGFR's five, four have the first label and one the second; the last one's label is its own
    # (nobody else has MTOR), and one has no annotation.
    labels = np.array([[1, 0]] * 4 + [[0, 1]] * 3, np.float32)
    names = [("EGFR",)] * 5 + [("MTOR",), ()]
    groups = list("ABCDEFG")
    found = doubt_of(labels, names, groups)
    # Four others; three of them agree, or none does.
    np.testing.assert_allclose(found[:4], 4 / 5 * (1 / 4) ** 4, rtol=1e-4)
    np.testing.assert_allclose(found[4:], [4 / 5, 0, 0], rtol=1e-4, atol=1e-7)
    learned = labels_of(propagation_of(labels, names, groups, share=0.5, doubt=1.0))
    weight = 0.5 + 0.5 * 4 / 5
    expected = (1 - weight) * labels[4] + weight * np.array([4 / 6, 1 / 6])
    np.testing.assert_allclose(learned[4], expected, rtol=1e-6)
    assert learned[4, 0] > learned[4, 1]


def test_examples_of_one_compound_do_not_confirm_each_other():
    found = doubt_of([[1, 0], [0, 1], [0, 1]], [("EGFR",)] * 3, ["A", "A", "B"])
    # A's first label has one other compound against it, whatever A's second example says.
    np.testing.assert_allclose(found[0], 1 / 2, rtol=1e-4)


def test_a_compound_of_two_labels_is_trusted_where_one_is_shared():
    found = doubt_of([[1, 1], [1, 0]], [("EGFR",)] * 2, ["A", "B"])
    np.testing.assert_array_equal(found, [0, 0])


def drawn(seed, count=40):
    """Compounds with several examples, annotations in common, and labels of any sum."""
    rng = np.random.default_rng(seed)
    groups = [f"G{number:02d}" for number in rng.integers(0, 16, count)]
    names = ["EGFR", "MTOR", "HDAC1", "HDAC2"]
    of_group = {
        group: (
            tuple(sorted(rng.choice(names, rng.integers(0, 3), replace=False))),
            rng.choice([0.0, 0.3, 1.0], 5, p=[0.6, 0.2, 0.2]) * (rng.random() < 0.7),
        )
        for group in sorted(set(groups))
    }
    # One compound in three has two sets of annotations.
    annotations = [
        of_group[group][0][: 1 + (row % 3 > 0)] if group < "G05" else of_group[group][0]
        for row, group in enumerate(groups)
    ]
    labels = np.array([of_group[group][1] for group in groups], np.float32)
    return labels, annotations, groups


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("share", "doubt"), [(0.5, 1.0), (0.0, 0.5), (0.7, 0.0)])
@pytest.mark.parametrize("prior", [1.0, 0.0])
def test_labels_without_a_compound_are_those_shared_without_it(seed, share, doubt, prior):
    labels, annotations, groups = drawn(seed)
    settings = {"share": share, "doubt": doubt, "prior": prior}
    whole, num_changed = propagation_of(labels, annotations, groups, **settings), 0
    for group in sorted(set(groups)):
        rest = np.flatnonzero(np.array(groups) != group)
        kept = propagation_of(
            labels[rest],
            [annotations[row] for row in rest],
            [groups[row] for row in rest],
            **settings,
        )
        found = whole.labels.copy()
        units, columns, values = whole.without(group)
        found[np.ix_(units, columns)] = values
        num_changed += len(units)
        np.testing.assert_allclose(found[whole.unit][rest], labels_of(kept), atol=1e-6)
    assert num_changed > 20


def test_an_unknown_compound_changes_nothing():
    assert [len(part) for part in propagation_of().without("nobody")] == [0, 0, 0]
