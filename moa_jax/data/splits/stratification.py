"""Folds of whole units that resemble each other in their labels.

A unit is what a rule must not divide: a compound, a scaffold, a cell line, a plate.
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
    """Fold of each example: units whole, one class of each spread evenly (scikit-learn's rule).

    Args:
      stratum: class that is spread over the folds.
      units: what must not be divided.
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
        # A class with fewer examples than folds is legal here: some folds then lack it, and the
        # metrics are computed over the predictions of all folds together.
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
    """Fold of each example: units whole, all labels spread evenly over the folds.

    What is spread are compounds, since they are what a metric counts: a unit weighs as many of
    a label as it has compounds that carry it.

    Args:
      labels: 1 where the example has the MoA.
      compounds: compound of each example.
      units: what must not be divided.
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

    Of the labels that remain, the one of fewest units is taken; each of its units goes to the
    fold that still wants most of it, of equal ones to the fold that wants most units, of equal
    ones to one by chance (Algorithm 1 there, for folds of equal size). Units without a label
    come last. Units that weigh more than one come in order of weight, the heaviest first, as
    long as the folds have room for them.

    Args:
      counts: how much of each label a unit brings; 0 and 1 in the paper.
      sizes: weight of each unit; 1 in the paper.
      num_folds: number of folds; none stays empty.
      seed: seed of the order of equal units and of ties between folds.

    Raises:
      InputError: there are fewer units than folds.
    """
    _require_units(len(sizes), num_folds)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(sizes))
    # All folds want the same, so the fold that wants most is the one that got least so far.
    # Counting what they got keeps whole numbers, among which ties are exact.
    got = np.zeros((num_folds, counts.shape[1]), np.int64)
    got_size = np.zeros(num_folds, np.int64)
    folds = np.full(len(sizes), -1)

    def place(unit: np.int64, least: Int64[np.ndarray, " fold"]) -> None:
        candidates = least[got_size[least] == got_size[least].min()]
        fold = candidates[rng.integers(len(candidates))] if len(candidates) > 1 else candidates[0]
        folds[unit] = fold
        got[fold] += counts[unit]
        got_size[fold] += sizes[unit]

    remaining = (counts > 0).sum(axis=0)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        units = shuffled[(folds[shuffled] < 0) & (counts[shuffled, label] > 0)]
        for unit in units[np.lexsort((-sizes[units], -counts[units, label]))]:
            place(unit, np.flatnonzero(got[:, label] == got[:, label].min()))
        remaining = remaining - (counts[units] > 0).sum(axis=0)
    units = shuffled[folds[shuffled] < 0]
    for unit in units[np.argsort(-sizes[units], kind="stable")]:
        place(unit, np.arange(num_folds))
    return folds


def _require_units(num_units: int, num_folds: int) -> None:
    if not 2 <= num_folds <= num_units:
        raise InputError(
            f"{num_units} units cannot make {num_folds} folds; 2 or more, at most one a unit."
        )
