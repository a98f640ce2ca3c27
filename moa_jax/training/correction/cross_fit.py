"""Training the network that corrects the closed form, on leave-one-compound-out answers.

It is cross-fitted: trained without some compounds, it answers for them. How much of what it adds is
right is learned from these answers, as the scales of the experts are.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.unseen_mechanisms import fold_of
from moa_jax.models.experts import PROTEIN_NETWORK, SHOWN_IN, VIEWS, has_all_shown
from moa_jax.progress import say
from moa_jax.training.correction.solution import Solution
from moa_jax.training.expert_scales import (
    added_scale,
    learnable_logits,
    learnable_rows,
    scale_array,
)
from moa_jax.training.fit import Run
from moa_jax.training.fusion.task import FusionTask, make_fusion_task
from moa_jax.training.recipe import Recipe
from moa_jax.training.runs.metric_writer import METRICS_FILE
from moa_jax.training.runs.predictor import Predictor, predict_encoded
from moa_jax.training.sharding import is_first_process

# View -> what a network adds to the logits of examples.
Added = dict[str, Float[np.ndarray, "example moa"]]
# Folder of the runs in a run's folder; deleted when they are finished.
NETWORK = "protein_network"


@dataclasses.dataclass(frozen=True)
class Corrected:
    """The closed form with the network that corrects it.

    Attributes:
      params: all parameters of the model.
      scales: view -> expert -> scale, with that of the network.
      added: view -> what the network, trained without the compound, adds to the logits of training
        examples.
    """

    params: dict[str, Any]
    scales: dict[str, dict[str, float]]
    added: Added


def correct(recipe: Recipe, solution: Solution, workdir: pathlib.Path) -> Corrected:
    """Trains the network without each fold of compounds, scales what it adds, and trains it on all.

    Args:
      recipe: the steps of a fit.
      solution: the closed form, solved for the training examples.
      workdir: folder of the run.
    """
    runs = workdir / NETWORK
    added = cross_fit(recipe, solution, runs)
    scales = fit_scales(solution, added)
    values = ", ".join(f"{view} {scale:.1f}" for view, scale in scales.items())
    say(f"scales of what the protein network adds: {values}")
    predictor = train_on_all(recipe, solution, runs / "all")
    if is_first_process():
        shutil.copyfile(runs / "all" / METRICS_FILE, workdir / METRICS_FILE)
        shutil.rmtree(runs)
    of_all = {view: own | {PROTEIN_NETWORK: scales[view]} for view, own in solution.scales.items()}
    params = dict(predictor.params) | {"expert_scales": scale_array(of_all)}
    return Corrected(params, of_all, added)


def fit_scales(solution: Solution, added: Added) -> dict[str, float]:
    """View -> the factor of what the network adds by which the compounds' labels rank best.

    Args:
      solution: the closed form.
      added: what the network, trained without the compound, adds.
    """
    scales = {}
    for view, (logits, examples) in learnable_logits(solution.answers).items():
        of_experts = np.array([solution.scales[view][name] for name in solution.answers.logits])
        rows = learnable_rows(solution.answers, view)
        scales[view] = added_scale(
            np.tensordot(of_experts, logits, axes=1), added[view][rows], examples
        )
    return scales


def cross_fit(recipe: Recipe, solution: Solution, workdir: pathlib.Path) -> Added:
    """Trains a network without each fold of the training compounds, and asks it about them.

    The closed form is that of all examples: that a compound's own answers are left out is enough.

    Args:
      recipe: the steps of a fit.
      solution: the closed form, solved for the training examples.
      workdir: folder of the runs, one for each fold.
    """
    examples, config = solution.answers.examples, recipe.config
    fold = folds_of(examples.groups, config.training.cross_fitting_folds, seed=config.seed)
    added = {view: np.zeros(examples.labels.shape, np.float32) for view in VIEWS}
    rows = np.arange(solution.references.num_examples)
    for number in range(fold.max(initial=-1) + 1):
        others = np.delete(rows, np.flatnonzero(fold == number))
        predictor = _run(recipe, solution, others, workdir / str(number)).train()
        for view in VIEWS:
            shown = has_all_shown(view, examples.has_expression, examples.has_structure)
            asked = np.flatnonzero((fold == number) & shown)
            if len(asked):
                added[view][asked] = _added(predictor, view, solution.inputs.take(asked))
    # In the view of both modalities an example with one of them is seen in that of the other.
    for view, missing in (
        ("expression", examples.has_expression & ~examples.has_structure),
        ("structure", examples.has_structure & ~examples.has_expression),
    ):
        added["fusion"][missing] = added[view][missing]
    return added


def folds_of(groups: tuple[str, ...], num_folds: int, *, seed: int) -> Int[np.ndarray, " example"]:
    """The fold of each example; those of one group are in one fold."""
    names, unit = np.unique(np.asarray(groups, str), return_inverse=True)
    return fold_of(len(names), num_folds, seed)[unit]


def train_on_all(recipe: Recipe, solution: Solution, workdir: pathlib.Path) -> Predictor:
    """Trains on all references."""
    return _run(recipe, solution, np.arange(solution.references.num_examples), workdir).train()


def _run(
    recipe: Recipe, solution: Solution, rows: Int[np.ndarray, " row"], workdir: pathlib.Path
) -> Run:
    """A training run on some of the references."""
    return Run(
        recipe.config,
        solution.references.take(rows),
        None,
        make_task=make_fusion_task,
        features=solution.features,
        encoded=solution.inputs.take(rows),
        graph=recipe.arrays,
        graph_size=recipe.graph_size,
        workdir=workdir,
        unlabelled=recipe.unlabelled,
        non_trainable=solution.params,
    )


def _added(
    predictor: Predictor, view: str, examples: EncodedExamples
) -> Float[np.ndarray, "example moa"]:
    """What a network adds for examples with the modalities that a view shows."""
    expression, structure = SHOWN_IN[view]
    seen = dataclasses.replace(
        examples,
        has_expression=examples.has_expression & expression,
        has_structure=examples.has_structure & structure,
    )
    return predict_encoded(
        _added_step(predictor.task, predictor.mesh),
        predictor.params,
        predictor.graph,
        seen,
        mesh=predictor.mesh,
        batch_size=predictor.batch_size,
    )["mechanisms"]


@functools.lru_cache(maxsize=4)
def _added_step(task: FusionTask, mesh: jax.sharding.Mesh) -> Any:
    """The jitted `FusionTask.added`, which the folds share."""
    return jax.jit(task.added, out_shardings=NamedSharding(mesh, PartitionSpec()))
