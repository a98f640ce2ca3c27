"""Perturbations of the training data: wrong labels, fewer compounds, a randomised graph.

They apply to whole compounds of the training and the validation part: most methods are trained on
both, the others select their settings on the latter. The levels of one kind are nested: a label
that is wrong or a compound that is left out at one level is so at every stronger one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.benchmark.perturbations.input_perturbations import (
    InputPerturbation,
    without_expression,
    without_structure,
)
from moa_jax.benchmark.perturbations.perturbation import (
    CLEAN,
    Perturbation,
    perturbations_from_config,
)
from moa_jax.data.examples.labels import strata
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.knowledge.controls import rewire_interactions, shuffle_annotations
from moa_jax.random_streams import generator
from moa_jax.schemas import Examples, InputError, KnowledgeGraph

# Temperature of the softmax over the centroids' cosines that draws confusable labels.
SIMILARITY_TEMPERATURE = 0.1


@dataclasses.dataclass(frozen=True)
class TrainingPerturbation(Perturbation):
    """How the training and validation parts and the graph are changed before training.

    Attributes:
      kind: one of
        `clean`: unchanged;
        `shuffled_labels`: the label sets are permuted among the compounds of both parts;
        `uniform_labels`: the share `level` of the compounds gets one wrong MoA instead of its
          own, drawn uniformly;
        `confusable_labels`: the same compounds get a wrong MoA with a similar expression profile;
        `compounds`: the share `level` of each part's compounds is kept;
        `rewired_string`: `knowledge.controls.rewire_interactions`;
        `shuffled_annotations`: `knowledge.controls.shuffle_annotations`;
        `without_expression`, `without_structure`: the modality is missing.
      level: see `kind`; 0 for the kinds without a level.
    """

    NOUN: ClassVar[str] = "training perturbation"
    MAX_LEVELS: ClassVar[Mapping[str, float | None]] = {
        CLEAN: None,
        "shuffled_labels": None,
        "uniform_labels": 1.0,
        "confusable_labels": 1.0,
        "compounds": 1.0,
        "rewired_string": None,
        "shuffled_annotations": None,
        "without_expression": None,
        "without_structure": None,
    }

    @property
    def tested_under(self) -> InputPerturbation:
        """The input perturbation that matches this perturbation of the training data.

        A modality that is missing in training is also missing in the test.
        """
        absent = {
            "without_expression": "expression_absent",
            "without_structure": "structure_absent",
        }
        return InputPerturbation(absent.get(self.kind, CLEAN))


def training_perturbations(
    config: Mapping[str, Sequence[float | int]],
) -> tuple[TrainingPerturbation, ...]:
    """The perturbations of a config; see `perturbations_from_config`."""
    return perturbations_from_config(TrainingPerturbation, config)


def perturb_training(
    perturbation: TrainingPerturbation,
    train: Examples,
    validation: Examples,
    graph: KnowledgeGraph,
    *,
    seed: int,
) -> tuple[Examples, Examples, KnowledgeGraph]:
    """Training part, validation part and graph under a perturbation.

    Args:
      perturbation: the training perturbation.
      train: training examples.
      validation: validation examples; may be empty.
      graph: knowledge graph.
      seed: seed of the random numbers.

    Raises:
      InputError: there are fewer than two MoAs for wrong labels, the graph cannot be rewired, or an
        example has no label.
    """
    if perturbation.kind in _OF_LABELS:
        labels_of = _OF_LABELS[perturbation.kind](perturbation, train, validation, seed)
        return _relabelled(train, labels_of), _relabelled(validation, labels_of), graph
    if perturbation.kind in _OF_EXAMPLES:
        change = _OF_EXAMPLES[perturbation.kind]
        return change(perturbation, train, seed), change(perturbation, validation, seed), graph
    return train, validation, _OF_GRAPH[perturbation.kind](graph, seed)


LabelsOf = dict[str, Float[np.ndarray, " moa"]]


def _relabelled(examples: Examples, labels_of: LabelsOf) -> Examples:
    labels = np.empty_like(examples.labels)
    for row, group in enumerate(examples.groups):
        labels[row] = labels_of[group]
    return dataclasses.replace(examples, labels=labels)


def _compounds_of(
    train: Examples, validation: Examples
) -> tuple[tuple[str, ...], Float[np.ndarray, "compound moa"]]:
    """The compounds of both parts, sorted, and the labels of each."""
    labels = np.concatenate([train.labels, validation.labels])
    _, pooled, groups = pool_by_compound(labels, labels, train.groups + validation.groups)
    return groups, pooled


def _shuffled_labels(
    perturbation: TrainingPerturbation, train: Examples, validation: Examples, seed: int
) -> LabelsOf:
    groups, labels = _compounds_of(train, validation)
    order = generator(seed, perturbation.kind).permutation(len(groups))
    return dict(zip(groups, labels[order], strict=True))


def _uniform_labels(
    perturbation: TrainingPerturbation, train: Examples, validation: Examples, seed: int
) -> LabelsOf:
    groups, labels = _compounds_of(train, validation)
    return _wrong_labels(perturbation, groups, labels, np.ones(labels.shape), seed)


def _confusable_labels(
    perturbation: TrainingPerturbation, train: Examples, validation: Examples, seed: int
) -> LabelsOf:
    groups, labels = _compounds_of(train, validation)
    cosine = _moa_cosines(train)
    # The similarity to a compound with several MoAs is that to the nearest of them.
    nearest = np.array([cosine[row > 0].max(axis=0, initial=-1.0) for row in labels])
    weight = np.exp(nearest.reshape(labels.shape) / SIMILARITY_TEMPERATURE)
    return _wrong_labels(perturbation, groups, labels, weight, seed)


def _wrong_labels(
    perturbation: TrainingPerturbation,
    groups: Sequence[str],
    labels: Float[np.ndarray, "compound moa"],
    weight: Float[np.ndarray, "compound moa"],
    seed: int,
) -> LabelsOf:
    """One wrong MoA, drawn by `weight`, for the share `perturbation.level` of the compounds.

    A compound's random numbers depend only on the seed and its group, so both kinds of wrong
    labels affect the same compounds.
    """
    num_moas = labels.shape[1]
    if num_moas < 2:
        raise InputError(f"{perturbation.name} needs at least two MoAs; found {num_moas}.")
    draws = np.array([generator(seed, f"wrong label {group}").random(2) for group in groups])
    # A compound with every MoA cannot get a wrong one.
    weight = np.where(labels > 0, 0.0, weight)
    possible = weight.sum(axis=1) > 0
    mislabelled = np.argsort(np.where(possible, draws[:, 0], np.inf), kind="stable")
    mislabelled = mislabelled[: min(round(perturbation.level * len(groups)), int(possible.sum()))]
    cumulative = weight.cumsum(axis=1)
    labels = labels.copy()
    for row in mislabelled:
        wrong = np.searchsorted(cumulative[row], draws[row, 1] * cumulative[row, -1], side="right")
        labels[row] = np.arange(num_moas) == wrong
    return dict(zip(groups, labels, strict=True))


def _moa_cosines(train: Examples) -> Float[np.ndarray, "moa moa"]:
    """Cosine between the MoAs' expression centroids, relative to the mean compound; 0 if unknown.

    Each compound counts once, whatever its number of signatures.
    """
    rows = np.flatnonzero(train.has_expression)
    groups, unit = np.unique(np.array(train.groups, dtype=str)[rows], return_inverse=True)
    expression = train.expression[np.ix_(rows, np.flatnonzero(train.gene_mask))]
    mean = np.zeros((len(groups), expression.shape[1]))
    np.add.at(mean, unit, expression)
    mean /= np.maximum(np.bincount(unit, minlength=len(groups)), 1)[:, None]
    labels = np.zeros((len(groups), len(train.moas)))
    np.maximum.at(labels, unit, train.labels[rows])
    if len(groups):
        mean -= mean.mean(axis=0)
    # The sum has the direction of the mean.
    centroid = labels.T @ mean
    length = np.linalg.norm(centroid, axis=1, keepdims=True)
    centroid = np.divide(centroid, length, out=np.zeros_like(centroid), where=length > 0)
    return centroid @ centroid.T


def _fewer_compounds(perturbation: TrainingPerturbation, examples: Examples, seed: int) -> Examples:
    """A share of the compounds, stratified by MoA and nested over levels.

    Compounds that together cover every MoA are kept first, the rarest MoA first; then the others,
    evenly from each MoA.
    """
    if not examples.num_examples:
        return examples
    _, labels, groups = pool_by_compound(examples.labels, examples.labels, examples.groups)
    draw = np.array([generator(seed, f"{perturbation.kind} {group}").random() for group in groups])
    covered = np.zeros(len(examples.moas), bool)
    order: list[int] = []
    for moa in np.argsort(labels.sum(axis=0), kind="stable"):
        carriers = np.flatnonzero(labels[:, moa] > 0)
        if len(carriers) and not covered[moa]:
            first = int(carriers[draw[carriers].argmin()])
            order.append(first)
            covered |= labels[first] > 0
    stratum = pd.Series(strata(examples)).groupby(np.asarray(examples.groups, dtype=str)).min()
    of_stratum = pd.Series(draw).groupby(stratum.to_numpy())
    place = ((of_stratum.rank() - 1 + draw) / of_stratum.transform("size")).to_numpy()
    others = np.setdiff1d(np.arange(len(groups)), order)
    order += others[np.argsort(place[others], kind="stable")].tolist()
    kept = {groups[row] for row in order[: max(1, round(perturbation.level * len(groups)))]}
    return examples.take(np.flatnonzero([group in kept for group in examples.groups]))


def _without_expression(_: TrainingPerturbation, examples: Examples, __: int) -> Examples:
    return without_expression(examples)


def _without_structure(_: TrainingPerturbation, examples: Examples, __: int) -> Examples:
    return without_structure(examples)


_OF_LABELS: dict[str, Callable[[TrainingPerturbation, Examples, Examples, int], LabelsOf]] = {
    "shuffled_labels": _shuffled_labels,
    "uniform_labels": _uniform_labels,
    "confusable_labels": _confusable_labels,
}
_OF_EXAMPLES: dict[str, Callable[[TrainingPerturbation, Examples, int], Examples]] = {
    "compounds": _fewer_compounds,
    "without_expression": _without_expression,
    "without_structure": _without_structure,
}
_OF_GRAPH: dict[str, Callable[[KnowledgeGraph, int], KnowledgeGraph]] = {
    CLEAN: lambda graph, _: graph,
    "rewired_string": lambda graph, seed: rewire_interactions(graph, seed=seed),
    "shuffled_annotations": lambda graph, seed: shuffle_annotations(graph, seed=seed),
}
