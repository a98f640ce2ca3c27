"""What a run trains: a model, the loss that trains it, and the answers it gives."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int

from moa_jax.data.examples.features import FeatureSpec
from moa_jax.schemas import Batch, Examples, GraphArrays

# View -> the model's output, one row per example.
Views = dict[str, Float[np.ndarray, "example _"]]
# Turns outputs into MoA probabilities.
ReadOut = Callable[[Views], Views]


@dataclasses.dataclass(frozen=True)
class TrainingTask(abc.ABC):
    """A model and its loss; hashable, so that runs of equal tasks share their compiled steps.

    Attributes:
      model: called with (batch, graph, train=...).
      selection_view: the view whose validation score selects the step.
    """

    model: nn.Module

    selection_view: ClassVar[str]

    @property
    def starts_solved(self) -> bool:
        """Whether the model answers before the first step; then that is a step to select."""
        return False

    @abc.abstractmethod
    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss, weighted and summed over the batch's examples, and its parts.

        A sum and no mean: a mean over a sharded batch would wait for the other devices before the
        backward pass can begin.

        Args:
          params: parameters of the model.
          batch: the batch with all its modalities.
          graph: the knowledge graph.
          rng: key of the step.
          step: number of updates done, for schedules.
        """

    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Mapping[str, Any]:
        """Initial parameters of the model; `batch` provides the shapes."""
        return self.model.init(rng, batch, graph, train=False).get("params", {})

    def first_state(self, num_examples: int) -> dict[str, Any]:
        """Initial state of a loss that remembers training examples; empty by default.

        Args:
          num_examples: number of training examples; `Batch.row` points into them.

        Returns:
          Name -> arrays with one row per training example.
        """
        del num_examples
        return {}

    def next_state(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array
    ) -> dict[str, Any]:
        """The loss's state at the beginning of a step; see `loss` for the arguments."""
        del params, batch, graph, rng
        return {}

    def answering(self, params: Any) -> Any:
        """The parameters that the model predicts with, out of all that a run has."""
        return params

    @abc.abstractmethod
    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """View -> the trained model's output for a batch."""

    def proteins(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch action gene"]]:
        """View -> logits of what the compound does to each gene node; by default none."""
        del params, batch, graph
        return {}

    def fit_read_out(self, known: Examples, views_of_known: Callable[[], Views]) -> ReadOut:
        """How outputs become MoA probabilities; by default they are probabilities already.

        Args:
          known: the training examples.
          views_of_known: computes the model's outputs for them.
        """
        del known, views_of_known
        return lambda views: views


# (configuration, features, numbers of gene nodes and term nodes) -> task
MakeTrainingTask = Callable[[ml_collections.ConfigDict, FeatureSpec, tuple[int, int]], TrainingTask]
