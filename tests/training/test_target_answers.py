"""Scores of proteins as targets, and what they are without the protein's ligands."""

import dataclasses

import numpy as np
import pytest
from scipy import special

from moa_jax.kernels.known_targets import known_target_table
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.schemas import ACTIVATES, INHIBITS
from moa_jax.training import target_answers
from moa_jax.training.target_answers import (
    action_margins,
    pooled_target_answers,
    scores_without_ligands,
    target_scores,
)
from tests.small_sets import ALCOHOLS, examples

RIDGE = 0.7


@pytest.fixture
def kernel():
    points = np.random.default_rng(0).normal(size=(5, 3))
    return np.exp(-0.2 * ((points[:, None] - points[None]) ** 2).sum(axis=-1))


def carried(kernel, rows):
    system = kernel[np.ix_(rows, rows)] + RIDGE * np.eye(len(rows))
    return np.linalg.solve(system, kernel[rows])


def test_scores_are_shares_of_the_proteins_with_ligands():
    logits = np.log(np.array([[[1.0, 2.0, 9.0, 0.5], [1.0, 2.0, 1.0, 1.0]]], np.float32))
    # By gene, the products over actions are 1, 4, 9 and .5; the first two have ligands.
    scores = target_scores(logits, np.array([0, 1]))
    np.testing.assert_allclose(scores, [[0.2, 0.8, 1.0, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(
        action_margins(logits), [[0.0, 0.0, -np.log(9), np.log(2)]], rtol=1e-6
    )


def test_without_ligands_a_protein_is_predicted_from_the_others(kernel):
    evidence = np.random.default_rng(1).normal(size=(4, 5))
    everything = np.arange(5)
    total = evidence @ carried(kernel, everything)
    found = scores_without_ligands(evidence, carried(kernel, everything))
    for protein in range(5):
        others = np.delete(everything, protein)
        # Solved again without the protein.
        logit = evidence[:, others] @ carried(kernel, others)[:, protein]
        share = np.exp(logit - special.logsumexp(total[:, others], axis=1))
        np.testing.assert_allclose(found[:, protein], np.minimum(share, 1.0), rtol=1e-10)


def compounds():
    """Two signatures of A, one of B, and C without a known target."""
    raw = examples(
        [[1], [1], [0], [0]],
        ["A", "A", "B", "C"],
        smiles=list(ALCOHOLS[:1] * 2 + ALCOHOLS[1:3]),
        targets=[("P", "Q"), ("P",), ("Q", "ELSEWHERE"), ()],
    )
    actions = ((INHIBITS, ""), (INHIBITS,), (ACTIVATES, ""), ())
    return dataclasses.replace(raw, actions=actions)


def pooled(evidence, seed=0):
    known = compounds()
    answers = LeaveOneOutAnswers(
        known,
        {},
        {name: np.ones(4, bool) for name in evidence},
        {name: np.asarray(values, np.float32) for name, values in evidence.items()},
    )
    # The third gene has no ligands; a protein keeps half of its evidence.
    carry = np.array([[0.5, 0.0, 0.1], [0.0, 0.5, 0.2]])
    scales = np.array([[2.0, 4.0], [6.0, 1.0], [1.0, 8.0]])
    table = known_target_table(known)
    params = {"carry": carry, "scales": scales}
    return pooled_target_answers(answers, params, np.array([0, 1]), ("P", "Q"), table, seed=seed)


EVIDENCE = {
    "signature_kernel": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2], [5, 5, 5, 5]],
    "structure_kernel": [[0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0], [5, 5, 5, 5]],
}


def test_each_view_is_pooled_with_its_own_scales():
    by_view = pooled(EVIDENCE)
    fusion = by_view["fusion"]
    assert fusion.groups == ("A", "B")
    assert fusion.num_ligands.tolist() == [1, 2]
    assert fusion.num_known == 2
    assert fusion.is_target.tolist() == [[True, True], [False, True]]
    np.testing.assert_array_equal(fusion.activates, [[0, np.nan], [np.nan, 1]])
    # A: logits of P and Q are half of 2 + 4 and 0, then of 4 and 2; B: of 0 and 2 * 2 + 4.
    share = special.softmax(np.array([[3.0, 0.0], [2.0, 1.0], [0.0, 4.0]]), axis=1)
    np.testing.assert_allclose(fusion.scores[0], share[:2].mean(axis=0))
    np.testing.assert_allclose(fusion.scores[1], share[2])
    # Activates minus inhibits, the mean of the signatures.
    np.testing.assert_allclose(fusion.margins[0], [((4 - 2) + 4) / 4, -1 / 2])
    # Proteins without similar ones: nothing is known without their ligands, against the other.
    np.testing.assert_allclose(fusion.without_ligands[1], np.exp([min(0.0, -4.0), min(0.0, -0.0)]))
    expression = by_view["expression"]
    np.testing.assert_allclose(expression.scores[1], special.softmax([0.0, 6.0]))
    # In structure, each structure counts once.
    np.testing.assert_allclose(by_view["structure"].scores[0], special.softmax([4.0, 0.0]))


def test_some_compounds_are_enough(monkeypatch):
    monkeypatch.setattr(target_answers, "MAX_COMPOUNDS", 1)
    chosen = {pooled(EVIDENCE, seed=seed)["fusion"].groups for seed in range(8)}
    assert chosen == {("A",), ("B",)}
    assert pooled(EVIDENCE, seed=3)["fusion"].groups == pooled(EVIDENCE, seed=3)["fusion"].groups
