"""Labels that compounds with the same targets lend each other.

An MoA is a vocabulary of annotators, a target is what the compound binds: compounds that share
their targets mostly share the mechanism, also where nobody wrote it down. So what the kernel
experts learn from is partly the label of a compound and partly the labels of those that bind the
same proteins, and compounds with known targets but without a label are learned from too. Nothing
is asked of the compound that is predicted for: targets are read in training alone.
"""

from __future__ import annotations

import dataclasses

import ml_collections
import numpy as np
from jaxtyping import Float32, Int

from moa_jax.data.examples import Examples, concatenate


@dataclasses.dataclass(frozen=True)
class References:
    """What kernel experts compare with.

    Attributes:
      examples: the examples, with their own labels.
      labels: what is learned of them; between 0 and 1.
    """

    examples: Examples
    labels: Float32[np.ndarray, "example moa"]


def references_of(
    config: ml_collections.ConfigDict, train: Examples, unlabelled: Examples | None
) -> References:
    """The training examples with shared labels, and the unlabelled ones that labels reach.

    Args:
      config: `share`: how much of a label is that of compounds with the same targets, from 0 to
        1; `prior`: see `lent_labels`; `least`: an unlabelled example is learned from when its
        largest lent label is this much.
      train: training examples.
      unlabelled: further examples; those of a compound group of `train` are left out.
    """
    lent = lent_labels(train.targets, train, prior=config.prior)
    share = np.where(lent.any(axis=1, keepdims=True), config.share, 0.0)
    labels = ((1 - share) * train.labels + share * lent).astype(np.float32)
    if unlabelled is None:
        return References(train, labels)
    known = set(train.groups)
    other = np.array([group not in known for group in unlabelled.groups], bool)
    lent = lent_labels(unlabelled.targets, train, prior=config.prior)
    rows = np.flatnonzero(other & lent.any(axis=1) & (lent.max(axis=1) >= config.least))
    return References(
        concatenate(train, unlabelled.take(rows)),
        np.concatenate([labels, lent[rows]]),
    )


def lent_labels(
    targets: tuple[tuple[str, ...], ...], labelled: Examples, *, prior: float
) -> Float32[np.ndarray, "example moa"]:
    """Labels by targets: `sum_j s_ij y_j / (prior + sum_j s_ij)` over labelled compounds `j`.

    `s` is the cosine of two sets of targets, `|A & B| / sqrt(|A| |B|)`, and `y` the labels of a
    compound, summing to 1 (Nadaraya 1964 and Watson 1964, with `prior` votes for no MoA at all).

    Args:
      targets: known targets of each example; it is lent nothing where there are none.
      labelled: examples whose compounds lend; those without label or targets do not.
      prior: weight of the votes for none.
    """
    lenders = _lenders(labelled)
    names = sorted({name for row in lenders for name in labelled.targets[row]})
    place = {name: column for column, name in enumerate(names)}
    theirs = _unit_rows(tuple(labelled.targets[row] for row in lenders), place)
    labels = labelled.labels[lenders]
    similarity = _unit_rows(targets, place) @ theirs.T
    votes = similarity @ (labels / np.maximum(labels.sum(axis=1, keepdims=True), 1.0))
    total = prior + similarity.sum(axis=1, keepdims=True)
    return np.where(total > 0, votes / np.where(total > 0, total, 1.0), 0.0).astype(np.float32)


def _lenders(labelled: Examples) -> Int[np.ndarray, " lender"]:
    """The first example with label and targets of each compound group."""
    has_targets = np.array([len(names) > 0 for names in labelled.targets], bool)
    rows = np.flatnonzero(labelled.labels.any(axis=1) & has_targets)
    _, first = np.unique([labelled.groups[row] for row in rows], return_index=True)
    return rows[np.sort(first)]


def _unit_rows(
    targets: tuple[tuple[str, ...], ...], place: dict[str, int]
) -> Float32[np.ndarray, "example target"]:
    """Sets as rows of length 1, over the targets of `place`; zeros for an empty set."""
    rows = np.zeros((len(targets), len(place)), np.float32)
    for row, names in enumerate(targets):
        for name in names:
            if name in place:
                rows[row, place[name]] = len(set(names)) ** -0.5
    return rows
