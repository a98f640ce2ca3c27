"""Stratified folds of whole units.

A unit is what a rule must not split: a compound, a scaffold, a cell line, a plate.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int, Int64
from sklearn.model_selection import StratifiedGroupKFold

from moa_jax.schemas import InputError


def grouped_folds(
    stratum: Int[np.ndarray, " example"],
    units: Sequence[str],
    *,
    num_folds: int,
    seed: int,
) -> Int[np.ndarray, " example"]:
    """Fold of each example: whole units, stratified by one class (scikit-learn's algorithm).

    Args:
      stratum: class of each example.
      units: unit of each example.
      num_folds: number of folds.
      seed: seed of the shuffle.

    Raises:
      InputError: there are fewer units, or fewer examples of every stratum, than folds.
    """
    _require_units(len(set(units)), num_folds)
    if np.bincount(stratum).max() < num_folds:
        raise InputError(
            f"no class has {num_folds} examples, so {num_folds} stratified folds cannot be made."
        )
    folder = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    folds = np.full(len(stratum), -1)
    with warnings.catch_warnings():
        # Classes may have fewer examples than folds: some folds then lack them, and metrics are
        # computed over the predictions of all folds together.
        warnings.filterwarnings("ignore", message="The least populated class in y has only")
        parts = folder.split(np.zeros((len(stratum), 1)), stratum, np.asarray(units, dtype=str))
        for fold, (_, rows) in enumerate(parts):
            folds[rows] = fold
    return folds


def multilabel_folds(
    labels: Float32[np.ndarray, "example moa"],
    compounds: Sequence[str],
    units: Sequence[str],
    *,
    num_folds: int,
    seed: int,
) -> Int64[np.ndarray, " example"]:
    """Fold of each example: whole units, stratified by all labels.

    Labels are counted in compounds, as in the metrics: a unit counts as often for a label as it
    has compounds with that label.

    Args:
      labels: 1 where the example has the MoA.
      compounds: compound of each example.
      units: unit of each example.
      num_folds: number of folds.
      seed: seed of the order of equal units and of ties between folds.

    Raises:
      InputError: there are fewer units than folds.
    """
    names, unit = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    _, compound = np.unique(np.asarray(compounds, dtype=str), return_inverse=True)
    # One row per compound within a unit, with the labels of all its examples there.
    pairs, pair = np.unique(np.stack([unit, compound], axis=1), axis=0, return_inverse=True)
    carries = np.zeros((len(pairs), labels.shape[1]), bool)
    np.logical_or.at(carries, pair.reshape(-1), labels > 0)
    counts = np.zeros((len(names), labels.shape[1]), np.int64)
    np.add.at(counts, pairs[:, 0], carries)
    sizes = np.bincount(pairs[:, 0], minlength=len(names))
    folds = iterative_stratification(counts, sizes, num_folds=num_folds, seed=seed)
    return folds[unit]


def iterative_stratification(
    counts: Int64[np.ndarray, "unit label"],
    sizes: Int64[np.ndarray, " unit"],
    *,
    num_folds: int,
    seed: int,
) -> Int64[np.ndarray, " unit"]:
    """Fold of each unit by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011).

    The remaining label with the fewest units is assigned first; each of its units goes to the fold
    with the largest deficit of that label, ties to the fold with the largest deficit of units,
    then at random (Algorithm 1 there, for folds of equal size). Units without a label come last.
    Units of unequal size, which the paper does not have, are assigned in order of decreasing size.

    Args:
      counts: count of each label in each unit; 0 and 1 in the paper.
      sizes: size of each unit; 1 in the paper.
      num_folds: number of folds; none stays empty.
      seed: seed of the order of equal units and of ties between folds.

    Raises:
      InputError: there are fewer units than folds.
    """
    _require_units(len(sizes), num_folds)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(sizes))
    # Folds have equal targets, so the largest deficit is the smallest count so far; integer counts
    # make ties exact.
    assigned = np.zeros((num_folds, counts.shape[1]), np.int64)
    assigned_size = np.zeros(num_folds, np.int64)
    folds = np.full(len(sizes), -1)

    def assign(unit: np.int64, least: Int64[np.ndarray, " fold"]) -> None:
        candidates = least[assigned_size[least] == assigned_size[least].min()]
        fold = candidates[rng.integers(len(candidates))] if len(candidates) > 1 else candidates[0]
        folds[unit] = fold
        assigned[fold] += counts[unit]
        assigned_size[fold] += sizes[unit]

    remaining = (counts > 0).sum(axis=0)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        units = shuffled[(folds[shuffled] < 0) & (counts[shuffled, label] > 0)]
        for unit in units[np.lexsort((-sizes[units], -counts[units, label]))]:
            assign(unit, np.flatnonzero(assigned[:, label] == assigned[:, label].min()))
        remaining = remaining - (counts[units] > 0).sum(axis=0)
    units = shuffled[folds[shuffled] < 0]
    for unit in units[np.argsort(-sizes[units], kind="stable")]:
        assign(unit, np.arange(num_folds))
    return folds


def _require_units(num_units: int, num_folds: int) -> None:
    if not 2 <= num_folds <= num_units:
        raise InputError(
            f"{num_units} units cannot be split into {num_folds} folds; expected 2 or more folds, "
            "with at least one unit each."
        )
