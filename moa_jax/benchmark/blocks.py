"""Parts of the configurations of benchmarks and ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

# Settings that make the networks of the fusion model small, for ablations with many runs.
SMALL_NETWORKS = {
    "model.features": 32,
    "model.hidden": 64,
    "model.knowledge_features": 16,
    "model.knowledge_layers": 1,
    "model.atom_features": 32,
    "model.molecule_layers": 2,
    "training.num_steps": 100,
}


def block(
    methods: Sequence[str],
    *,
    splits: Sequence[str] = ("compound",),
    seeds: Sequence[int] = (0,),
    training: Mapping[str, Sequence[float]] | None = None,
    test: Mapping[str, Sequence[float]] | None = None,
    structure_only_compounds: bool = False,
    test_data: str = "",
) -> ml_collections.ConfigDict:
    """Methods that are run on the same splits and with the same perturbations.

    Args:
      methods: names of the methods.
      splits: names of the split rules.
      seeds: seeds of the methods.
      training: training perturbations instead of `clean`: kind -> levels.
      test: input perturbations in addition to `clean`: kind -> levels.
      structure_only_compounds: also train on labelled structures without a signature.
      test_data: prepared folder of another release to test on, for the rule `phase`.
    """
    config = ml_collections.ConfigDict()
    config.methods = tuple(methods)
    config.splits = tuple(splits)
    config.seeds = tuple(seeds)
    config.training = ml_collections.ConfigDict(dict(training or {}))
    config.test = ml_collections.ConfigDict(dict(test or {}))
    config.structure_only_compounds = structure_only_compounds
    config.test_data = test_data
    return config


def arm(
    values: Mapping[str, Any] | None = None,
    *,
    model: str = "",
    method: str = "",
    view: str = "fusion",
    training: str = "",
    structure_only_compounds: bool = False,
) -> ml_collections.ConfigDict:
    """One arm of an ablation.

    Args:
      values: dotted key of the model's configuration -> its value in this arm.
      model: file of the model's configuration; empty means the ablation's.
      method: a baseline that replaces the model.
      view: the view of the model that is scored.
      training: kind of `training_perturbations.TrainingPerturbation` without levels; empty for
        none.
      structure_only_compounds: also train on labelled structures without a signature.
    """
    config = ml_collections.ConfigDict()
    # A ConfigDict with a dot in a key cannot be printed, so these are pairs.
    config.changes = tuple((values or {}).items())
    config.model = model
    config.method = method
    config.view = view
    config.training = training
    config.structure_only_compounds = structure_only_compounds
    return config


def ablation(
    question: str,
    model: str,
    arms: Mapping[str, ml_collections.ConfigDict],
    *,
    common: Mapping[str, Any] | None = None,
    num_folds: int = 5,
) -> ml_collections.ConfigDict:
    """The complete configuration of one question; see experiments/ablations.

    Args:
      question: the question that the ablation answers.
      model: file of the fusion model's configuration.
      arms: name -> arm; the first is the comparator.
      common: dotted key of the model's configuration -> its value in all arms.
      num_folds: number of folds for each seed.
    """
    config = ml_collections.ConfigDict()
    config.question = question
    # Prepared folder; empty means the embedded simulated release, made on first use.
    config.data = ""
    # frequent: MoAs with at least min_compounds measured compounds; open: all known MoAs.
    config.vocabulary = "frequent"
    config.min_compounds = 5
    config.model = model
    config.common = tuple((common or {}).items())
    config.arms = ml_collections.ConfigDict(arms)
    # A ConfigDict sorts its keys.
    config.order = tuple(arms)
    config.split = ml_collections.ConfigDict()
    config.split.rule = "compound"
    config.split.num_folds = num_folds
    # Each seed makes its own folds and initial parameters.
    config.split.seeds = (0, 1, 2)
    # Fraction of the training compounds on which steps and scales are selected.
    config.split.validation_fraction = 0.2
    config.statistics = ml_collections.ConfigDict({"num_resamples": 2000, "seed": 0})
    return config
