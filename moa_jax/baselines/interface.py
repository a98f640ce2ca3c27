"""The interface of all methods, so that all are trained, tuned and scored in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from moa_jax.schemas import Examples, KnowledgeGraph


@runtime_checkable
class Fitted(Protocol):
    """A trained model."""

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probability of each MoA of the training vocabulary for each example.

        Examples may lack expression, structure or both; their labels are not read.
        """


@runtime_checkable
class Learner(Protocol):
    """A learning algorithm at fixed settings; `Tuned` selects among several."""

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> Fitted:
        """Trains a model.

        Args:
          examples: training examples.
          graph: knowledge graph; its first genes are the examples' expression columns.
          seed: the only source of randomness.
        """


@runtime_checkable
class FittedMethod(Fitted, Protocol):
    """A trained method, with a report on the selection of its settings.

    Attributes:
      validation_probs: probabilities of the validation examples by a model with the selected
        settings that was not trained on them, one row each; calibration is fitted to them.
      report: JSON values: the selected settings, validation scores, training curves.
    """

    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]


@runtime_checkable
class Method(Protocol):
    """A learner together with the selection of its settings.

    Attributes:
      name: name of the method in tables and files.
    """

    name: str

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedMethod:
        """Trains the method.

        Args:
          train: training examples.
          validation: examples of other compounds, on which settings are selected and which are
            then added to the training examples. May be empty.
          graph: knowledge graph; its first genes are the examples' expression columns.
          seed: the only source of randomness.
        """
