"""How a fusion model is fitted: kernels in closed form, networks by gradient steps."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax.models.experts import EXPERTS, NETWORKS, VIEWS, has_all_shown
from moa_jax.progress import say
from moa_jax.schemas import Examples, KnowledgeGraph, concatenate
from moa_jax.training.correction.cross_fit import correct
from moa_jax.training.correction.solution import solve
from moa_jax.training.expert_scales import (
    combined_probs,
    expert_logits,
)
from moa_jax.training.fit import validation_curve
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.predictor import (
    Predictor,
)
from moa_jax.training.solved_proteins import SolvedProteins
from moa_jax.training.task import Views

# Subfolder of the run that selects the number of steps.
SELECTION = "selection"


@dataclasses.dataclass(frozen=True)
class OutOfFoldAnswers:
    """Predictions for compounds by models that were not trained on them, in one view.

    Attributes:
      examples: labelled examples, and compounds whose mechanisms are all outside the vocabulary.
      probs: probabilities by a model that was not trained on the example's compound.
      learnable: labels without the mechanisms that no other training compound has.
    """

    examples: Examples
    probs: Float[np.ndarray, "example moa"]
    learnable: Float[np.ndarray, "example moa"]


@dataclasses.dataclass(frozen=True)
class FusionFit:
    """A fusion model and how it was selected.

    Attributes:
      predictor: the model trained on training and validation examples.
      validation_probs: view -> probabilities of the validation examples by a model of the training
        examples or, for kernels alone, of all other compounds.
      out_of_fold: view -> answers to calibrate on: for the validation examples or, for kernels
        alone, for all training compounds; and for compounds whose mechanisms are outside the
        vocabulary.
      choices: JSON values: `best_step`, `expert_scales` by expert; empty without validation.
      curves: view -> [step, validation macro AUPRC] pairs.
      proteins: what the model knows about proteins; None without experts through
        proteins, and beside networks that answer by themselves.
    """

    predictor: Predictor
    validation_probs: Views
    out_of_fold: dict[str, OutOfFoldAnswers]
    choices: dict[str, Any]
    curves: dict[str, list[list[int | float]]]
    proteins: SolvedProteins | None = None


def is_solved(config: ml_collections.ConfigDict) -> bool:
    """Whether the model is solved in closed form: it has no network, or one that corrects it."""
    return all(EXPERTS[name].corrects for name in set(config.model.experts) & set(NETWORKS))


def fit_fusion(
    config: ml_collections.ConfigDict,
    train: Examples,
    validation: Examples,
    graph: KnowledgeGraph,
    workdir: pathlib.Path,
    *,
    unlabelled: Examples | None = None,
) -> FusionFit:
    """Fits the fusion model of a configuration; resumes if it was interrupted.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: training examples.
      validation: examples of other compounds. Without any, networks are trained to the last step
        and the scales are the configuration's.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of the run.
      unlabelled: examples without a label, none of a compound in `validation`. Kernel experts use
        those with known targets and no known mechanism; pretraining, if configured, uses all.
        Those whose mechanisms are outside the vocabulary are predicted for calibration.

    Raises:
      InputError: `workdir` holds a run of another configuration or on other examples.
    """
    recipe = Recipe(config, graph, unlabelled)
    if is_solved(config):
        return _solve(recipe, train, validation, workdir)
    if validation.num_examples == 0:
        recipe.write_references(train, workdir)
        predictor = recipe.run(train, None, workdir).train()
        nothing = np.zeros(validation.labels.shape)
        return FusionFit(
            predictor, dict.fromkeys(VIEWS, nothing), {}, {}, {view: [] for view in VIEWS}
        )

    # A first run, on the training part, selects the number of steps and the experts' scales.
    selected = recipe.run(train, validation, workdir / SELECTION).train()
    step, score = selected.progress.best_step, selected.progress.best_score
    say(f"validation macro AUPRC {score:.3f} at step {step}")
    logits = expert_logits(selected, validation)
    scales = recipe.fit_scales({view: (logits[view], validation) for view in VIEWS})

    # A second run, from new parameters, trains for as many steps on all examples.
    everything = concatenate(train, validation)
    recipe.write_references(everything, workdir)
    predictor = recipe.run(everything, None, workdir, scales=scales).train(num_steps=step)

    probs = {view: combined_probs(view, scales, logits[view], validation) for view in VIEWS}
    learnable = validation.labels * train.labels.any(axis=0)
    out_of_fold = {view: OutOfFoldAnswers(validation, probs[view], learnable) for view in VIEWS}
    return FusionFit(
        predictor=predictor,
        validation_probs=probs,
        out_of_fold=_with_other_moas(out_of_fold, predictor, unlabelled),
        choices={"best_step": step, "expert_scales": scales},
        curves={view: validation_curve(workdir / SELECTION, view) for view in VIEWS},
    )


def _solve(
    recipe: Recipe, train: Examples, validation: Examples, workdir: pathlib.Path
) -> FusionFit:
    """Solves a model of kernels for all examples at once, and trains what corrects it, if anything.

    The scales are fitted to leave-one-compound-out answers, so no validation part is needed.
    """
    everything = concatenate(train, validation)
    solution = solve(recipe, everything)
    answers, scales = solution.answers, solution.scales
    logits = {view: answers.expert_logits(view) for view in VIEWS}
    recipe.write_references(everything, workdir)
    params = solution.params
    if solution.inputs is not None:
        corrected = correct(recipe, solution, workdir)
        params, scales = corrected.params, corrected.scales
        logits = {
            view: np.concatenate([own, corrected.added[view][None]]) for view, own in logits.items()
        }
    predictor = recipe.save_solved(params, everything, solution.features, workdir)

    probs = {view: combined_probs(view, scales, logits[view], everything) for view in VIEWS}
    learnable, out_of_fold = answers.learnable(), {}
    for view in VIEWS:
        rows = np.flatnonzero(answers.answered(view))
        out_of_fold[view] = OutOfFoldAnswers(
            everything.take(rows), probs[view][rows], learnable[rows]
        )
    return FusionFit(
        predictor=predictor,
        validation_probs={view: probs[view][train.num_examples :] for view in VIEWS},
        out_of_fold=_with_other_moas(out_of_fold, predictor, recipe.unlabelled),
        choices={"best_step": predictor.progress.best_step, "expert_scales": scales},
        curves={view: [] for view in VIEWS},
        proteins=solution.proteins,
    )


def _with_other_moas(
    out_of_fold: dict[str, OutOfFoldAnswers], predictor: Predictor, unlabelled: Examples | None
) -> dict[str, OutOfFoldAnswers]:
    """Adds answers for compounds whose mechanisms are outside the vocabulary."""
    if unlabelled is None or not unlabelled.has_other_moas.any():
        return out_of_fold
    others = unlabelled.take(np.flatnonzero(unlabelled.has_other_moas))
    probs = predictor.predict(others)
    joined = {}
    for view, answers in out_of_fold.items():
        rows = np.flatnonzero(has_all_shown(view, others.has_expression, others.has_structure))
        more = others.take(rows)
        joined[view] = OutOfFoldAnswers(
            concatenate(answers.examples, more),
            np.concatenate([answers.probs, probs[view][rows]]),
            np.concatenate([answers.learnable, np.zeros(more.labels.shape, np.float32)]),
        )
    return joined
