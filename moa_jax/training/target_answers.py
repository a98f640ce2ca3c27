"""Leave-one-compound-out scores of proteins as targets, on which probabilities are calibrated.

The score of a protein is its share of the softmax over the proteins that have ligands (known
compounds that act on them) among the training data. A protein without ligands has a score of the
same unit: what is carried to it, over the same sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import special

from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.kernels.known_targets import count_ligands
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.models.experts import VIEWS, answers_in
from moa_jax.schemas import ACTIONS, ACTIVATES, INHIBITS, Examples

# Rows of `ACTIONS` in logits.
_INHIBITS, _ACTIVATES = ACTIONS.index(INHIBITS), ACTIONS.index(ACTIVATES)
# A calibrator has few parameters; more compounds hardly change them.
MAX_COMPOUNDS = 2000
# Least share of the softmax that is left to the other proteins when one is taken out.
_MIN_LEFT = 1e-6


@dataclasses.dataclass(frozen=True)
class TargetAnswers:
    """Answers for training compounds with known targets, by the model without them, in one view.

    Attributes:
      groups: the compounds, sorted.
      scores: score of each protein with ligands, pooled over the compound's examples.
      without_ligands: its score if none of its ligands were known.
      margins: logit of `activates` minus that of `inhibits`, pooled.
      is_target: known targets.
      activates: 1 and 0 for known targets that the compound activates and inhibits, else NaN.
      num_ligands: training compounds that are known to act on each protein, the compound included.
      num_known: training compounds with known targets.
    """

    groups: tuple[str, ...]
    scores: Float[np.ndarray, "compound protein"]
    without_ligands: Float[np.ndarray, "compound protein"]
    margins: Float[np.ndarray, "compound protein"]
    is_target: Bool[np.ndarray, "compound protein"]
    activates: Float[np.ndarray, "compound protein"]
    num_ligands: Int[np.ndarray, " protein"]
    num_known: int


def target_scores(
    logits: Float[np.ndarray, "example action gene"], columns: Int[np.ndarray, " protein"]
) -> Float[np.ndarray, "example gene"]:
    """Scores of genes as targets; those in `columns`, which have ligands, sum to one.

    Args:
      logits: logits of what each compound does to each gene.
      columns: genes with ligands.
    """
    total = logits.sum(axis=1, dtype=np.float64)
    shifted = total - special.logsumexp(total[:, columns], axis=1, keepdims=True)
    return np.exp(np.minimum(shifted, 0.0))


def action_margins(
    logits: Float[np.ndarray, "example action gene"],
) -> Float[np.ndarray, "example gene"]:
    """Logit of `activates` minus that of `inhibits`."""
    return logits[:, _ACTIVATES].astype(np.float64) - logits[:, _INHIBITS]


def logits_without_ligands(
    evidence: Float[np.ndarray, "example protein"], carry: Float[np.ndarray, "protein protein"]
) -> Float[np.ndarray, "example protein"]:
    """Logits of proteins as targets, each by a model that knows none of its ligands.

    With `A = K + ridge I`, the ridge regression over the other proteins predicts
    `e_p - (A^-1 e)_p / (A^-1)_pp` for protein p (Allen 1974), whatever its own evidence `e_p` is.
    Since `carry = A^-1 K = I - ridge A^-1`, that is `e_p - (e - e carry)_p / (1 - carry_pp)`.

    Args:
      evidence: scaled evidence of each protein, summed over actions.
      carry: columns of `carry_by` for these proteins, in their order.
    """
    return evidence - (evidence - evidence @ carry) / (1.0 - np.diag(carry))


def scores_without_ligands(
    evidence: Float[np.ndarray, "example protein"], carry: Float[np.ndarray, "protein protein"]
) -> Float[np.ndarray, "example protein"]:
    """Scores of proteins, each by a model that knows none of its ligands.

    Args:
      evidence: see `logits_without_ligands`.
      carry: likewise.
    """
    carried, left_out = evidence @ carry, logits_without_ligands(evidence, carry)
    total = special.logsumexp(carried, axis=1, keepdims=True)
    others = np.maximum(1.0 - np.exp(carried - total), _MIN_LEFT)
    return np.exp(np.minimum(left_out - total - np.log(others), 0.0))


def pooled_target_answers(
    answers: LeaveOneOutAnswers,
    params: Mapping[str, Any],
    columns: Int[np.ndarray, " protein"],
    proteins: Sequence[str],
    table: pd.DataFrame,
    *,
    seed: int,
) -> dict[str, TargetAnswers]:
    """View -> answers for at most `MAX_COMPOUNDS` training compounds with a known target.

    Args:
      answers: leave-one-compound-out answers.
      params: parameters of `protein_logits`.
      columns: gene nodes of the proteins.
      proteins: gene symbols of the proteins with ligands.
      table: `known_targets.known_target_table` of all training compounds.
      seed: of the choice of compounds.
    """
    num_ligands, num_known = count_ligands(table, proteins), len(table)
    carry = np.asarray(params["carry"], np.float64)[:, columns]
    known = known_actions(answers.examples, proteins)
    has_target = known.any(axis=(0, 2))
    by_view = {}
    for view, scales in zip(VIEWS, np.asarray(params["scales"], np.float64), strict=True):
        rows = np.flatnonzero(answers.answered(view) & has_target)
        rows = _of_some_compounds(rows, answers.examples.groups, seed=seed)
        own = known[:, rows]
        groups = [answers.examples.groups[row] for row in rows]
        evidence = _evidence(view, answers, scales, rows)
        # As one product: one of two rows for each example is far slower.
        logits = (evidence.reshape(-1, len(carry)) @ carry).reshape(evidence.shape)
        scores, activates, names = pool_by_compound(
            target_scores(logits, np.arange(len(proteins))), own[_ACTIVATES], groups
        )
        without, inhibits, _ = pool_by_compound(
            scores_without_ligands(evidence.sum(axis=1), carry), own[_INHIBITS], groups
        )
        margins, unknown, _ = pool_by_compound(action_margins(logits), own[-1], groups)
        told = activates != inhibits
        by_view[view] = TargetAnswers(
            groups=names,
            scores=scores,
            without_ligands=without,
            margins=margins,
            is_target=(activates + inhibits + unknown) > 0,
            activates=np.where(told, activates, np.nan),
            num_ligands=num_ligands,
            num_known=num_known,
        )
    return by_view


def _of_some_compounds(
    rows: Int[np.ndarray, " row"], groups: Sequence[str], *, seed: int
) -> Int[np.ndarray, " chosen"]:
    """The rows of at most `MAX_COMPOUNDS` compounds."""
    names = np.unique([groups[row] for row in rows])
    if len(names) <= MAX_COMPOUNDS:
        return rows
    chosen = set(np.random.default_rng(seed).choice(names, MAX_COMPOUNDS, replace=False).tolist())
    return np.array([row for row in rows if groups[row] in chosen], int)


def known_actions(
    examples: Examples, proteins: Sequence[str]
) -> Bool[np.ndarray, "known_action example protein"]:
    """Known targets of each example by what is done to them: each of `ACTIONS`, then unknown."""
    place = {symbol: column for column, symbol in enumerate(proteins)}
    kinds = (*ACTIONS, "")
    known = np.zeros((len(kinds), examples.num_examples, len(proteins)), bool)
    for row, (targets, actions) in enumerate(zip(examples.targets, examples.actions, strict=True)):
        for target, action in zip(targets, actions, strict=True):
            if target in place:
                known[kinds.index(action), row, place[target]] = True
    return known


def _evidence(
    view: str,
    answers: LeaveOneOutAnswers,
    scales: Float[np.ndarray, " expert"],
    rows: Int[np.ndarray, " row"],
) -> Float[np.ndarray, "row action protein"]:
    """The sum of the kernel experts' evidence in a view, each times its scale."""
    width = next(iter(answers.proteins.values())).shape[1]
    total = np.zeros((len(rows), width))
    for scale, (expert, evidence) in zip(scales, answers.proteins.items(), strict=True):
        if answers_in(expert, view):
            total += scale * evidence[rows]
    return total.reshape(len(rows), len(ACTIONS), width // len(ACTIONS))
