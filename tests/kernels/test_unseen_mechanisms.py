"""Known mechanisms that are left out, to measure answers for those that nobody has seen."""

import dataclasses

import numpy as np

from moa_jax.kernels.unseen_mechanisms import (
    STRICT,
    Prototypes,
    UnseenFold,
    by_other_compounds,
    fold_of,
    left_out_examples,
    means_by_unit,
    measured_mechanisms,
    standardised,
)
from tests.kernels.test_left_out import a_closed_form
from tests.small_sets import examples

# Three measured compounds of the first mechanism (A has two signatures) and two of the second;
# X and Y have structures alone.
GROUPS = ["A", "A", "B", "C", "D", "E", "X", "Y"]
LABELS = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 0], [1, 1]])
TARGETS = [("EGFR",)] * 4 + [("MTOR",), ("HDAC1",), ("EGFR", "HDAC1"), ("EGFR",)]
ACTIONS = [("inhibits",)] * 6 + [("inhibits", ""), ("activates",)]
GENES = ("EGFR", "HDAC1", "MTOR")
SMALL = dataclasses.replace(
    examples(LABELS, GROUPS, targets=TARGETS),
    actions=tuple(ACTIONS),
    has_expression=np.array([group < "X" for group in GROUPS]),
)
FIRST, SECOND = SMALL.moas


def test_mechanisms_are_tested_from_three_measured_compounds_on():
    assert measured_mechanisms(SMALL) == [FIRST]


def test_a_mechanism_is_described_by_its_compounds_without_a_signature():
    found = by_other_compounds(SMALL, [FIRST, SECOND, "nobody's"], GENES)
    assert found.names == (FIRST, SECOND)
    # X inhibits EGFR and does something to HDAC1, Y activates EGFR.
    half, quarter = 0.5**0.5, 0.5**0.5 / 2
    row = np.array([half, quarter, 0, 1, quarter, 0])
    np.testing.assert_allclose(found.pairs[0], row / np.linalg.norm(row), rtol=1e-6)
    np.testing.assert_allclose(found.pairs[1], [0, 0, 0, 1, 0, 0], rtol=1e-6)
    assert found.targets(GENES) == {"EGFR", "HDAC1"}
    assert found.take(np.array([1])).targets(GENES) == {"EGFR"}


def test_whole_compounds_are_left_out_and_ligands_where_targets_are_named():
    plain = left_out_examples(SMALL, [SECOND], frozenset())
    assert [g for g, out in zip(GROUPS, plain, strict=True) if out] == ["C", "D", "Y"]
    strict = left_out_examples(SMALL, [SECOND], frozenset({"HDAC1"}))
    assert [g for g, out in zip(GROUPS, strict, strict=True) if out] == ["C", "D", "E", "X", "Y"]


def test_folds_have_almost_equal_sizes_and_depend_on_the_seed():
    fold = fold_of(11, 3, seed=0)
    assert sorted(np.bincount(fold)) == [3, 4, 4]
    np.testing.assert_array_equal(fold, fold_of(11, 3, seed=0))
    assert (fold != fold_of(11, 3, seed=1)).any()


def test_scores_are_standardised_by_other_compounds():
    others = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(standardised(np.array([[4.0, 6.0]]), others), [[2.0, 1.0]])


def test_means_are_taken_over_the_rows_of_a_unit():
    values = np.array([[1.0], [3.0], [5.0]], np.float32)
    np.testing.assert_allclose(means_by_unit(values, np.array([1, 1, 0]), 2), [[5.0], [2.0]])


def test_a_score_is_the_carried_evidence_for_the_pairs():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 3))
    kernel = (features @ features.T).astype(np.float32)
    evidence = rng.normal(size=(2, 4)).astype(np.float32)
    held_out = Prototypes.of_sums(
        ["both", "one"], np.array([[0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0.0]])
    )
    fold = UnseenFold(held_out, ("EGFR", "MTOR"), {"some": evidence}, np.zeros((2, 2), bool), ())
    found = fold.scores(kernel, GENES, ridge=0.5)["some"]
    known = [0, 2]
    carry = np.linalg.solve(kernel[np.ix_(known, known)] + 0.5 * np.eye(2), kernel[known])
    by_action = evidence.reshape(2, 2, 2) @ carry
    expected = np.stack(
        [(by_action[:, 0, 1] + by_action[:, 1, 2]) / np.sqrt(2), by_action[:, 1, 0]], axis=1
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_fold_asks_about_the_compounds_of_its_mechanisms_without_ligands_of_their_targets():
    closed_form = a_closed_form()
    genes = ("EGFR", "HDAC1", "HDAC6", "MTOR")
    pairs = np.eye(8)[[2]]
    moa = closed_form.references.examples.moas[1]
    held_out = Prototypes((moa,), pairs)
    fold = UnseenFold.of(closed_form, held_out, genes, protocol=STRICT, seed=0)
    examples = closed_form.references.examples
    has_moa = examples.labels[:, 1] > 0
    assert fold.groups == tuple(
        sorted({g for g, has in zip(examples.groups, has_moa, strict=True) if has})
    )
    assert fold.labels.all()
    assert fold.labels.shape == (len(fold.groups), 1)
    # The only ligand of HDAC6 has the mechanism; half of the other compounds standardise.
    assert "HDAC6" not in fold.proteins
    num_left = len(set(examples.groups)) - len(fold.groups)
    assert len(fold.evidence["signature_kernel"]) == len(fold.groups) + num_left // 2
