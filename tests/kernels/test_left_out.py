"""Evidence without whole groups of compounds, against models that are solved without them."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from moa_jax.data.examples.features import encode, fit_features
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.left_out import evidence_without, left_out_weights
from moa_jax.kernels.ridge import KernelSystem, reference_places, structure_labels
from moa_jax.kernels.target_propagation import References
from tests.small_sets import ALCOHOLS
from tests.synthetic import make_gene_table, make_raw_examples

SHARING = ml_collections.FrozenConfigDict({"share": 0.5, "doubt": 0.0, "prior": 1.0})


def a_system(count, rows=None, seed=0, ridge=0.3):
    features = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    rows = np.arange(count) if rows is None else rows
    return KernelSystem(rows, {}, features @ features.T, ridge)


def refitted(system, labels, kept, asked):
    """Answers for the asked rows by a model that is solved with the kept ones alone."""
    kernel = system.kernel.astype(np.float64)
    inner = kernel[np.ix_(kept, kept)] + system.ridge * np.eye(len(kept))
    centred = labels[kept] - labels[kept].mean(axis=0)
    return kernel[np.ix_(asked, kept)] @ np.linalg.solve(inner, centred)


def test_weights_are_those_of_a_model_without_the_references():
    system, out = a_system(9), np.array([0, 1, 0, 0, 1, 1, 0, 0, 1], bool)
    asked = np.array([4, 1, 4])
    weights = left_out_weights(system, out, asked)
    kept = np.flatnonzero(~out)
    kernel = system.kernel.astype(np.float64)
    inner = kernel[np.ix_(kept, kept)] + system.ridge * np.eye(len(kept))
    expected = kernel[np.ix_(asked, kept)] @ np.linalg.inv(inner)
    np.testing.assert_allclose(weights[:, kept], expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(weights[:, out], 0)


def a_closed_form(count=24):
    """Both kernel experts, for compounds of two signatures with one or two targets."""
    raw = make_raw_examples(count)
    names = sorted(set(raw.groups))
    proteins = ["EGFR", "MTOR", "HDAC1"]
    targets = {name: (proteins[place % 3],) for place, name in enumerate(names)}
    targets[names[0]] = ("EGFR", "MTOR")
    # Nobody else acts on it.
    targets[names[1]] = ("HDAC6",)
    structures = {name: ALCOHOLS[place] for place, name in enumerate(names)}
    examples = dataclasses.replace(
        raw,
        targets=tuple(targets[group] for group in raw.groups),
        actions=tuple(("inhibits",) * len(targets[group]) for group in raw.groups),
        smiles=tuple(structures[group] for group in raw.groups),
    )
    features = dataclasses.replace(
        fit_features(examples, make_gene_table()), proteins=("EGFR", "HDAC1", "HDAC6", "MTOR")
    )
    return ClosedForm(
        references=References(examples, SHARING),
        features=features,
        encoded=encode(examples, features),
        through_proteins={},
        systems={
            "signature_kernel": a_system(count),
            "structure_kernel": a_system(count // 2, seed=1),
        },
    )


@pytest.mark.parametrize("expert", ["signature_kernel", "structure_kernel"])
def test_evidence_is_that_of_experts_solved_without_the_compounds(expert):
    closed_form = a_closed_form()
    examples = closed_form.references.examples
    names = sorted(set(examples.groups))
    left_out = np.isin(examples.groups, names[:4])
    asked = np.array([1, 6, 0])
    found = evidence_without(closed_form, left_out, asked)
    # No other compound has HDAC6, which the first four know.
    assert found.proteins == ("EGFR", "HDAC1", "MTOR")
    kept = np.flatnonzero(~left_out)
    rest = References(examples.take(kept), SHARING).targets(found.proteins)
    labels = np.zeros((examples.num_examples, 6), np.float32)
    labels[kept] = rest.labels[rest.unit]
    system = closed_form.systems[expert]
    place = reference_places(expert, system, closed_form.encoded)
    if expert == "structure_kernel":
        labels = structure_labels(closed_form.encoded, labels)[system.rows]
    expected = refitted(system, labels, np.unique(place[kept]), place[asked])
    np.testing.assert_allclose(found.of_expert[expert], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 0.01


def test_an_example_without_the_modality_has_no_evidence():
    closed_form = a_closed_form()
    systems = closed_form.systems
    # The first two signatures are no references of the expert.
    systems["signature_kernel"] = a_system(22, rows=np.arange(2, 24))
    left_out = np.isin(closed_form.references.examples.groups, ["GROUP000", "GROUP001"])
    found = evidence_without(closed_form, left_out, np.array([0, 2]))
    assert not found.of_expert["signature_kernel"][0].any()
    assert found.of_expert["signature_kernel"][1].any()
    assert found.of_expert["structure_kernel"].any(axis=1).all()
