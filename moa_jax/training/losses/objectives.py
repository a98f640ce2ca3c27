"""Training objectives: a loss on all examples of a batch, or on easy ones first."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import Batch
from moa_jax.training.losses.sums import masked_sum, sum_as_of_all

# Logits, labels and known labels of a batch -> loss of every example.
Loss = Callable[
    [Float[Array, "batch moa"], Float[Array, "batch moa"], Bool[Array, "batch moa"]],
    Float[Array, " batch"],
]
# (parameters, key) -> logits of every network in a training step.
Answer = Callable[[Any, Array], Mapping[str, Float[Array, "batch moa"]]]
# Network -> examples that it is trained on: those with the modality that it reads.
ModalityMasks = Mapping[str, Bool[Array, " batch"]]
# Name -> a loss summed over the examples of a batch.
Sums = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """What a training step minimises; hashable.

    The methods after `sums` are for objectives with a state or with several sets of parameters.
    """

    @abc.abstractmethod
    def sums(
        self,
        answer: Answer,
        params: Any,
        rng: Array,
        has_modality: ModalityMasks,
        batch: Batch,
        *,
        step: Int[Array, ""],
    ) -> Sums:
        """Losses whose sum the step minimises.

        Args:
          answer: computes the networks' logits for the batch.
          params: all parameters, trainable or not.
          rng: key of the step.
          has_modality: the examples that each network is trained on.
          batch: labels and weights.
          step: number of updates done.
        """

    def first_params(self, draw: Callable[[Array], Any], rng: Array) -> Any:
        """Initial parameters; `draw` makes those of one set of networks."""
        return draw(rng)

    def answering(self, params: Any) -> Any:
        """The parameters that the model predicts with, out of those that are trained."""
        return params

    def first_state(
        self, networks: tuple[str, ...], num_examples: int, num_moas: int
    ) -> dict[str, Any]:
        """Initial state, kept among the parameters that are not trained."""
        del networks, num_examples, num_moas
        return {}

    def next_state(
        self, answer: Answer, params: Any, rng: Array, has_modality: ModalityMasks, batch: Batch
    ) -> dict[str, Any]:
        """The state at the beginning of a step; see `sums` for the arguments."""
        del answer, params, rng, has_modality, batch
        return {}


@dataclasses.dataclass(frozen=True)
class SelfPaced:
    """Easy examples first (self-paced learning, Kumar 2010, with a share in place of a threshold).

    Attributes:
      first_share: share of a batch's examples, those with the smallest losses, at the start.
      num_gradual: steps over which the share rises to 1.
    """

    first_share: float
    num_gradual: int

    def kept(
        self,
        losses: Float[Array, " batch"],
        candidates: Bool[Array, " batch"],
        step: Int[Array, ""],
    ) -> Bool[Array, " batch"]:
        """The examples that the next step after `step` updates is trained on."""
        share = self.first_share + (1.0 - self.first_share) * risen(step, self.num_gradual)
        return small_losses(losses, candidates, share)


@dataclasses.dataclass(frozen=True)
class PlainObjective(Objective):
    """A loss of logits and labels, of all examples or of easy ones first.

    Attributes:
      loss: the loss.
      pace: selects examples; None for all.
    """

    loss: Loss
    pace: SelfPaced | None = None

    def sums(
        self,
        answer: Answer,
        params: Any,
        rng: Array,
        has_modality: ModalityMasks,
        batch: Batch,
        *,
        step: Int[Array, ""],
    ) -> Sums:
        """The loss of every network. See `Objective.sums`."""
        losses = {
            network: self.loss(logits, batch.labels, batch.label_mask)
            for network, logits in answer(params, rng).items()
        }
        if self.pace is None:
            return {
                network: masked_sum(loss, batch.weight, has_modality[network])
                for network, loss in losses.items()
            }
        kept = self.pace.kept(mean_over_networks(losses, has_modality), batch.example_mask, step)
        return {
            network: sum_as_of_all(
                loss, batch.weight, kept & has_modality[network], has_modality[network]
            )
            for network, loss in losses.items()
        }


def mean_over_networks(
    losses: Mapping[str, Float[Array, " batch"]], has_modality: ModalityMasks
) -> Float[Array, " batch"]:
    """Each example's mean loss over the networks that are trained on it; infinite without any.

    A sum would make examples look easy because they lack a modality.
    """
    number = sum(has_modality[network].astype(jnp.int32) for network in losses)
    total = sum(jnp.where(has_modality[network], loss, 0.0) for network, loss in losses.items())
    return jnp.where(number > 0, total / jnp.maximum(number, 1), jnp.inf)


def small_losses(
    losses: Float[Array, " batch"], candidates: Bool[Array, " batch"], share: Float[Array, ""]
) -> Bool[Array, " batch"]:
    """The share of the candidates with the smallest losses, at least one of them."""
    rank = jnp.argsort(jnp.argsort(jnp.where(candidates, losses, jnp.inf)))
    num_kept = jnp.maximum(jnp.round(share * candidates.sum()), 1)
    return candidates & (rank < num_kept)


def risen(step: Int[Array, ""], num_gradual: int) -> Float[Array, ""]:
    """`min(step / num_gradual, 1)`; 1 if `num_gradual` is 0."""
    return jnp.minimum(step / num_gradual, 1.0) if num_gradual else jnp.ones(())
