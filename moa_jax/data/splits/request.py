"""What a split rule is asked and what it answers, and the holding out of whole units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from moa_jax.data.splits.identities import IdentityRows
from moa_jax.data.splits.stratification import multilabel_folds
from moa_jax.schemas import UNUSED, Examples


def num_validation_folds(validation_fraction: float) -> int:
    """Folds of what is not tested of which one is the validation part; 0 where there is none."""
    return round(1 / validation_fraction) if validation_fraction > 0 else 0


@dataclasses.dataclass(frozen=True)
class SplitRequest:
    """What a rule is asked for; `rows` are the examples without their expression."""

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
    """A rule's answer: the part of every example, what keys it, and what is held out."""

    part: np.ndarray
    unit: str
    held_out: tuple[str, ...] = ()


def hold_out_units(
    request: SplitRequest, units: Sequence[str], known: Bool[np.ndarray, " example"] | None = None
) -> np.ndarray:
    """Parts where one kind of unit is held out; examples that are not known are unused."""
    part = np.full(len(units), UNUSED, dtype=object)
    rows = np.arange(len(units)) if known is None else np.flatnonzero(known)
    folds = request.folds(units, rows, request.num_folds)
    part[rows] = np.where(folds == request.fold, "test", "train")
    if request.num_inner_folds:
        rest = rows[folds != request.fold]
        # Of a few cell lines one at least validates, however small a share is asked for.
        num_inner_folds = min(request.num_inner_folds, len({units[row] for row in rest}))
        inner = request.folds(units, rest, num_inner_folds)
        part[rest[inner == 0]] = "validation"
    return part
