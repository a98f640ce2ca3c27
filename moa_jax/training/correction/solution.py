"""The closed form, solved, and what it says about training examples without their compounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.kernels.known_targets import count_ligands, known_target_table
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.kernels.target_actions import MechanismPrototypes, action_labels
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.models.fusion import MECHANISMS
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.schemas import Examples, LeftOut
from moa_jax.training.expert_scales import Scales, learnable_logits, scale_array
from moa_jax.training.recipe import Recipe
from moa_jax.training.solved_proteins import SolvedProteins, solve_proteins


@dataclasses.dataclass(frozen=True)
class Solution:
    """The experts in closed form, solved for the training examples.

    Attributes:
      params: parameters of the model, without those of networks.
      features: vocabularies and gene statistics of the training examples.
      scales: view -> expert in closed form -> its scale.
      answers: leave-one-compound-out answers for the training examples.
      proteins: what it knows about proteins; None without experts through proteins.
      references: the examples that it was solved for, training examples first.
      inputs: these as inputs of the protein network's training; None in a model without it.
    """

    params: dict[str, Any]
    features: FeatureSpec
    scales: Scales
    answers: LeaveOneOutAnswers
    proteins: SolvedProteins | None
    references: Examples
    inputs: EncodedExamples | None


def solve(recipe: Recipe, train: Examples) -> Solution:
    """Solves the experts in closed form for training examples, and fits their scales.

    Args:
      recipe: the steps of a fit.
      train: training examples.
    """
    corrected = PROTEIN_NETWORK in recipe.config.model.experts
    closed_form = recipe.closed_form(train)
    params, features = closed_form.params(), closed_form.features
    references, inputs = closed_form.references.examples, None
    asked = references.num_examples if corrected else train.num_examples
    of_references = closed_form.leave_one_out(asked)
    answers = of_references.first(train.num_examples)
    proteins = None
    if answers.proteins:
        proteins = solve_proteins(recipe.config, recipe.graph, closed_form, answers)
        params[PROTEINS] = dict(proteins.params)
    scales = recipe.fit_scales(learnable_logits(answers))
    params["expert_scales"] = scale_array(scales)
    if corrected:
        params[MECHANISMS] = mechanism_params(closed_form.prototypes)
        params[PROTEINS] |= {
            "rows": gene_rows(recipe.graph, features.proteins).astype(np.int32),
            "counts": count_ligands(known_target_table(references), features.proteins).astype(
                np.float32
            ),
        }
        inputs = with_left_out(
            closed_form.encoded,
            of_references,
            closed_form.prototypes,
            proteins=features.proteins,
            experts=recipe.config.model.experts,
        )
    return Solution(params, features, scales, answers, proteins, references, inputs)


def with_left_out(
    encoded: EncodedExamples,
    answers: LeaveOneOutAnswers,
    prototypes: MechanismPrototypes,
    *,
    proteins: tuple[str, ...],
    experts: Sequence[str],
) -> EncodedExamples:
    """Training inputs with what the closed form says if their own compounds are left out.

    A mechanism that no other compound has is not trained on: nothing can be known about it. Of an
    example without a label, no mechanism is.

    Args:
      encoded: the references of the closed form as model inputs.
      answers: leave-one-compound-out answers for them.
      prototypes: the mechanisms' prototypes, of the same examples.
      proteins: gene symbols of the proteins with evidence.
      experts: the model's experts, in its order.
    """
    examples = answers.examples
    left_out = LeftOut(
        logits=np.stack([answers.logits[name] for name in experts if name in answers.logits], 1),
        proteins=np.stack(
            [answers.proteins[name] for name in experts if name in answers.proteins], 1
        ),
        own_targets=prototypes.own.toarray().astype(np.float32),
        own_moas=prototypes.moas.toarray().astype(np.float32),
        targets=action_labels(examples, proteins),
    )
    alone = (examples.labels > 0) & (answers.learnable() == 0)
    return dataclasses.replace(
        encoded,
        labels=examples.labels,
        label_mask=examples.labels.any(axis=1, keepdims=True) & ~alone,
        left_out=left_out,
    )


def mechanism_params(prototypes: MechanismPrototypes) -> dict[str, Any]:
    """The lengths of the mechanisms' prototypes."""
    return {"lengths": np.linalg.norm(prototypes.sums, axis=1).astype(np.float32)}
