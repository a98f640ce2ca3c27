"""Neural methods: settings and steps are selected on validation, then all examples are used."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import ml_collections
import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.neural.modalities import Modalities
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.baselines.tuning import FittedTuned, check_budget
from moa_jax.data.examples.features import FeatureSpec, encode, fit_features
from moa_jax.data.examples.labels import strata
from moa_jax.schemas import Examples, GraphArrays, KnowledgeGraph, concatenate
from moa_jax.training.fit import Run, validation_curve
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.task import MakeTrainingTask, ReadOut


def with_common_scale(features: FeatureSpec) -> FeatureSpec:
    """One scale for all genes, so that genes that change more have more weight.

    Signatures are z-scores already. After division by each gene's standard deviation, genes that
    hardly respond to any compound would count as much as those that do.

    Returns:
      The features with the root mean square of the genes' scales as the scale of every gene.
    """
    common = np.sqrt(np.mean(features.scale.astype(np.float64) ** 2))
    return dataclasses.replace(features, scale=np.full_like(features.scale, common))


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with its read-out.

    Attributes:
      modalities: the modalities that the network reads.
      predictor: the network.
      read_out: network outputs -> MoA probabilities.
      present: whether the MoA occurs in training; the others get a probability of 0.
      prior: predicts examples that the network cannot.
    """

    modalities: Modalities
    predictor: Predictor
    read_out: ReadOut
    present: Bool[np.ndarray, " moa"]
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probabilities; the training prevalence for examples without a usable modality."""
        probs = self.prior.predict(examples)
        rows = np.flatnonzero(self.modalities.usable(examples))
        if len(rows):
            seen = self.modalities.visible(examples.take(rows))
            views = self.read_out(self.predictor.predict(seen))
            answers = views[self.predictor.task.selection_view] * self.present
            total = answers.sum(axis=1, keepdims=True)
            probs[rows] = np.divide(answers, total, out=np.zeros(answers.shape), where=total > 0)
        return probs


@dataclasses.dataclass(frozen=True)
class NeuralMethod:
    """A network that is trained by `training.fit.Run`.

    Every setting is trained on the training part until the validation score stops improving. The
    best one is trained again from scratch, for its best number of steps, on training and
    validation examples together.

    Attributes:
      name: name of the method in tables and files.
      candidates: settings as text -> complete configuration, at most `BUDGET`; the seed is replaced
        by that of `fit`.
      make_task: makes the network and its loss.
      modalities: the modalities that the network reads.
      make_graph: makes the graph that the network reads.
      workdir: folder of the runs, one per training set. An interrupted fit is resumed.
    """

    name: str
    candidates: Mapping[str, ml_collections.ConfigDict]
    make_task: MakeTrainingTask
    modalities: Modalities
    make_graph: Callable[[KnowledgeGraph], GraphArrays]
    workdir: pathlib.Path

    def __post_init__(self) -> None:
        check_budget(self.name, len(self.candidates))

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedTuned:
        """Selects a setting and trains it.

        The report also has `best_step` and `validation_curve` ([step, macro AUPRC] pairs) of the
        chosen setting. Where the usable examples are of fewer than two classes, the prevalence is
        predicted; without usable validation examples the first setting is taken. The report is
        empty in both cases.

        Raises:
          InputError: the folder has a run of another configuration or on other examples.
        """
        everything = concatenate(train, validation)
        if not self._can_learn_from(everything):
            prior = fit_prevalence(everything)
            return FittedTuned(prior, prior.predict(validation), {})
        if not (self._can_learn_from(train) and self.modalities.usable(validation).any()):
            # There are no validation scores to select by.
            settings = next(iter(self.candidates))
            fitted = self._train(settings, everything, None, graph, seed=seed, folder="final")
            return FittedTuned(fitted, fit_prevalence(train).predict(validation), {})
        folders = {name: f"selection_{row}" for row, name in enumerate(self.candidates)}
        tried = {
            name: self._train(name, train, validation, graph, seed=seed, folder=folder)
            for name, folder in folders.items()
        }
        scores = {name: network.predictor.progress.best_score for name, network in tried.items()}
        chosen = max(scores, key=scores.__getitem__)
        predictor = tried[chosen].predictor
        step, view = predictor.progress.best_step, predictor.task.selection_view
        return FittedTuned(
            fitted=self._train(
                chosen, everything, None, graph, seed=seed, folder="final", num_steps=step
            ),
            validation_probs=tried[chosen].predict(validation),
            report={
                "settings": chosen,
                "validation_macro_auprc": scores,
                "best_step": step,
                "validation_curve": validation_curve(self.workdir / folders[chosen], view),
            },
        )

    def _can_learn_from(self, examples: Examples) -> bool:
        known = examples.take(np.flatnonzero(self.modalities.usable(examples)))
        return len(np.unique(strata(known))) >= 2

    def _train(
        self,
        settings: str,
        train: Examples,
        validation: Examples | None,
        graph: KnowledgeGraph,
        *,
        seed: int,
        folder: str,
        num_steps: int | None = None,
    ) -> TrainedNetwork:
        """One training run, on the usable examples."""
        config = ml_collections.ConfigDict(self.candidates[settings].to_dict())
        config.seed = seed
        known = self.modalities.training_examples(train)
        if validation is not None:
            rows = np.flatnonzero(self.modalities.usable(validation))
            validation = self.modalities.visible(validation.take(rows))
        features = with_common_scale(fit_features(known, graph.genes.iloc[: graph.num_landmarks]))
        predictor = Run(
            config,
            known,
            validation,
            make_task=self.make_task,
            features=features,
            encoded=encode(known, features),
            graph=self.make_graph(graph),
            graph_size=(graph.num_genes, graph.num_terms),
            workdir=self.workdir / folder,
        ).train(num_steps=num_steps)
        return TrainedNetwork(
            modalities=self.modalities,
            predictor=predictor,
            read_out=predictor.task.fit_read_out(known, lambda: predictor.predict(known)),
            present=train.labels.any(axis=0),
            prior=fit_prevalence(train),
        )
