"""Training the network that corrects the closed form, on leave-one-compound-out answers."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from moa_jax.progress import say
from moa_jax.training.fit import Run
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.solution import Solution
from moa_jax.training.task import Views

if TYPE_CHECKING:
    from moa_jax.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Selected:
    """The number of steps that validation compounds have selected.

    Attributes:
      step: the number; 0 if no step was better than the closed form.
      probs: view -> probabilities of the validation examples after these steps.
    """

    step: int
    probs: Views


def select_step(
    recipe: Recipe, solution: Solution, num_training: int, workdir: pathlib.Path
) -> Selected:
    """Trains without the validation examples to see how many steps are best for them.

    The closed form is that of all examples: that a compound's own answers are left out is enough.
    So the run's predictor knows the validation compounds and serves for this selection alone.

    Args:
      recipe: the steps of a fit.
      solution: the closed form, solved for training and validation examples.
      num_training: number of training examples, which come first; validation examples follow.
      workdir: folder of the run.
    """
    rows, end = np.arange(solution.references.num_examples), solution.answers.examples.num_examples
    held_out = rows[num_training:end]
    others = np.concatenate([rows[:num_training], rows[end:]])
    predictor = _run(recipe, solution, others, held_out, workdir).train()
    step, score = predictor.progress.best_step, predictor.progress.best_score
    kept = "" if step else ", the closed form: no later step is better"
    say(f"validation macro AUPRC {score:.3f} at step {step}{kept}")
    return Selected(step, predictor.predict(solution.inputs.take(held_out)))


def train_on_all(
    recipe: Recipe, solution: Solution, workdir: pathlib.Path, *, num_steps: int | None
) -> Predictor:
    """Trains on all examples; see `Run.train` for the number of steps."""
    rows = np.arange(solution.references.num_examples)
    return _run(recipe, solution, rows, None, workdir).train(num_steps=num_steps)


def _run(
    recipe: Recipe,
    solution: Solution,
    rows: Int[np.ndarray, " row"],
    held_out: Int[np.ndarray, " held_out"] | None,
    workdir: pathlib.Path,
) -> Run:
    """A training run on some of the references, with others as validation examples."""
    inputs, references = solution.inputs, solution.references
    return Run(
        recipe.config,
        references.take(rows),
        None if held_out is None else references.take(held_out),
        make_task=make_fusion_task,
        features=solution.features,
        encoded=inputs.take(rows),
        encoded_validation=None if held_out is None else inputs.take(held_out),
        graph=recipe.arrays,
        graph_size=recipe.graph_size,
        workdir=workdir,
        unlabelled=recipe.unlabelled,
        non_trainable=solution.params,
    )
