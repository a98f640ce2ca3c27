"""Scales of the evidence for proteins: by them known targets are most likely."""

import dataclasses

import numpy as np
import pytest

from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.training.protein_scales import fit_protein_scales
from tests.small_sets import examples
from tests.synthetic import tiny_config

PROTEINS = tuple(f"P{number}" for number in range(6))
KERNELS = ("signature_kernel", "structure_kernel")


def drawn(count, planted, carry, *, seed=0):
    """Compounds whose target is drawn from the softmax of scaled and carried evidence."""
    rng = np.random.default_rng(seed)
    proteins = {name: rng.normal(size=(count, 12)).astype(np.float32) for name in KERNELS}
    logits = sum(
        scale * (proteins[name][:, :6] + proteins[name][:, 6:]) @ carry
        for name, scale in planted.items()
    )
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    made = examples(
        np.ones((count, 1)),
        [f"G{row:05d}" for row in range(count)],
        smiles=["CC"] * count,
        targets=[(PROTEINS[number],) for number in target],
    )
    answers = np.ones(count, bool)
    return LeaveOneOutAnswers(made, {}, dict.fromkeys(KERNELS, answers), proteins)


def config_with(prior, **changes):
    scales = {view: dict(prior) for view in ("fusion", "expression", "structure")}
    return tiny_config(protein_scales=scales, **changes)


def test_planted_scales_are_found():
    planted = {"signature_kernel": 0.7, "structure_kernel": 1.6}
    carry = np.random.default_rng(1).uniform(0, 1, size=(6, 6)).astype(np.float32)
    answers = drawn(2000, planted, carry)
    config = config_with(dict.fromkeys(KERNELS, 1.0), scale_prior=0.0)
    found = fit_protein_scales(config, answers, PROTEINS, carry)
    for expert, scale in planted.items():
        assert found["fusion"][expert] == pytest.approx(scale, rel=0.1)
    # In the other views one expert answers, and the other keeps its scale.
    assert found["expression"]["structure_kernel"] == 1.0
    assert found["structure"]["signature_kernel"] == 1.0


def test_without_known_targets_the_scales_are_those_of_the_configuration():
    prior = {"signature_kernel": 3.0, "structure_kernel": 5.0}
    answers = drawn(20, prior, np.eye(6, dtype=np.float32))
    nothing = dataclasses.replace(answers.examples, targets=((),) * 20, actions=())
    answers = dataclasses.replace(answers, examples=nothing)
    found = fit_protein_scales(config_with(prior), answers, PROTEINS, np.eye(6, dtype=np.float32))
    assert found == {view: prior for view in ("fusion", "expression", "structure")}


def test_targets_count_whatever_the_action_is():
    """Evidence that a target is inhibited and that it is activated are one evidence for it."""
    carry = np.eye(6, dtype=np.float32)
    answers = drawn(200, {"signature_kernel": 1.0, "structure_kernel": 1.0}, carry)
    swapped = {
        name: np.roll(values, 6, axis=1).astype(np.float32)
        for name, values in answers.proteins.items()
    }
    config = config_with(dict.fromkeys(KERNELS, 1.0))
    found, same = (
        fit_protein_scales(config, each, PROTEINS, carry)
        for each in (answers, dataclasses.replace(answers, proteins=swapped))
    )
    for view, scales in found.items():
        assert same[view] == pytest.approx(scales, rel=1e-6)
