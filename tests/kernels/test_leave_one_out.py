"""Leave-one-compound-out answers in closed form against refitting without the compound."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers, leave_one_out, leave_one_out_logits
from moa_jax.kernels.ridge import KernelSystem, kernel_systems, structure_labels
from moa_jax.kernels.target_propagation import References, TargetPropagation, references_of
from moa_jax.schemas import concatenate
from moa_jax.training.expert_scales import combined_probs, fit_expert_scales, learnable_logits
from tests.small_sets import ALCOHOLS
from tests.small_sets import examples as small_examples
from tests.synthetic import make_gene_table, make_graph, make_model, make_raw_examples, tiny_config

VIEWS = tuple(SUBSTRUCTURE_FAMILIES.values())
SHARING = ml_collections.ConfigDict({"share": 0.5, "doubt": 1.0, "prior": 1.0, "least": 0.1})


def a_system(count, seed=0, ridge=0.3):
    features = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return KernelSystem(np.arange(count), {}, features @ features.T, ridge)


def refitted(kernel, ridge, labels, left):
    """Answers for the rows that are left out by a model that is solved without them."""
    kept = np.setdiff1d(np.arange(len(kernel)), left)
    targets = labels[kept] - labels[kept].mean(axis=0)
    system = kernel[np.ix_(kept, kept)] + ridge * np.eye(len(kept))
    return kernel[np.ix_(left, kept)] @ np.linalg.solve(system, targets)


def test_blocks_are_answered_as_by_a_model_without_them():
    system = a_system(9)
    labels = np.random.default_rng(1).random((9, 4)).astype(np.float32)
    groups = list("AABCCCDEF")
    found = leave_one_out_logits(system, labels, groups)
    for group in set(groups):
        left = np.flatnonzero(np.array(groups) == group)
        expected = refitted(system.kernel.astype(np.float64), system.ridge, labels, left)
        np.testing.assert_allclose(found[left], expected, rtol=1e-4, atol=1e-5)


def test_nothing_is_said_of_the_only_compound():
    np.testing.assert_array_equal(
        leave_one_out_logits(a_system(3), np.eye(3, 2, dtype=np.float32), ["A"] * 3), 0
    )


def test_an_answer_does_not_depend_on_the_compounds_own_labels():
    labels = np.random.default_rng(2).random((6, 3)).astype(np.float32)
    groups = list("AABCDE")
    changed = labels.copy()
    changed[:2] = 1 - changed[:2]
    found = leave_one_out_logits(a_system(6), labels, groups)[:2]
    np.testing.assert_allclose(
        found, leave_one_out_logits(a_system(6), changed, groups)[:2], rtol=1e-4, atol=1e-6
    )


def shared(count=40, seed=3):
    """Examples of which many have targets in common, several signatures a compound."""
    rng = np.random.default_rng(seed)
    raw = make_raw_examples(count)
    proteins = ["EGFR", "MTOR", "HDAC1", "HDAC2"]
    targets, smiles = {}, {}
    for place, group in enumerate(sorted(set(raw.groups))):
        drawn = rng.choice(proteins, rng.integers(0, 3), replace=False)
        targets[group], smiles[group] = tuple(sorted(drawn)), ALCOHOLS[place]
    return dataclasses.replace(
        raw,
        targets=tuple(targets[group] for group in raw.groups),
        actions=(),
        smiles=tuple(smiles[group] for group in raw.groups),
    )


def test_labels_without_a_compound_are_those_shared_without_it():
    train = shared()
    propagation = TargetPropagation.of(train, share=0.5, doubt=1.0, prior=1.0)
    num_changed = 0
    for group in sorted(set(train.groups)):
        rest = np.flatnonzero(np.array(train.groups) != group)
        expected = references_of(SHARING, train.take(rest), None).labels
        labels = propagation.labels.copy()
        units, moas, now = propagation.without(group)
        labels[np.ix_(units, moas)] = now
        num_changed += len(units)
        np.testing.assert_allclose(labels[propagation.unit][rest], expected, rtol=1e-4, atol=1e-6)
    assert num_changed > 20


@pytest.mark.parametrize("expert", ["signature_kernel", "structure_kernel"])
def test_kernel_experts_are_answered_as_by_refitting_with_other_shared_labels(expert):
    train = shared()
    features = fit_features(train, make_gene_table())
    references = references_of(SHARING, train, None)
    encoded = references.encode(features)
    config = tiny_config(kernels={"signature": {"ridge": 0.2}, "structure": {"ridge": 0.2}})
    model = make_model(experts=(expert,), substructure_families=VIEWS)
    systems = kernel_systems(config, model, encoded, features, make_graph())
    out_of_fold, system = (
        leave_one_out(systems, references, encoded, train.num_examples),
        systems[expert],
    )
    kernel = system.kernel.astype(np.float64)
    for group in sorted(set(train.groups)):
        outside = np.array(train.groups) != group
        rest = np.flatnonzero(outside)
        labels = references.labels.copy()
        labels[rest] = references_of(SHARING, train.take(rest), None).labels
        if expert == "signature_kernel":
            of_reference = labels[system.rows]
            left = np.flatnonzero(~outside[system.rows])
            asked = system.rows[left]
        else:
            of_reference = structure_labels(encoded, labels)[system.rows]
            own = set(encoded.structure[~outside].tolist())
            left = np.array([place for place, row in enumerate(system.rows) if row in own])
            first = {row: place for place, row in enumerate(encoded.structure.tolist())}
            asked = [first[system.rows[place]] for place in left]
        expected = refitted(kernel, system.ridge, of_reference, left)
        np.testing.assert_allclose(
            out_of_fold.logits[expert][asked], expected, rtol=1e-3, atol=1e-4
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
    out_of_fold = LeaveOneOutAnswers(train, logits, is_reference)
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
        )
        return fit_expert_scales(start, learnable_logits(out_of_fold), prior_strength=0.0)[
            "structure"
        ]

    assert fitted(train, logits)["structure_kernel"] == pytest.approx(np.log(4), rel=1e-3)
    lonely = small_examples(np.array([[0, 0, 1]]), ["H"], smiles=["CCC"])
    joined = concatenate(train, lonely)
    logits_of = np.concatenate([logits, [[5.0, 0.0, -50.0]]]).astype(np.float32)
    assert fitted(joined, logits_of)["structure_kernel"] == pytest.approx(np.log(4), rel=1e-3)


def test_references_of_a_network_of_labels_keep_their_examples():
    train = shared()
    references = References(train, TargetPropagation.of(train, share=0.0, doubt=0.0, prior=1.0))
    np.testing.assert_array_equal(references.labels, train.labels)
    encoded = encode(train, fit_features(train, make_gene_table()))
    np.testing.assert_array_equal(encoded.labels, train.labels)
