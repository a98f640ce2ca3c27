"""What a run trains: a network, the loss that trains it, and what it then answers."""

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

# What a network says of some examples: view -> one row per example.
Views = dict[str, Float[np.ndarray, "example _"]]
# Makes MoA probabilities of every view.
ReadOut = Callable[[Views], Views]


@dataclasses.dataclass(frozen=True)
class TrainingTask(abc.ABC):
    """Hashable, so that runs of equal tasks share their compiled steps.

    Attributes:
      model: the network, called with (batch, graph, train=...).
      selection_view: the view whose validation score chooses the step.
    """

    model: nn.Module

    selection_view: ClassVar[str]

    @abc.abstractmethod
    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The loss summed over the batch's examples, each times its weight, and its parts.

        Nothing is divided here: a mean over a sharded batch would wait for the other devices
        before the backward pass can begin.

        Args:
          params: parameters of the model.
          batch: the batch with the masks of what is really there.
          graph: the knowledge graph.
          rng: key of the step.
          step: number of updates done, for what changes in the course of training.
        """

    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Mapping[str, Any]:
        """First parameters of the model; `batch` gives the shapes."""
        return self.model.init(rng, batch, graph, train=False).get("params", {})

    def first_state(self, num_examples: int) -> dict[str, Any]:
        """Further parameters that a loss keeps of the training examples, before the first step.

        Args:
          num_examples: number of training examples; `Batch.row` points into them.

        Returns:
          Name -> arrays with one row per training example; nothing unless a task says otherwise.
        """
        del num_examples
        return {}

    def next_state(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array
    ) -> dict[str, Any]:
        """Those of `first_state` when a step begins; see `loss` for the arguments."""
        del params, batch, graph, rng
        return {}

    def answering(self, params: Any) -> Any:
        """The parameters that the model answers with, out of all that a run has."""
        return params

    @abc.abstractmethod
    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """What the trained network says of a batch."""

    def fit_read_out(self, known: Examples, views_of_known: Callable[[], Views]) -> ReadOut:
        """How views become MoA probabilities: as they are, unless a task says otherwise.

        Args:
          known: the examples that the network was trained on.
          views_of_known: what the network says of them, computed when it is asked for.
        """
        del known, views_of_known
        return lambda views: views


# (configuration, features, number of gene and of term nodes) -> task
MakeTrainingTask = Callable[[ml_collections.ConfigDict, FeatureSpec, tuple[int, int]], TrainingTask]
