"""Neural methods: settings and number of steps chosen on validation, then trained on everything."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.modalities import Modalities
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.baselines.tuning import BUDGET
from moa_jax.data.labels import strata
from moa_jax.schemas import Examples, GraphArrays, KnowledgeGraph, concatenate
from moa_jax.training.fit import Run, validation_curve
from moa_jax.training.predictor import Predictor
from moa_jax.training.task import MakeTask, ReadOut


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A network with its read-out.

    Attributes:
      modalities: what the network sees.
      predictor: the network.
      read_out: makes MoA probabilities of what it says.
      present: the MoA occurs in training; the others get no probability.
      prior: answers where the network cannot.
    """

    modalities: Modalities
    predictor: Predictor
    read_out: ReadOut
    present: Bool[np.ndarray, " moa"]
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probabilities; the training prevalence where the network sees nothing."""
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
class FittedNeural:
    """A neural method after training.

    Attributes:
      fitted: what predicts; the prevalence alone where usable training examples are of
        fewer than two classes.
      validation_probs: see `FittedMethod`.
      report: `settings` (the chosen one), `validation_macro_auprc` (of each that was tried, at
        its best step), `best_step` and `validation_curve` ([step, macro AUPRC] pairs) of the
        chosen one. Empty without validation examples.
    """

    fitted: TrainedNetwork | FittedPrevalence
    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA for each example."""
        return self.fitted.predict(examples)


@dataclasses.dataclass(frozen=True)
class NeuralMethod:
    """A network that is trained by `training.fit.Run`.

    Every setting is trained on the training part until the validation score stalls. The best
    one is trained again, from new parameters and for its best number of steps, on training and
    validation examples together.

    Attributes:
      name: what tables and files call the method.
      candidates: settings as text -> complete configuration, at most `BUDGET`; the seed gives
        way to that of `fit`.
      make_task: makes the network and its loss.
      modalities: what the network sees.
      make_graph: makes the graph that the network sees.
      workdir: folder of the runs; one folder, one training set. An interrupted fit goes on.
    """

    name: str
    candidates: Mapping[str, ml_collections.ConfigDict]
    make_task: MakeTask
    modalities: Modalities
    make_graph: Callable[[KnowledgeGraph], GraphArrays]
    workdir: pathlib.Path

    def __post_init__(self) -> None:
        if not 1 <= len(self.candidates) <= BUDGET:
            raise ValueError(
                f"{self.name} tries {len(self.candidates)} settings, expected 1 to {BUDGET}."
            )

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedNeural:
        """Chooses and trains.

        Raises:
          InputError: the folder holds a run of another configuration or on other examples.
        """
        everything = concatenate(train, validation)
        if not self._can_learn_from(everything):
            prior = fit_prevalence(everything)
            return FittedNeural(prior, prior.predict(validation), {})
        if not (self._can_learn_from(train) and self.modalities.usable(validation).any()):
            # Nothing to choose by.
            settings = next(iter(self.candidates))
            fitted = self._train(settings, everything, None, graph, seed=seed, folder="final")
            return FittedNeural(fitted, fit_prevalence(train).predict(validation), {})
        folders = {name: f"selection_{row}" for row, name in enumerate(self.candidates)}
        tried = {
            name: self._train(name, train, validation, graph, seed=seed, folder=folder)
            for name, folder in folders.items()
        }
        scores = {name: network.predictor.progress.best_score for name, network in tried.items()}
        chosen = max(scores, key=scores.__getitem__)
        predictor = tried[chosen].predictor
        step, view = predictor.progress.best_step, predictor.task.selection_view
        return FittedNeural(
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
        """One run, on the examples that the network can use."""
        config = ml_collections.ConfigDict(self.candidates[settings].to_dict())
        config.seed = seed
        known = self.modalities.training_examples(train)
        if validation is not None:
            rows = np.flatnonzero(self.modalities.usable(validation))
            validation = self.modalities.visible(validation.take(rows))
        predictor = Run(
            config,
            known,
            validation,
            make_task=self.make_task,
            genes=graph.genes.iloc[: graph.num_landmarks],
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
