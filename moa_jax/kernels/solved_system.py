"""Kernel ridge regression solved for labels, and its answers for references that are left out.

Nothing needs to be solved again: with `A = K + ridge I` and the rows `B` that are left out, the
model without them predicts `y_B - [(A^-1)_BB]^-1 (A^-1 Y)_B` for them (Allen 1974, for blocks of
rows). Labels are centred, and leaving out a compound may change the labels of others; both changes
of `Y` are exact.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from moa_jax.kernels.ridge import KernelSystem


@dataclasses.dataclass(frozen=True)
class LabelChange:
    """How the labels of references change when others are left out.

    Attributes:
      references: the references whose labels change, each once.
      columns: the labels that may change.
      values: their new values.
    """

    references: Int[np.ndarray, " changed"]
    columns: Int[np.ndarray, " column"]
    values: Float[np.ndarray, "changed column"]


@dataclasses.dataclass(frozen=True)
class SolvedSystem:
    """A kernel system, solved for labels.

    Attributes:
      system: the references and their kernel.
      labels: labels of the references.
    """

    system: KernelSystem
    labels: Float32[np.ndarray, "reference label"]

    @functools.cached_property
    def coefficients(self) -> Float64[np.ndarray, "row label"]:
        """Coefficients of the references; see `KernelSystem.coefficients`."""
        return self.system.coefficients(self.labels)

    def answers_without(
        self, rows: Int[np.ndarray, " row"], change: LabelChange | None = None
    ) -> Float64[np.ndarray, "row label"]:
        """Answers for some references by the model without them.

        Args:
          rows: the references that are left out, each once. Without any other the answers are 0.
          change: the other references whose labels change; None if none does.
        """
        system, own = self.system, self.labels[rows].astype(np.float64)
        num_left = len(self.labels) - len(rows)
        if not num_left:
            return np.zeros_like(own)
        product, total = self.coefficients[rows], self._mean * len(self.labels) - own.sum(axis=0)
        if change is not None:
            columns = change.columns
            added = change.values - self.labels[np.ix_(change.references, columns)]
            product[:, columns] += system.inverse[np.ix_(rows, change.references)] @ added
            total[columns] += added.sum(axis=0)
        mean = total / num_left
        # The coefficients are those of labels that are centred with the mean of all.
        product += np.outer(system.inverse_sums[rows], self._mean - mean)
        return own - mean - np.linalg.solve(system.inverse[np.ix_(rows, rows)], product)

    @functools.cached_property
    def _mean(self) -> Float64[np.ndarray, " label"]:
        return self.labels.mean(axis=0, dtype=np.float64)
