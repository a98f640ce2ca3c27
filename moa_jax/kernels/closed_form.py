"""The kernel experts of a fusion model in closed form, and their leave-one-out answers."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_collections
import numpy as np

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers, leave_one_out
from moa_jax.kernels.ridge import KernelSystem, kernel_systems, solve
from moa_jax.kernels.target_propagation import References
from moa_jax.models.fusion import FusionModel
from moa_jax.progress import say
from moa_jax.schemas import Examples, GraphArrays


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """The kernel experts of a model, ready to be solved.

    Attributes:
      features: vocabularies and gene statistics of the training examples.
      references: the examples they are fitted to, training examples first.
      encoded: the references as model inputs, with their soft labels.
      systems: kernel expert -> its system; none in a model of networks alone.
    """

    features: FeatureSpec
    references: References
    encoded: EncodedExamples
    systems: dict[str, KernelSystem]

    @classmethod
    def of(
        cls,
        config: ml_collections.ConfigDict,
        model: FusionModel,
        features: FeatureSpec,
        graph: GraphArrays,
        references: References,
    ) -> ClosedForm:
        """The kernel experts of a model.

        Args:
          config: a complete configuration; see `configs/fusion.py`.
          model: the model of this configuration.
          features: vocabularies and gene statistics of the training examples.
          graph: the knowledge graph.
          references: the examples they are fitted to, training examples first.
        """
        encoded = references.encode(features)
        systems = kernel_systems(config, model, encoded, features, graph)
        return cls(features, references, encoded, systems)

    def encoded_training(self, train: Examples) -> EncodedExamples:
        """The training examples, the first of the references, with their own labels."""
        encoded = self.encoded.take(np.arange(train.num_examples))
        return dataclasses.replace(encoded, labels=train.labels)

    def params(self) -> dict[str, dict[str, Any]]:
        """Kernel expert -> its parameters."""
        for expert, system in self.systems.items():
            say(f"solving {expert}: {len(system.rows)} references")
        return solve(self.systems, self.encoded)

    def leave_one_out(self, num_labelled: int) -> LeaveOneOutAnswers:
        """Leave-one-compound-out answers for the training examples.

        Args:
          num_labelled: number of training examples.
        """
        return leave_one_out(self.systems, self.references, self.encoded, num_labelled)
