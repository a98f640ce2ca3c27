"""How a fusion model is made: kernels solved in closed form, networks trained in steps."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.data.examples.features import FeatureSpec, fit_features
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.references import reference_table, write_references
from moa_jax.kernels.target_propagation import References, references_of
from moa_jax.models.experts import NETWORKS, VIEWS, has_all_shown
from moa_jax.progress import say
from moa_jax.schemas import Examples, GraphArrays, KnowledgeGraph, concatenate
from moa_jax.training.expert_scales import (
    Scales,
    combined_probs,
    expert_evidence,
    fit_expert_scales,
    learnable_evidence,
    scale_array,
)
from moa_jax.training.fit import Run, validation_curve
from moa_jax.training.fusion.task import make_fusion_task, make_graph_arrays
from moa_jax.training.runs.checkpoints import Checkpoints
from moa_jax.training.runs.predictor import (
    CHECKPOINTS,
    Predictor,
    Progress,
    describe_run,
    load_predictor,
    read_description,
)
from moa_jax.training.runs.run_fingerprint import digest, refuse_other_run
from moa_jax.training.sharding import is_first_process, make_mesh, replicate
from moa_jax.training.task import Views

# Subfolder of the run that chooses the number of steps.
SELECTION = "selection"


@dataclasses.dataclass(frozen=True)
class OutOfFoldAnswers:
    """Out-of-sample answers of a model in one view.

    Attributes:
      examples: labelled examples, and compounds whose mechanisms are all outside the vocabulary.
      probs: probabilities, by a model that did not learn from the example's compound.
      learnable: labels, without those of mechanisms of which that model saw no other compound.
    """

    examples: Examples
    probs: Float[np.ndarray, "example moa"]
    learnable: Float[np.ndarray, "example moa"]


@dataclasses.dataclass(frozen=True)
class FusionFit:
    """A fusion model and how it was chosen.

    Attributes:
      predictor: the model trained on training and validation examples.
      validation_probs: view -> out-of-sample probabilities of the validation examples: by a model
        of the training examples or, for kernels alone, of all compounds but the one in question.
      unseen: view -> out-of-sample answers for calibration: for the validation examples or, for
        kernels alone, for all training compounds; and for compounds whose mechanisms are outside
        the vocabulary.
      choices: JSON values: `best_step`, `expert_scales` by expert; empty without validation.
      curves: view -> [step, validation macro AUPRC] pairs.
    """

    predictor: Predictor
    validation_probs: Views
    unseen: dict[str, OutOfFoldAnswers]
    choices: dict[str, Any]
    curves: dict[str, list[list[int | float]]]


def is_solved(config: ml_collections.ConfigDict) -> bool:
    """Whether the model is kernels alone, which are solved in closed form."""
    return not set(config.model.experts) & set(NETWORKS)


def fit_fusion(
    config: ml_collections.ConfigDict,
    train: Examples,
    validation: Examples,
    graph: KnowledgeGraph,
    workdir: pathlib.Path,
    *,
    unlabelled: Examples | None = None,
) -> FusionFit:
    """Fits the fusion model of a configuration; an interrupted call continues.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: training examples.
      validation: examples of other compounds; where there are none, networks are trained to the
        last step, and the scales are the configuration's.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of the run.
      unlabelled: examples without a label, none of a compound in `validation`. Kernel experts learn
        from those with known targets and no known mechanism; pretraining, where the configuration
        has it, from all. Those whose mechanisms are outside the vocabulary are predicted for
        calibration.

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
        curves: dict[str, list[list[int | float]]] = {view: [] for view in VIEWS}
        return FusionFit(predictor, dict.fromkeys(VIEWS, nothing), {}, {}, curves)

    # A first run, on the training part, finds the number of steps and the scales of the experts.
    chosen = recipe.run(train, validation, workdir / SELECTION).train()
    step, score = chosen.progress.best_step, chosen.progress.best_score
    say(f"validation macro AUPRC {score:.3f} at step {step}")
    evidence = expert_evidence(chosen, validation)
    scales = fit_expert_scales(
        recipe.first_scales,
        {view: (own, validation) for view, own in evidence.items()},
        prior_strength=config.scale_prior,
    )
    _say_scales(scales)

    # A second one, from new parameters, trains that long on all examples, with those scales.
    everything = concatenate(train, validation)
    recipe.write_references(everything, workdir)
    predictor = recipe.run(everything, None, workdir, scales=scales).train(num_steps=step)

    probs = {view: combined_probs(view, scales, own, validation) for view, own in evidence.items()}
    learnable = validation.labels * train.labels.any(axis=0)
    unseen = {view: OutOfFoldAnswers(validation, own, learnable) for view, own in probs.items()}
    return FusionFit(
        predictor=predictor,
        validation_probs=probs,
        unseen=_with_others(unseen, predictor, unlabelled),
        choices={"best_step": step, "expert_scales": scales},
        curves={view: validation_curve(workdir / SELECTION, view) for view in VIEWS},
    )


