"""How networks learn from a batch: from all its examples, or from easy ones first."""

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
# Network -> real examples that it is trained on: those with the modality that it reads.
Heard = Mapping[str, Bool[Array, " batch"]]
# Name -> a loss summed over the examples of a batch.
Sums = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """What a step minimises, as one of several networks on the same examples. Hashable.

    Most have no state and one set of parameters; the methods after `sums` are for those that do.
    """

    @abc.abstractmethod
    def sums(
        self,
        answer: Answer,
        params: Any,
        rng: Array,
        has_modality: Heard,
        batch: Batch,
        *,
        step: Int[Array, ""],
    ) -> Sums:
        """Losses whose sum the step minimises.

        Args:
          answer: what the networks say of the batch.
          params: their parameters, and those that are not trained.
          rng: key of the step.
          has_modality: the examples that each network is trained on.
          batch: labels and weights.
          step: number of updates done.
        """

    def first_params(self, draw: Callable[[Array], Any], rng: Array) -> Any:
        """Parameters before the first step; `draw` makes those of one set of networks."""
        return draw(rng)

    def answering(self, params: Any) -> Any:
        """The parameters that the model answers with, out of those that are trained."""
        return params

    def first_state(
        self, networks: tuple[str, ...], num_examples: int, num_moas: int
    ) -> dict[str, Any]:
        """What the objective remembers of the training examples, as further parameters.

        They are not trained, and a step sees them among its parameters.
        """
        del networks, num_examples, num_moas
        return {}

    def next_state(
        self, answer: Answer, params: Any, rng: Array, has_modality: Heard, batch: Batch
    ) -> dict[str, Any]:
        """What the objective remembers when a step begins; see `sums` for the arguments."""
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
        """The examples that are trained on in the step after `step` updates."""
        share = self.first_share + (1.0 - self.first_share) * risen(step, self.num_gradual)
        return small_losses(losses, candidates, share)


@dataclasses.dataclass(frozen=True)
class PlainObjective(Objective):
    """A loss of logits and labels, of all examples or of easy ones first.

    Attributes:
      loss: the loss.
      pace: which examples are trained on when; None for all of them always.
    """

    loss: Loss
    pace: SelfPaced | None = None

    def sums(
        self,
        answer: Answer,
        params: Any,
        rng: Array,
        has_modality: Heard,
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
    losses: Mapping[str, Float[Array, " batch"]], has_modality: Heard
) -> Float[Array, " batch"]:
    """Each example's mean loss over the networks that are trained on it, by which it is ranked.

    A sum would call examples easy that lack a modality. Examples of no network come last.
    """
    number = sum(has_modality[network].astype(jnp.int32) for network in losses)
    total = sum(jnp.where(has_modality[network], loss, 0.0) for network, loss in losses.items())
    return jnp.where(number > 0, total / jnp.maximum(number, 1), jnp.inf)


def small_losses(
    losses: Float[Array, " batch"], candidates: Bool[Array, " batch"], share: Float[Array, ""]
) -> Bool[Array, " batch"]:
    """The share of the candidates with the smallest losses; one at least, where there is one."""
    rank = jnp.argsort(jnp.argsort(jnp.where(candidates, losses, jnp.inf)))
    num_kept = jnp.maximum(jnp.round(share * candidates.sum()), 1)
    return candidates & (rank < num_kept)


def risen(step: Int[Array, ""], num_gradual: int) -> Float[Array, ""]:
    """`min(step / num_gradual, 1)`; 1 where there are no such steps."""
    return jnp.minimum(step / num_gradual, 1.0) if num_gradual else jnp.ones(())
