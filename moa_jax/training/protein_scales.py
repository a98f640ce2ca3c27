"""Scales of the kernel experts' evidence for proteins, fitted to leave-one-compound-out answers."""

from __future__ import annotations

import dataclasses

import ml_collections
import numpy as np
from jaxtyping import Float32

from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.models.experts import VIEWS, answers_in
from moa_jax.progress import say
from moa_jax.schemas import ACTIONS, Examples
from moa_jax.training.expert_scales import ExpertLogits, fit_expert_scales
from moa_jax.training.target_answers import known_actions

# The scales are two numbers per view; more examples hardly change them.
MAX_EXAMPLES = 2000


def fit_protein_scales(
    config: ml_collections.ConfigDict,
    answers: LeaveOneOutAnswers,
    proteins: tuple[str, ...],
    carry: Float32[np.ndarray, "protein gene"],
) -> dict[str, dict[str, float]]:
    """Scales by which the known targets are most likely among all proteins with evidence.

    Args:
      config: `protein_scales`, on which the prior is centred, and `scale_prior`, its strength.
      answers: leave-one-compound-out answers.
      proteins: gene symbols of the proteins with evidence.
      carry: `carry_by` from and to these proteins.
    """
    targets = _with_target_labels(answers.examples, proteins)
    prior = {
        view: {expert: config.protein_scales[view][expert] for expert in answers.proteins}
        for view in VIEWS
    }
    of_view = {view: _carried(view, answers, targets, carry, seed=config.seed) for view in VIEWS}
    scales = fit_expert_scales(prior, of_view, prior_strength=config.scale_prior)
    values = (f"{expert} {scale:.2f}" for expert, scale in scales["fusion"].items())
    say(f"scales of evidence for proteins: {', '.join(values)}")
    return scales


def _with_target_labels(examples: Examples, proteins: tuple[str, ...]) -> Examples:
    """The examples, labelled with their targets instead of their MoAs."""
    is_target = known_actions(examples, proteins).any(axis=0)
    return dataclasses.replace(examples, moas=proteins, labels=is_target.astype(np.float32))


def _carried(
    view: str,
    answers: LeaveOneOutAnswers,
    targets: Examples,
    carry: Float32[np.ndarray, "protein protein"],
    *,
    seed: int,
) -> tuple[ExpertLogits, Examples]:
    """Carried evidence for at most `MAX_EXAMPLES` examples with known targets, in a view."""
    rows = np.flatnonzero(answers.answered(view) & targets.labels.any(axis=1))
    if len(rows) > MAX_EXAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_EXAMPLES, replace=False))
    carried = [
        evidence[rows].reshape(len(rows), len(ACTIONS), len(carry)).sum(axis=1) @ carry
        if answers_in(expert, view)
        else np.zeros((len(rows), carry.shape[1]))
        for expert, evidence in answers.proteins.items()
    ]
    return np.stack(carried).astype(np.float64), targets.take(rows)
