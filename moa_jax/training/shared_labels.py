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
from jaxtyping import Float, Float32, Int

from moa_jax.data.examples import Examples, concatenate, of_other_groups

# How steeply the agreement of others takes doubt away.
_SPARED = 4


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
        1; `doubt`: how much of the rest it becomes where they contradict the label, see `doubt`;
        `prior`: see `lent_labels`; `least`: an unlabelled example is learned from when its largest
        lent label is this much.
      train: training examples.
      unlabelled: further examples; those of a compound group of `train` are left out.
    """
    lent = lent_labels(train.targets, train, prior=config.prior)
    doubted = config.share + (1 - config.share) * config.doubt * doubt(train)
    share = np.where(lent.any(axis=1), doubted, 0.0)[:, None]
    labels = ((1 - share) * train.labels + share * lent).astype(np.float32)
    if unlabelled is None:
        return References(train, labels)
    other = of_other_groups(unlabelled, train)
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
    labels = labelled.labels[lenders]
    similarity = _similarity(targets, labelled, lenders)
    votes = similarity @ (labels / np.maximum(labels.sum(axis=1, keepdims=True), 1.0))
    total = prior + similarity.sum(axis=1, keepdims=True)
    return np.where(total > 0, votes / np.where(total > 0, total, 1.0), 0.0).astype(np.float32)


def doubt(labelled: Examples) -> Float[np.ndarray, " example"]:
    """How far other compounds with the same targets contradict an example's label.

    `n / (n + 1) * (1 - a) ** 4`, where `n` is the sum of the other labelled compounds' cosines `s`
    (see `lent_labels`) and `a` the share of it whose compounds carry the label; of several labels
    the one that is shared most. The power spares mechanisms that have their targets in common with
    another one, as agonists and antagonists of a receptor have: who agrees with a third of the
    others is hardly doubted. 0 where nobody else has the targets.
    """
    lenders = _lenders(labelled)
    similarity = _similarity(labelled.targets, labelled, lenders)
    groups = np.array(labelled.groups)
    similarity = np.where(groups[:, None] == groups[lenders][None], 0.0, similarity)
    votes = similarity.sum(axis=1)
    carrying = similarity @ (labelled.labels[lenders] > 0)
    agreeing = np.where(labelled.labels > 0, carrying, 0.0).max(axis=1, initial=0.0)
    share = np.minimum(agreeing / np.where(votes > 0, votes, 1.0), 1.0)
    return votes / (votes + 1) * (1 - share) ** _SPARED


def _similarity(
    targets: tuple[tuple[str, ...], ...], labelled: Examples, lenders: Int[np.ndarray, " lender"]
) -> Float32[np.ndarray, "example lender"]:
    """Cosines of sets of targets with those of the lenders."""
    names = sorted({name for row in lenders for name in labelled.targets[row]})
    place = {name: column for column, name in enumerate(names)}
    theirs = _unit_rows(tuple(labelled.targets[row] for row in lenders), place)
    return _unit_rows(targets, place) @ theirs.T


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
