"""How a fusion model is made: kernels solved at once, networks trained, scales fitted to both."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.data.features import fit_features
from moa_jax.models.fused_networks import NETWORKS
from moa_jax.models.fusion import VIEWS
from moa_jax.progress import say
from moa_jax.schemas import Examples, GraphArrays, KnowledgeGraph, concatenate
from moa_jax.training.expert_scales import fit_expert_scales
from moa_jax.training.fit import Run, encode_references, validation_curve
from moa_jax.training.fusion_task import make_fusion_task, make_graph_arrays, reads_targets
from moa_jax.training.leave_one_out import READS, fit_left_out_scales, leave_out
from moa_jax.training.predictor import Predictor
from moa_jax.training.references import reference_table, write_references
from moa_jax.training.sharding import is_first_process, replicate
from moa_jax.training.shared_labels import References, references_of
from moa_jax.training.task import Views

# View -> expert -> scale.
Scales = Mapping[str, Mapping[str, float]]

# Subfolder of the run that chooses the number of steps.
SELECTION = "selection"


@dataclasses.dataclass(frozen=True)
class UnseenAnswers:
    """What a model answers in one view for compounds that it has not learned from.

    Attributes:
      examples: labelled examples; those whose compound has other mechanisms alone say so.
      probs: the answers.
      learnable: their labels, as far as something was learned of the mechanism.
    """

    examples: Examples
    probs: Float[np.ndarray, "example moa"]
    learnable: Float[np.ndarray, "example moa"]


@dataclasses.dataclass(frozen=True)
class FusionFit:
    """A fusion model and how it was chosen.

    Attributes:
      predictor: the model trained on training and validation examples.
      validation_probs: view -> what is answered for the validation examples by a model that did
        not see them: one that learned from the training examples, or, of kernels alone, from all
        but the compound in question.
      unseen: view -> answers that say how far the model can be trusted: those for the validation
        examples or, of kernels alone, for all training compounds, each by a model that learned
        from the others, and for compounds whose mechanisms the vocabulary lacks.
      choices: JSON values: `best_step`, `expert_scales` by expert; empty without validation.
      curves: view -> [step, validation macro AUPRC] pairs.
    """

    predictor: Predictor
    validation_probs: Views
    unseen: dict[str, UnseenAnswers]
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
    """Trains the fusion model of a configuration; an interrupted call continues.

    Kernels alone need no validation part: they are solved for all examples at once, and their
    scales are fitted to what they say of each compound without it. With networks a first run on
    `train` finds the step with the best validation score and the scales of the experts. A second
    one, from new parameters, trains that long on `train` and `validation` together with those
    scales.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: training examples.
      validation: examples of other compounds; where there are none, networks are trained to the
        last step with the configuration's own scales.
      graph: the knowledge graph over the examples' genes.
      workdir: folder of the run.
      unlabelled: examples without label, nothing of compounds of `validation` among them; kernel
        experts learn from those with known targets and no known mechanism, and pretraining, where
        the configuration names it, from all. Those whose mechanisms the vocabulary lacks say how
        the model answers for such.

    Raises:
      InputError: `workdir` holds a run of another configuration.
    """
    arrays = make_graph_arrays(config, graph)
    recipe = _Recipe(config, graph, arrays, unlabelled)
    if is_solved(config):
        return recipe.solve(train, validation, workdir)
    return recipe.train(train, validation, workdir)


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """What does not change from run to run of one model."""

    config: ml_collections.ConfigDict
    graph: KnowledgeGraph
    arrays: GraphArrays
    unlabelled: Examples | None

    def solve(self, train: Examples, validation: Examples, workdir: pathlib.Path) -> FusionFit:
        """Kernels alone, in closed form."""
        config = self.config
        everything = concatenate(train, validation)
        references = references_of(config.label_sharing, everything, self.unlabelled)
        features = fit_features(everything, self._genes)
        task = make_fusion_task(config, features, self._graph_size)
        encoded = encode_references(references, features)
        systems = task.kernel_systems(config, encoded, features, self.arrays)
        say(
            "solving "
            + ", ".join(f"{expert}: {len(own.rows)}" for expert, own in systems.items())
            + " references"
        )
        given = task.solved(systems, encoded)
        left_out = leave_out(systems, references, encoded, everything.num_examples)
        del systems
        scales = fit_left_out_scales(
            left_out, task.scales(config), prior_strength=config.scale_prior
        )
        _say_scales(scales)
        final = _with_scales(config, scales)
        run = self._run(
            final,
            everything,
            None,
            workdir,
            references=references,
            given={**given, "expert_scales": task.scales(final)},
        )
        predictor = run.train()
        probs = {view: left_out.probs(view, scales) for view in VIEWS}
        unseen = {}
        for view in VIEWS:
            rows = np.flatnonzero(left_out.seen(view))
            unseen[view] = UnseenAnswers(
                left_out.examples.take(rows), probs[view][rows], left_out.learnable()[rows]
            )
        return FusionFit(
            predictor=predictor,
            validation_probs={view: own[train.num_examples :] for view, own in probs.items()},
            unseen=self._with_others(predictor, unseen),
            choices={"best_step": 0, "expert_scales": scales},
            curves={view: [] for view in VIEWS},
        )

    def train(self, train: Examples, validation: Examples, workdir: pathlib.Path) -> FusionFit:
        """Networks, with or without kernels, in steps."""
        if validation.num_examples == 0:
            predictor = self._run(self.config, train, None, workdir).train()
            nothing = np.zeros(validation.labels.shape)
            curves: dict[str, list[list[int | float]]] = {view: [] for view in VIEWS}
            return FusionFit(predictor, dict.fromkeys(VIEWS, nothing), {}, {}, curves)
        chosen = self._run(self.config, train, validation, workdir / SELECTION).train()
        scales = fit_expert_scales(chosen, validation, prior_strength=self.config.scale_prior)
        step, score = chosen.progress.best_step, chosen.progress.best_score
        say(f"validation macro AUPRC {score:.3f} at step {step}")
        _say_scales(scales)
        everything = concatenate(train, validation)
        final = self._run(_with_scales(self.config, scales), everything, None, workdir)
        predictor = final.train(num_steps=step)
        probs = _scaled(chosen, scales).predict(validation)
        learned_of = train.labels.any(axis=0)
        unseen = {
            view: UnseenAnswers(validation, own, validation.labels * learned_of)
            for view, own in probs.items()
        }
        return FusionFit(
            predictor=predictor,
            validation_probs=probs,
            unseen=self._with_others(predictor, unseen),
            choices={"best_step": step, "expert_scales": scales},
            curves={view: validation_curve(workdir / SELECTION, view) for view in VIEWS},
        )

    def _with_others(
        self, predictor: Predictor, unseen: dict[str, UnseenAnswers]
    ) -> dict[str, UnseenAnswers]:
        """Adds what is answered for compounds whose mechanisms the vocabulary lacks."""
        if self.unlabelled is None or not self.unlabelled.has_other_moas.any():
            return unseen
        others = self.unlabelled.take(np.flatnonzero(self.unlabelled.has_other_moas))
        probs = predictor.predict(others)
        joined = {}
        for view, own in unseen.items():
            has = np.ones(others.num_examples, bool)
            for reads, modality in zip(
                READS[view], (others.has_expression, others.has_structure), strict=True
            ):
                has &= modality | (not reads)
            rows = np.flatnonzero(has)
            more = others.take(rows)
            joined[view] = UnseenAnswers(
                concatenate(own.examples, more),
                np.concatenate([own.probs, probs[view][rows]]),
                np.concatenate([own.learnable, np.zeros(more.labels.shape, np.float32)]),
            )
        return joined

    @property
    def _genes(self) -> pd.DataFrame:
        return self.graph.genes.iloc[: self.graph.num_landmarks]

    @property
    def _graph_size(self) -> tuple[int, int]:
        return self.graph.num_genes, self.graph.num_terms

    def _run(
        self,
        config: ml_collections.ConfigDict,
        train: Examples,
        validation: Examples | None,
        folder: pathlib.Path,
        *,
        references: References | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Run:
        """A run; the last one, which has no validation part, describes its references."""
        references = references or references_of(config.label_sharing, train, self.unlabelled)
        if validation is None and is_first_process():
            write_references(folder, reference_table(config, references.examples))
        return Run(
            config,
            train,
            validation,
            make_task=make_fusion_task,
            genes=self._genes,
            graph=self.arrays,
            graph_size=self._graph_size,
            workdir=folder,
            unlabelled=self.unlabelled,
            references=references,
            given=given,
            node_symbols=tuple(self.graph.genes["symbol"]) if reads_targets(config) else (),
        )


def _say_scales(scales: Scales) -> None:
    told = (f"{expert} {scale:.2f}" for expert, scale in scales["fusion"].items())
    say(f"scales of the experts: {', '.join(told)}")


def _with_scales(config: ml_collections.ConfigDict, scales: Scales) -> ml_collections.ConfigDict:
    final = ml_collections.ConfigDict(config.to_dict())
    for view, of_view in scales.items():
        final.expert_scales[view].update(of_view)
    return final


def _scaled(predictor: Predictor, scales: Scales) -> Predictor:
    rows = [list(scales[view].values()) for view in VIEWS]
    given = replicate({"expert_scales": np.asarray(rows, np.float32)}, predictor.mesh)
    return dataclasses.replace(predictor, params={**predictor.params, **given})
