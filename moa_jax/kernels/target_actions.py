"""What compounds do to their targets, as labels, and the mechanisms that this describes.

A label has two columns for each protein, how much the compound inhibits it and how much it
activates it; all of the first action come first (`schemas.ACTIONS`). A compound is described by
these pairs of protein and action, a mechanism by the mean of its compounds, so that it can be
recognised by its proteins and actions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from scipy import sparse

from moa_jax.kernels.label_propagation import sources
from moa_jax.schemas import ACTIONS, Examples

# Smaller differences of sums are rounding errors.
_ROUNDING = 1e-9


def known_targets(examples: Examples, symbols: Sequence[str]) -> tuple[str, ...]:
    """The targets of examples among the given gene symbols, in the order of the latter."""
    known = {name for names in examples.targets for name in names}
    return tuple(symbol for symbol in symbols if symbol in known)


def action_labels(
    examples: Examples, proteins: Sequence[str]
) -> Float32[np.ndarray, "example action_protein"]:
    """Pairs of action and protein of each example: `1 / sqrt(targets)`, halved if unknown which.

    So the sum over the actions is the row of unit length of the example's targets.

    Args:
      examples: the examples.
      proteins: gene symbols; other targets only count in the number of targets.
    """
    return action_rows(examples.targets, examples.actions, proteins)


def action_rows(
    targets: Sequence[Sequence[str]], actions: Sequence[Sequence[str]], proteins: Sequence[str]
) -> Float32[np.ndarray, "row action_protein"]:
    """`action_labels` of compounds, or mechanisms, with these targets and actions."""
    place = {symbol: column for column, symbol in enumerate(proteins)}
    labels = np.zeros((len(targets), len(ACTIONS), len(proteins)), np.float32)
    for row, (names, done) in enumerate(zip(targets, actions, strict=True)):
        for target, action in zip(names, done, strict=True):
            if target in place:
                share = np.array([each == action for each in ACTIONS]) if action else 0.5
                labels[row, :, place[target]] = share / np.sqrt(len(names))
    return labels.reshape(len(targets), len(ACTIONS) * len(proteins))


@dataclasses.dataclass(frozen=True)
class MechanismPrototypes:
    """Mechanisms as sums of what their compounds do to their targets.

    Attributes:
      sums: sum of the action labels of the compounds that have each MoA.
      own: action labels of each example, as they are counted in the sums; zeros if they are not.
      moas: labels of MoAs, likewise.
    """

    sums: Float[np.ndarray, "moa action_protein"]
    own: sparse.csr_array
    moas: sparse.csr_array

    @classmethod
    def of(
        cls,
        examples: Examples,
        labels: Float32[np.ndarray, "example action_protein"],
    ) -> MechanismPrototypes:
        """Prototypes of the compounds of examples; each compound counts once.

        Args:
          examples: training examples.
          labels: their `action_labels`.
        """
        known, moas = (
            sparse.csr_array(each, dtype=np.float64) for each in (labels, examples.labels)
        )
        rows = sources(examples.labels, examples.targets, examples.groups)
        sums = (moas[rows].T @ known[rows]).toarray()
        row_of = {examples.groups[row]: row for row in rows.tolist()}
        of_compound = np.array([row_of.get(group, -1) for group in examples.groups], int)
        counted = sparse.diags_array((of_compound >= 0).astype(np.float64))
        return cls(
            sums, (counted @ known[of_compound]).tocsr(), (counted @ moas[of_compound]).tocsr()
        )

    @functools.cached_property
    def matrix(self) -> Float32[np.ndarray, "action_protein moa"]:
        """The prototypes, each of unit length; zeros for a MoA without known targets."""
        return unit_rows(self.sums).T.astype(np.float32)

    def leave_one_out_logits(
        self, evidence: Float32[np.ndarray, "asked action_protein"]
    ) -> Float32[np.ndarray, "asked moa"]:
        """Logits by prototypes that do not count the example's own compound.

        Args:
          evidence: what an expert that does not know their compounds says about the first examples.
        """
        logits = (evidence @ self.matrix).astype(np.float32)
        example, moa = self.moas[: len(evidence)].nonzero()
        left = (sparse.csr_array(self.sums)[moa] - self.own[example]).tocsr()
        left.data[np.abs(left.data) < _ROUNDING] = 0.0
        pair = np.repeat(np.arange(len(moa)), np.diff(left.indptr))
        product = left.data * evidence[example[pair], left.indices]
        length = np.sqrt(np.bincount(pair, left.data**2, len(moa)))
        length = np.where(length > 0, length, 1.0)
        logits[example, moa] = np.bincount(pair, product, len(moa)) / length
        return logits


def unit_rows(rows: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Rows divided by their lengths; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
