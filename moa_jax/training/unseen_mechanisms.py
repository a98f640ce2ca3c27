"""Scores of left-out mechanisms, on which those of described mechanisms are calibrated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.kernels.unseen_mechanisms import (
    NUM_STANDARD,
    PROTOCOLS,
    Scores,
    UnseenFold,
    by_other_compounds,
    fold_of,
    means_by_unit,
    measured_mechanisms,
    standardised,
)
from moa_jax.models.experts import VIEWS, answers_in
from moa_jax.progress import say

# Mechanisms are left out in this many folds; more folds leave out fewer at a time.
NUM_FOLDS = 2
SCORE_COLUMNS = ("view", "protocol", "mechanism", "score", "is_right", "weight")


@dataclasses.dataclass(frozen=True)
class UnseenAnswers:
    """What described mechanisms are scored and calibrated by.

    Attributes:
      scores: one row for each view, protocol (`plain`, `strict`), left-out mechanism and measured
        compound: `SCORE_COLUMNS`. The score is standardised, and
        the weight of a compound without the mechanism is the number of such compounds that it
        stands for.
      evidence: view -> leave-one-compound-out evidence for proteins of some training compounds,
        scaled and summed over experts, by which the scores of new mechanisms are standardised.
    """

    scores: pd.DataFrame
    evidence: dict[str, Float32[np.ndarray, "compound action_protein"]]


def unseen_answers(
    closed_form: ClosedForm,
    answers: LeaveOneOutAnswers,
    scales: Float32[np.ndarray, "view expert"],
    kernel: Float32[np.ndarray, "gene gene"],
    genes: Sequence[str],
    *,
    ridge: float,
    seed: int,
) -> UnseenAnswers:
    """Leaves mechanisms out, in folds, and scores their compounds.

    Args:
      closed_form: the kernel experts, for all compounds.
      answers: their leave-one-compound-out answers for the training examples.
      scales: of the experts' evidence in each view (`protein_answers.protein_logits`).
      kernel: of all gene nodes.
      genes: their symbols.
      ridge: of the step over proteins.
      seed: of the folds, and of the compounds by which scores are standardised.
    """
    examples = closed_form.references.examples
    described = by_other_compounds(examples, measured_mechanisms(examples), genes)
    say(f"leaving out {len(described.names)} mechanisms to calibrate described ones")
    num_measured = len(
        {g for g, has in zip(examples.groups, examples.has_expression, strict=True) if has}
    )
    fold, parts = fold_of(len(described.names), NUM_FOLDS, seed), []
    for protocol in PROTOCOLS:
        for number in range(NUM_FOLDS if len(described.names) >= NUM_FOLDS else 0):
            held_out = described.take(np.flatnonzero(fold == number))
            of = UnseenFold.of(closed_form, held_out, genes, protocol=protocol, seed=seed)
            by_expert = of.scores(kernel, genes, ridge)
            for view, row in zip(VIEWS, scales, strict=True):
                scores = _in_view(view, by_expert, row)
                parts.append(_rows(of, scores, num_measured).assign(view=view, protocol=protocol))
    columns = list(SCORE_COLUMNS)
    table = pd.concat(parts or [pd.DataFrame(columns=columns)], ignore_index=True)
    return UnseenAnswers(table[columns], _sampled(answers, scales, seed))


def _in_view(view: str, by_expert: dict[str, Scores], scales: Float32[np.ndarray, " _"]) -> Scores:
    """The scaled sum of the experts that answer in a view."""
    columns = zip(by_expert.items(), scales, strict=True)
    return sum(scale * own for (expert, own), scale in columns if answers_in(expert, view))


def _rows(fold: UnseenFold, scores: Scores, num_measured: int) -> pd.DataFrame:
    """One row for each mechanism and compound of a fold."""
    count = len(fold.groups)
    num_others = len(scores) - count
    score = standardised(scores, scores[count:])
    label = np.concatenate([fold.labels, np.zeros((num_others, fold.labels.shape[1]), bool)])
    weight = np.ones(score.shape)
    # The sampled compounds stand for all measured ones that were not left out.
    weight[count:] = max(num_measured - count, num_others) / max(num_others, 1)
    return pd.DataFrame(
        {
            "mechanism": np.tile(fold.held_out.names, len(score)),
            "score": score.ravel(),
            "is_right": label.ravel(),
            "weight": weight.ravel(),
        }
    )


def _sampled(
    answers: LeaveOneOutAnswers, scales: Float32[np.ndarray, "view expert"], seed: int
) -> dict[str, Float32[np.ndarray, "compound action_protein"]]:
    """Evidence for at most `NUM_STANDARD` training compounds in each view, measured ones if any."""
    found, groups = {}, np.asarray(answers.examples.groups, str)
    for view, row in zip(VIEWS, scales, strict=True):
        rows = np.flatnonzero(answers.answered(view))
        measured = rows[answers.examples.has_expression[rows]]
        rows = measured if len(measured) else rows
        names = np.unique(groups[rows])
        if len(names) > NUM_STANDARD:
            names = np.random.default_rng(seed).choice(names, NUM_STANDARD, replace=False)
        rows = rows[np.isin(groups[rows], names)]
        distinct, unit = np.unique(groups[rows], return_inverse=True)
        evidence = {
            expert: means_by_unit(values[rows], unit, len(distinct))
            for expert, values in answers.proteins.items()
        }
        found[view] = np.asarray(_in_view(view, evidence, row), np.float32)
    return found
