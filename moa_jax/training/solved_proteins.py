"""What a solved model knows about proteins: its parameters for them, and what calibrates them."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_collections

from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.known_targets import known_target_table
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.kernels.protein_carry import carry_by, gene_kernel, gene_rows
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.expert_scales import scale_array
from moa_jax.training.protein_scales import fit_protein_scales
from moa_jax.training.target_answers import TargetAnswers, pooled_target_answers
from moa_jax.training.unseen_mechanisms import UnseenAnswers, unseen_answers


@dataclasses.dataclass(frozen=True)
class SolvedProteins:
    """What a solved model knows about proteins.

    Attributes:
      params: parameters of `models.protein_answers.protein_logits`.
      targets: view -> answers for proteins to calibrate on.
      unseen: what mechanisms described by their targets are calibrated on.
    """

    params: dict[str, Any]
    targets: dict[str, TargetAnswers]
    unseen: UnseenAnswers


def solve_proteins(
    config: ml_collections.ConfigDict,
    graph: KnowledgeGraph,
    closed_form: ClosedForm,
    answers: LeaveOneOutAnswers,
) -> SolvedProteins:
    """Carries leave-one-compound-out evidence along the graph, and fits its scales.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      graph: the knowledge graph.
      closed_form: the experts, some of them through proteins.
      answers: their leave-one-compound-out answers.
    """
    proteins, kernel = closed_form.features.proteins, gene_kernel(config.proteins, graph)
    rows, ridge = gene_rows(graph, proteins), config.proteins.ridge
    carry = carry_by(kernel, rows, ridge)
    scales = scale_array(fit_protein_scales(config, answers, proteins, carry[:, rows]))
    params = {"carry": carry, "scales": scales}
    known = known_target_table(closed_form.references.examples)
    symbols = list(graph.genes["symbol"])
    return SolvedProteins(
        params,
        pooled_target_answers(answers, params, rows, proteins, known, seed=config.seed),
        unseen_answers(
            closed_form, answers, scales, kernel, symbols, ridge=ridge, seed=config.seed
        ),
    )