def _solve(
    recipe: Recipe, train: Examples, validation: Examples, workdir: pathlib.Path
) -> FusionFit:
    """Solves a model of kernels alone for all examples at once, and saves it.

    The scales of the experts are fitted to leave-one-compound-out answers, so no validation part
    is needed.
    """
    everything = concatenate(train, validation)
    closed_form = recipe.closed_form(everything)
    params = closed_form.params()
    out_of_fold = closed_form.leave_one_out(everything.num_examples)
    # Its inverses are large.
    del closed_form
    scales = fit_expert_scales(
        recipe.first_scales,
        learnable_evidence(out_of_fold),
        prior_strength=recipe.config.scale_prior,
    )
    _say_scales(scales)
    recipe.write_references(everything, workdir)
    predictor = recipe.save_solved(
        {**params, "expert_scales": scale_array(scales)}, everything, workdir
    )

    probs = {
        view: combined_probs(view, scales, out_of_fold.evidence(view), everything) for view in VIEWS
    }
    learnable, unseen = out_of_fold.learnable(), {}
    for view in VIEWS:
        rows = np.flatnonzero(out_of_fold.answered(view))
        unseen[view] = OutOfFoldAnswers(everything.take(rows), probs[view][rows], learnable[rows])
    return FusionFit(
        predictor=predictor,
        validation_probs={view: own[train.num_examples :] for view, own in probs.items()},
        unseen=_with_others(unseen, predictor, recipe.unlabelled),
        choices={"best_step": 0, "expert_scales": scales},
        curves={view: [] for view in VIEWS},
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What every fit of a configuration's fusion model shares.

    Attributes:
      config: see `fit_fusion`; so are `graph` and `unlabelled`.
      graph: the knowledge graph.
      unlabelled: examples without label.
    """

    config: ml_collections.ConfigDict
    graph: KnowledgeGraph
    unlabelled: Examples | None = None

    def closed_form(self, train: Examples) -> ClosedForm:
        """The kernel experts of the model, ready to be solved for `train`."""
        features = self._features(train)
        return ClosedForm.of(
            self.config,
            make_fusion_task(self.config, features, self._graph_size).model,
            features,
            self.arrays,
            self._references(train),
        )

    def run(
        self,
        train: Examples,
        validation: Examples | None,
        workdir: pathlib.Path,
        *,
        scales: Scales | None = None,
    ) -> Run:
        """A training run of the networks, beside kernels that are solved already.

        Args:
          train: training examples.
          validation: examples that choose the step; None trains to the end.
          workdir: folder of the run.
          scales: scales of the experts; the configuration's where None.
        """
        closed_form = self.closed_form(train)
        given = {**closed_form.params(), "expert_scales": scale_array(scales or self.first_scales)}
        return Run(
            self.config,
            train,
            validation,
            make_task=make_fusion_task,
            genes=self._genes,
            graph=self.arrays,
            graph_size=self._graph_size,
            workdir=workdir,
            unlabelled=self.unlabelled,
            given=given,
        )

    def save_solved(
        self, params: Mapping[str, Any], train: Examples, workdir: pathlib.Path
    ) -> Predictor:
        """Writes a solved model into the folder of its run, unless it is there already.

        Args:
          params: all parameters of the model.
          train: what it was solved for.
          workdir: folder of the run.

        Raises:
          InputError: the folder holds a run of another configuration or on other examples.
        """
        description = describe_run(
            self.config,
            self._features(train),
            self._graph_size,
            examples=[
                None if some is None else digest(some) for some in (train, None, self.unlabelled)
            ],
            progress=Progress(),
        )
        checkpoints = Checkpoints(workdir / CHECKPOINTS, create=True)
        step = checkpoints.latest_step()
        if step is None:
            mesh = make_mesh(self.config.num_devices or None)
            checkpoints.save_solved(replicate(params, mesh), description)
        else:
            stored = read_description(checkpoints, step, workdir)
            refuse_other_run(stored, description, workdir)
        checkpoints.close()
        return load_predictor(
            workdir, self.arrays, make_fusion_task, num_devices=self.config.num_devices
        )

    def _references(self, train: Examples) -> References:
        return references_of(self.config.target_propagation, train, self.unlabelled)

    def write_references(self, train: Examples, workdir: pathlib.Path) -> None:
        """Writes what the kernel experts compare with into the folder of a run."""
        if is_first_process():
            table = reference_table(self.config, self._references(train).examples)
            write_references(workdir, table)

    @functools.cached_property
    def arrays(self) -> GraphArrays:
        """The knowledge graph as the model takes it."""
        return make_graph_arrays(self.config, self.graph)

    def _features(self, train: Examples) -> FeatureSpec:
        return fit_features(train, self._genes)

    @property
    def _genes(self) -> pd.DataFrame:
        return self.graph.genes.iloc[: self.graph.num_landmarks]

    @property
    def _graph_size(self) -> tuple[int, int]:
        return self.graph.num_genes, self.graph.num_terms

    @property
    def first_scales(self) -> dict[str, dict[str, float]]:
        """The configuration's scales of the model's experts."""
        return {
            view: {
                name: self.config.expert_scales[view][name] for name in self.config.model.experts
            }
            for view in VIEWS
        }


def _with_others(
    unseen: dict[str, OutOfFoldAnswers], predictor: Predictor, unlabelled: Examples | None
) -> dict[str, OutOfFoldAnswers]:
    """Adds answers for compounds whose mechanisms are outside the vocabulary."""
    if unlabelled is None or not unlabelled.has_other_moas.any():
        return unseen
    others = unlabelled.take(np.flatnonzero(unlabelled.has_other_moas))
    probs = predictor.predict(others)
    joined = {}
    for view, own in unseen.items():
        rows = np.flatnonzero(has_all_shown(view, others.has_expression, others.has_structure))
        more = others.take(rows)
        joined[view] = OutOfFoldAnswers(
            concatenate(own.examples, more),
            np.concatenate([own.probs, probs[view][rows]]),
            np.concatenate([own.learnable, np.zeros(more.labels.shape, np.float32)]),
        )
    return joined


def _say_scales(scales: Scales) -> None:
    told = (f"{expert} {scale:.2f}" for expert, scale in scales["fusion"].items())
    say(f"scales of the experts: {', '.join(told)}")
