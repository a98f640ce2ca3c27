"""What every method offers, baseline or not, so that all are fitted and scored alike."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from moa_jax.data.examples import Examples
from moa_jax.schemas import KnowledgeGraph


@runtime_checkable
class Fitted(Protocol):
    """A method that has been trained."""

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA of the training vocabulary for each example.

        Examples may lack expression, structure or both; their labels are not read.
        """


@runtime_checkable
class Method(Protocol):
    """A way to learn MoAs from examples.

    Attributes:
      name: what tables and files call the method.
    """

    name: str

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> Fitted:
        """Trains the method.

        Args:
          train: examples to learn from.
          validation: examples to choose settings by, or, for a method that chooses nothing, to
            learn from as well. May be empty.
          graph: knowledge graph over the genes of the expression columns.
          seed: the only source of randomness.
        """
