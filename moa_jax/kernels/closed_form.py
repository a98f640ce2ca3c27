"""The experts of a fusion model in closed form, and their leave-one-out answers."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float32

from moa_jax.data.examples.features import EncodedExamples, FeatureSpec
from moa_jax.kernels.label_propagation import LabelPropagation
from moa_jax.kernels.leave_one_out import LeaveOneOutAnswers, leave_one_out
from moa_jax.kernels.ridge import KernelSystem, kernel_systems, reference_labels
from moa_jax.kernels.solved_system import SolvedSystem
from moa_jax.kernels.target_actions import MechanismPrototypes, action_labels
from moa_jax.kernels.target_propagation import References
from moa_jax.models.experts import EXPERTS
from moa_jax.models.fusion import FusionModel
from moa_jax.progress import say
from moa_jax.schemas import Examples, GraphArrays


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """The kernel experts of a model and those through proteins, ready to be solved.

    Attributes:
      features: vocabularies and gene statistics of the training examples.
      references: the examples they are fitted to, training examples first.
      encoded: the references as model inputs, with their soft labels.
      systems: kernel expert -> its system; none in a model of networks alone.
      through_proteins: expert through proteins -> the kernel expert whose evidence it reads.
    """

    features: FeatureSpec
    references: References
    encoded: EncodedExamples
    systems: dict[str, KernelSystem]
    through_proteins: dict[str, str]

    @classmethod
    def of(
        cls,
        config: ml_collections.ConfigDict,
        model: FusionModel,
        features: FeatureSpec,
        graph: GraphArrays,
        references: References,
    ) -> ClosedForm:
        """The experts of a model.

        Args:
          config: a complete configuration; see `configs/fusion.py`.
          model: the model of this configuration.
          features: vocabularies and gene statistics of the training examples.
          graph: the knowledge graph.
          references: the examples they are fitted to, training examples first.
        """
        encoded = references.encode(features)
        systems = kernel_systems(config, model, encoded, features, graph)
        readers = {name: EXPERTS[name].through_proteins for name in model.experts}
        through = {name: kernel for name, kernel in readers.items() if kernel}
        return cls(features, references, encoded, systems, through)

    def encoded_training(self, train: Examples) -> EncodedExamples:
        """The training examples, the first of the references, with their own labels."""
        encoded = self.encoded.take(np.arange(train.num_examples))
        return dataclasses.replace(encoded, labels=train.labels)

    def params(self) -> dict[str, Any]:
        """Kernel expert -> its parameters; and the prototypes of mechanisms, if any reads them."""
        params: dict[str, Any] = {}
        for expert, system in self.systems.items():
            say(f"solving {expert}: {len(system.rows)} references")
            solved = {"coefficients": self._by_moas[expert]}
            if expert in self._by_proteins:
                solved["action_coefficients"] = self._by_proteins[expert]
            params[expert] = system.params | {
                name: jnp.asarray(each.coefficients, jnp.float32) for name, each in solved.items()
            }
        if self.through_proteins:
            params["mechanism_prototypes"] = jnp.asarray(self.prototypes.matrix)
        return params

    def leave_one_out(self, num_asked: int) -> LeaveOneOutAnswers:
        """Leave-one-compound-out answers for the first of the references.

        Args:
          num_asked: how many of them.
        """
        references, proteins = self.references, {}
        asked = (references.examples, self.encoded, num_asked)
        logits, answered = leave_one_out(self._by_moas, references.mechanisms, *asked)
        if self.through_proteins:
            proteins, _ = leave_one_out(self._by_proteins, self._targets, *asked)
            for expert, kernel in self.through_proteins.items():
                logits[expert] = self.prototypes.leave_one_out_logits(proteins[kernel])
                answered[expert] = answered[kernel]
        return LeaveOneOutAnswers(
            references.examples.take(np.arange(num_asked)), logits, answered, proteins
        )

    @functools.cached_property
    def prototypes(self) -> MechanismPrototypes:
        """Mechanisms as sums of what their compounds do to their targets."""
        examples = self.references.examples
        return MechanismPrototypes.of(examples, action_labels(examples, self.features.proteins))

    @functools.cached_property
    def _by_moas(self) -> dict[str, SolvedSystem]:
        """Kernel expert -> its system, solved for soft labels of MoAs."""
        return {expert: self._solved(expert, self.encoded.labels) for expert in self.systems}

    @functools.cached_property
    def _by_proteins(self) -> dict[str, SolvedSystem]:
        """Kernel expert -> its system, solved for soft labels of targets, if these are read."""
        read = [expert for expert in self.systems if expert in self.through_proteins.values()]
        if not read:
            return {}
        labels = self._targets.labels[self._targets.unit]
        return {expert: self._solved(expert, labels) for expert in read}

    def _solved(self, expert: str, labels: Float32[np.ndarray, "example label"]) -> SolvedSystem:
        system = self.systems[expert]
        return SolvedSystem(system, reference_labels(expert, system, self.encoded, labels))

    @functools.cached_property
    def _targets(self) -> LabelPropagation:
        return self.references.targets(self.features.proteins)
