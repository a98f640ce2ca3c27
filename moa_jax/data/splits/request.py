"""Input and output of split rules, and the holding out of whole units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from moa_jax.data.splits.identities import IdentityRows
from moa_jax.data.splits.stratification import multilabel_folds
from moa_jax.schemas import UNUSED, Examples


def num_validation_folds(validation_fraction: float) -> int:
    """Number of folds of the non-test part, one of which validates; 0 for no validation part."""
    return round(1 / validation_fraction) if validation_fraction > 0 else 0


@dataclasses.dataclass(frozen=True)
class SplitRequest:
    """Input of a rule; `rows` are the examples without their expression."""

    examples: Examples
    rows: IdentityRows
    fold: int
    num_folds: int
    seed: int
    validation_fraction: float

    @property
    def num_inner_folds(self) -> int:
        """See `num_validation_folds`."""
        return num_validation_folds(self.validation_fraction)

    def folds(
        self, units: Sequence[str], rows: Int[np.ndarray, " row"], num_folds: int
    ) -> Int[np.ndarray, " row"]:
        """Stratified folds of the units of some rows."""
        return multilabel_folds(
            self.examples.labels[rows],
            [self.rows.groups[row] for row in rows],
            [units[row] for row in rows],
            num_folds=num_folds,
            seed=self.seed,
        )


@dataclasses.dataclass(frozen=True)
class SplitParts:
    """Output of a rule: the part of every example, the key column, and what is held out."""

    part: np.ndarray
    unit: str
    held_out: tuple[str, ...] = ()


def hold_out_units(
    request: SplitRequest, units: Sequence[str], known: Bool[np.ndarray, " example"] | None = None
) -> np.ndarray:
    """Parts with one kind of unit held out; examples outside `known` are unused."""
    part = np.full(len(units), UNUSED, dtype=object)
    rows = np.arange(len(units)) if known is None else np.flatnonzero(known)
    folds = request.folds(units, rows, request.num_folds)
    part[rows] = np.where(folds == request.fold, "test", "train")
    if request.num_inner_folds:
        rest = rows[folds != request.fold]
        # With few units, at least one validates, even if the requested share is smaller.
        num_inner_folds = min(request.num_inner_folds, len({units[row] for row in rest}))
        inner = request.folds(units, rest, num_inner_folds)
        part[rest[inner == 0]] = "validation"
    return part
