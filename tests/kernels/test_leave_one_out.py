"""Leave-one-compound-out answers in closed form against refitting without the compound."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES
from moa_jax.data.examples.features import fit_features
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.kernels.ridge import KernelSystem, structure_labels
from moa_jax.kernels.solved_system import LabelChange, SolvedSystem
from moa_jax.kernels.target_actions import MechanismPrototypes, action_labels, known_targets
from moa_jax.kernels.target_propagation import References, references_of
from moa_jax.schemas import ACTIVATES, INHIBITS, concatenate
from moa_jax.training.expert_scales import combined_probs, fit_expert_scales, learnable_logits
from tests.small_sets import ALCOHOLS
from tests.small_sets import examples as small_examples
from tests.synthetic import make_gene_table, make_graph, make_model, make_raw_examples, tiny_config

VIEWS = tuple(SUBSTRUCTURE_FAMILIES.values())
SHARING = ml_collections.ConfigDict({"share": 0.5, "doubt": 1.0, "prior": 1.0})
FROZEN = ml_collections.FrozenConfigDict(SHARING)
PROTEINS = ("EGFR", "HDAC1", "HDAC2", "MTOR")


def a_system(count, seed=0, ridge=0.3):
    features = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return KernelSystem(np.arange(count), {}, features @ features.T, ridge)


def refitted(system, labels, left):
    """Answers for the rows that are left out by a model that is solved without them."""
    kernel = system.kernel.astype(np.float64)
    kept = np.setdiff1d(np.arange(len(kernel)), left)
    targets = labels[kept] - labels[kept].mean(axis=0, dtype=np.float64)
    matrix = kernel[np.ix_(kept, kept)] + system.ridge * np.eye(len(kept))
    return kernel[np.ix_(left, kept)] @ np.linalg.solve(matrix, targets)


@pytest.mark.parametrize("left", [[0], [2, 5, 7], list(range(8))])
def test_rows_are_answered_as_by_a_model_without_them(left):
    labels = np.random.default_rng(1).random((9, 4)).astype(np.float32)
    solved = SolvedSystem(a_system(9), labels)
    found = solved.answers_without(np.array(left))
    np.testing.assert_allclose(found, refitted(solved.system, labels, left), atol=1e-9)
    # So their own labels do not matter.
    changed = labels.copy()
    changed[left] = 1 - changed[left]
    again = SolvedSystem(a_system(9), changed).answers_without(np.array(left))
    np.testing.assert_allclose(found, again, atol=1e-9)


def test_labels_of_others_may_change_with_the_rows_that_are_left_out():
    rng = np.random.default_rng(2)
    labels = rng.random((9, 4)).astype(np.float32)
    change = LabelChange(np.array([1, 4, 8]), np.array([0, 3]), rng.random((3, 2)))
    solved, left = SolvedSystem(a_system(9), labels), np.array([2, 5])
    now = labels.astype(np.float64)
    now[np.ix_(change.references, change.columns)] = change.values
    expected = refitted(solved.system, now, left)
    np.testing.assert_allclose(solved.answers_without(left, change), expected, atol=1e-9)


def test_nothing_is_said_of_all_rows_at_once():
    solved = SolvedSystem(a_system(3), np.eye(3, 2, dtype=np.float32))
    np.testing.assert_array_equal(solved.answers_without(np.arange(3)), 0)


def shared(seed=3):
    """40 training examples and 10 unlabelled ones.

    Compounds have one signature to several, some have two structures, structures of two compounds
    are the same, and many compounds have targets or mechanisms in common.
    """
    rng = np.random.default_rng(seed)
    raw = make_raw_examples(50)
    number = rng.integers(0, 14, 50)
    number[40:] += 14
    labels, targets, actions = {}, {}, {}
    for group in range(28):
        names = tuple(sorted(rng.choice(PROTEINS, rng.integers(0, 3), replace=False)))
        labels[group] = np.eye(3)[[rng.integers(3)]].sum(axis=0) * (group < 14)
        labels[group][rng.integers(3)] += group % 4 == 0 and group < 14
        targets[group] = names if group < 14 or names else ("MTOR",)
        actions[group] = tuple(rng.choice([INHIBITS, ACTIVATES, ""], len(targets[group])))
    others = tuple(
        (("another mechanism",),) if group % 3 == 0 and group >= 14 else ((),) for group in number
    )
    made = dataclasses.replace(
        raw,
        groups=tuple(f"G{group:02d}" for group in number),
        labels=np.minimum(np.stack([labels[group] for group in number]), 1).astype(np.float32),
        targets=tuple(targets[group] for group in number),
        actions=tuple(actions[group] for group in number),
        # Compounds 0 and 13 have the same structure, every fifth example has another one.
        smiles=tuple(
            None if row % 11 == 0 else ALCOHOLS[30 if row % 5 == 0 else group % 13]
            for row, group in enumerate(number)
        ),
        other_moas=tuple(names for (names,) in others),
        has_expression=np.arange(50) % 7 > 0,
    )
    return made.take(np.arange(40)), made.take(np.arange(40, 50))


def closed_form_of(train, unlabelled, features):
    references = references_of(SHARING, train, unlabelled)
    config = tiny_config(kernels={"signature": {"ridge": 0.2}, "structure": {"ridge": 0.2}})
    experts = ("signature_kernel", "structure_kernel", "signature_proteins", "structure_proteins")
    model = make_model(
        experts=experts, substructure_families=VIEWS, num_proteins=len(features.proteins)
    )
    return ClosedForm.of(config, model, features, make_graph(), references)


def labels_without(closed_form, group, of_example):
    """Labels of the references of each kernel expert, made from all compounds but one.

    Returns:
      Kernel expert -> the labels; zeros for the references of the compound.
    """
    examples = closed_form.references.examples
    rest = np.flatnonzero(np.array(examples.groups) != group)
    labels = np.zeros((examples.num_examples, of_example(References(examples, FROZEN)).shape[1]))
    labels[rest] = of_example(References(examples.take(rest), FROZEN))
    labels = labels.astype(np.float32)
    systems, encoded = closed_form.systems, closed_form.encoded
    return {
        "signature_kernel": labels[systems["signature_kernel"].rows],
        "structure_kernel": structure_labels(encoded, labels)[systems["structure_kernel"].rows],
    }


def references_with(closed_form, expert, rows):
    """References that stand for examples, and the reference of each."""
    encoded, system = closed_form.encoded, closed_form.systems[expert]
    key = encoded.structure if expert == "structure_kernel" else np.arange(len(encoded.structure))
    place = [system.rows.tolist().index(number) for number in key[rows].tolist()]
    return np.unique(place), place


def soft_moas(references):
    return references.labels


def soft_targets(references):
    propagation = references.targets(PROTEINS)
    return propagation.labels[propagation.unit]


@pytest.mark.parametrize("seed", range(4))
def test_answers_are_those_of_models_that_are_fitted_without_the_compound(seed):
    """Soft labels of others change, too, and those of mechanisms that only the compound has."""
    train, unlabelled = shared(seed)
    features = dataclasses.replace(fit_features(train, make_gene_table()), proteins=PROTEINS)
    assert known_targets(train, PROTEINS) == PROTEINS
    closed_form = closed_form_of(train, unlabelled, features)
    assert closed_form.references.examples.num_examples == 50
    found, num_checked = closed_form.leave_one_out(40), 0
    readers = {"signature_kernel": "signature_proteins", "structure_kernel": "structure_proteins"}
    for group in sorted(set(train.groups)):
        moas, proteins = (
            labels_without(closed_form, group, of_example)
            for of_example in (soft_moas, soft_targets)
        )
        rest = closed_form.references.examples.take(
            np.flatnonzero(np.array(closed_form.references.examples.groups) != group)
        )
        prototypes = MechanismPrototypes.of(rest, action_labels(rest, PROTEINS)).matrix
        for kernel, reader in readers.items():
            rows = np.flatnonzero((np.array(train.groups) == group) & found.is_reference[kernel])
            if not len(rows):
                continue
            left, place = references_with(closed_form, kernel, rows)
            answer = np.searchsorted(left, place)
            system = closed_form.systems[kernel]
            expected = refitted(system, moas[kernel], left)[answer]
            np.testing.assert_allclose(found.logits[kernel][rows], expected, atol=1e-5)
            evidence = refitted(system, proteins[kernel], left)[answer]
            np.testing.assert_allclose(found.proteins[kernel][rows], evidence, atol=1e-5)
            logits = evidence @ prototypes
            np.testing.assert_allclose(found.logits[reader][rows], logits, atol=1e-5)
            num_checked += len(rows)
    assert num_checked > 55


def test_experts_answer_for_the_examples_among_their_references():
    train, unlabelled = shared()
    features = dataclasses.replace(fit_features(train, make_gene_table()), proteins=PROTEINS)
    found = closed_form_of(train, unlabelled, features).leave_one_out(40)
    reads = {"signature": train.has_expression, "structure": train.has_structure}
    for modality, has in reads.items():
        for expert in (f"{modality}_kernel", f"{modality}_proteins"):
            assert found.is_reference[expert].tolist() == has.tolist()
            np.testing.assert_array_equal(found.logits[expert][~has], 0)
        np.testing.assert_array_equal(found.proteins[f"{modality}_kernel"][~has], 0)


def test_evidence_is_computed_for_the_experts_that_read_it():
    train, unlabelled = shared()
    features = dataclasses.replace(fit_features(train, make_gene_table()), proteins=PROTEINS)
    whole = closed_form_of(train, unlabelled, features)
    assert set(whole.params()) == {*whole.systems, "mechanism_prototypes"}
    one = dataclasses.replace(whole, through_proteins={"structure_proteins": "structure_kernel"})
    assert "action_coefficients" in one.params()["structure_kernel"]
    assert "action_coefficients" not in one.params()["signature_kernel"]
    assert set(one.leave_one_out(40).proteins) == {"structure_kernel"}
    none = dataclasses.replace(whole, through_proteins={})
    assert set(none.params()) == set(whole.systems)
    assert none.leave_one_out(40).proteins == {}
    for expert in whole.systems:
        np.testing.assert_array_equal(
            none.leave_one_out(40).logits[expert], whole.leave_one_out(40).logits[expert]
        )


def test_views_show_what_they_have_and_structures_count_once():
    train = small_examples(
        np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]]),
        ["A", "A", "B", "C", "D"],
        smiles=["CC", "CC", "CCC", None, "CCO"],
    )
    train = dataclasses.replace(train, has_expression=np.array([True, True, True, True, False]))
    logits = {
        "signature_kernel": np.arange(10, dtype=np.float32).reshape(5, 2),
        "structure_kernel": np.ones((5, 2), np.float32),
    }
    is_reference = {
        "signature_kernel": train.has_expression,
        "structure_kernel": train.has_structure,
    }
    out_of_fold = LeaveOneOutAnswers(train, logits, is_reference, {})
    assert out_of_fold.answered("fusion").tolist() == [True, True, True, False, False]
    assert out_of_fold.answered("expression").tolist() == [True, True, True, True, False]
    assert out_of_fold.answered("structure").tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(out_of_fold.expert_logits("expression")[1], 0)
    # A mechanism of A and D is learnable of either, and that of B and C.
    np.testing.assert_array_equal(out_of_fold.learnable(), train.labels)
    scales = {
        view: {"signature_kernel": 1.0, "structure_kernel": 0.0}
        for view in ("fusion", "expression", "structure")
    }
    probs = combined_probs("fusion", scales, out_of_fold.expert_logits("fusion"), train)
    np.testing.assert_allclose(probs[:, 1] / probs[:, 0], [np.e] * 4 + [1.0], rtol=1e-5)


def test_scales_are_fitted_to_what_can_be_known():
    """Of a mechanism that one compound has nothing can be known, and it moves no scale."""
    labels = np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)
    groups = [f"G{row}" for row in range(20)]
    train = small_examples(
        np.concatenate([labels, np.zeros((20, 1))], axis=1), groups, smiles=["CC"] * 20
    )
    logits = np.concatenate([labels, np.zeros((20, 1), np.float32)], axis=1)
    # One of five is wrong: the likelihood is greatest where the odds are 4.
    logits[::5] = logits[::5, [1, 0, 2]]
    logits[:, 2] = -50.0
    start = {view: {"structure_kernel": 1.0} for view in ("fusion", "expression", "structure")}

    def fitted(examples, logits_of):
        out_of_fold = LeaveOneOutAnswers(
            examples,
            {"structure_kernel": logits_of},
            {"structure_kernel": np.ones(examples.num_examples, bool)},
            {},
        )
        return fit_expert_scales(start, learnable_logits(out_of_fold), prior_strength=0.0)[
            "structure"
        ]

    assert fitted(train, logits)["structure_kernel"] == pytest.approx(np.log(4), rel=1e-3)
    lonely = small_examples(np.array([[0, 0, 1]]), ["H"], smiles=["CCC"])
    joined = concatenate(train, lonely)
    logits_of = np.concatenate([logits, [[5.0, 0.0, -50.0]]]).astype(np.float32)
    assert fitted(joined, logits_of)["structure_kernel"] == pytest.approx(np.log(4), rel=1e-3)
