"""What every method offers, baseline or not, so that all are fitted, tuned and scored alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from moa_jax.schemas import Examples, KnowledgeGraph


@runtime_checkable
class Fitted(Protocol):
    """Something that has been trained."""

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA of the training vocabulary for each example.

        Examples may lack expression, structure or both; their labels are not read.
        """


@runtime_checkable
class Learner(Protocol):
    """A way to learn MoAs at fixed settings: what `Tuned` chooses from."""

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> Fitted:
        """Learns.

        Args:
          examples: examples to learn from.
          graph: knowledge graph; its first genes are the examples' expression columns.
          seed: the only source of randomness.
        """


@runtime_checkable
class FittedMethod(Fitted, Protocol):
    """A trained method that can also show how its settings were chosen.

    Attributes:
      validation_probs: what a model with the chosen settings that never saw the validation
        examples answers for them, one row each; calibration is fitted to it.
      report: JSON values: the settings chosen, their validation scores, training curves.
    """

    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]


@runtime_checkable
class Method(Protocol):
    """A learner with its way of choosing settings.

    Attributes:
      name: what tables and files call the method.
    """

    name: str

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedMethod:
        """Trains the method.

        Args:
          train: examples to learn from.
          validation: examples of other compounds to choose settings by, and then to learn from
            as well. May be empty.
          graph: knowledge graph; its first genes are the examples' expression columns.
          seed: the only source of randomness.
        """
