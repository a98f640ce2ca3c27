"""Scores of compounds for mechanisms that no model has seen, and choices without their help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.compounds.actions import action_of
from moa_jax.evaluation.metrics import auroc, average_precision
from moa_jax.kernels.target_actions import action_rows
from moa_jax.kernels.unseen_mechanisms import Prototypes, Scores
from moa_jax.knowledge.mechanism_names import GeneTexts

Setting = TypeVar("Setting")


def by_name(texts: GeneTexts, names: Sequence[str], genes: Sequence[str]) -> Prototypes:
    """Describes mechanisms by the genes and the action that their names state.

    Args:
      texts: names of genes.
      names: mechanisms.
      genes: symbols of the gene nodes.

    Returns:
      Those whose names name a gene.
    """
    targets = [texts.named_by(name) for name in names]
    actions = [(action_of(name),) * len(own) for name, own in zip(names, targets, strict=True)]
    return Prototypes.of_sums(names, action_rows(targets, actions, genes))


def per_mechanism(
    scores: Scores, labels: Bool[np.ndarray, "compound mechanism"]
) -> dict[str, Float[np.ndarray, " mechanism"]]:
    """AUROC and average precision of the compounds ranked for each mechanism."""
    return {"AUROC": auroc(scores, labels), "AP": average_precision(scores, labels)}


def per_compound(
    scores: Scores, labels: Bool[np.ndarray, "compound mechanism"]
) -> dict[str, Float[np.ndarray, " compound"]]:
    """Average precision of the mechanisms of each compound, and whether the first is right.

    The first of several equal scores counts as the mean of them.
    """
    largest = scores == scores.max(axis=1, keepdims=True)
    first = (largest & labels).sum(axis=1) / largest.sum(axis=1)
    return {"AP per compound": average_precision(scores.T, labels.T), "top-1": first}


def chosen_elsewhere(
    values: Mapping[Setting, Float[np.ndarray, " mechanism"]], fold: Int[np.ndarray, " mechanism"]
) -> list[Setting]:
    """For each fold, the setting that is best on the mechanisms of the other folds.

    Args:
      values: setting -> a score of each mechanism, the higher the better.
      fold: fold of each mechanism.
    """
    return [
        max(values, key=lambda setting: values[setting][fold != held].mean())
        for held in range(fold.max() + 1)
    ]
