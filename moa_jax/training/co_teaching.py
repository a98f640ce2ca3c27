"""Learning from examples with small losses: at one's own pace, or co-teaching's two networks."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.losses import sum_as_of_all
from moa_jax.training.sigmoid_losses import RobustLoss
from moa_jax.training.task import Task


class Twins(nn.Module):
    """Two networks of one kind, from different first parameters and under different dropout.

    Attributes:
      network: what both are like.
    """

    network: nn.Module

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "twin batch moa"]:
        """Logits of both.

        Their parameters stand side by side in one tree, so that the optimiser tells matrices
        from vectors as in one network.
        """
        twins = [self.network.clone(parent=self, name=name) for name in ("first", "second")]
        return jnp.stack([twin(batch, graph, train=train) for twin in twins])


def small_losses(
    losses: Float[Array, " batch"], candidates: Bool[Array, " batch"], share: Float[Array, ""]
) -> Bool[Array, " batch"]:
    """The share of the candidates with the smallest losses; one at least, where there is one."""
    rank = jnp.argsort(jnp.argsort(jnp.where(candidates, losses, jnp.inf)))
    num_kept = jnp.maximum(jnp.round(share * candidates.sum()), 1)
    return candidates & (rank < num_kept)


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
class CoTeaching:
    """Who learns from what in co-teaching (Han 2018) and co-teaching+ (Yu 2019).

    Attributes:
      forget_rate: share of the examples that is left out in the end, Han's tau: the expected
        share of wrong labels.
      num_gradual: steps over which the share rises to that from 0.
      on_disagreement: from step `num_gradual` on, only examples for which the networks' most
        probable MoAs differ are ranked (co-teaching+); all are where they agree on every one.
    """

    forget_rate: float
    num_gradual: int
    on_disagreement: bool

    def given(
        self,
        logits: Float[Array, "twin batch moa"],
        losses: Float[Array, "twin batch"],
        batch: Batch,
        step: Int[Array, ""],
    ) -> Bool[Array, "twin batch"]:
        """The examples that each network learns from: those that the other one keeps."""
        return self.kept(logits, losses, batch, step)[::-1]

    def kept(
        self,
        logits: Float[Array, "twin batch moa"],
        losses: Float[Array, "twin batch"],
        batch: Batch,
        step: Int[Array, ""],
    ) -> Bool[Array, "twin batch"]:
        """The examples that each network keeps for the other."""
        candidates = batch.example_mask
        if self.on_disagreement:
            lowest = jnp.finfo(logits.dtype).min
            first, second = jnp.where(batch.label_mask, logits, lowest).argmax(axis=-1)
            differ = candidates & (first != second)
            late = step >= self.num_gradual
            candidates = jnp.where(late & differ.any(), differ, candidates)
        return jax.vmap(small_losses, in_axes=(0, None, None))(
            losses, candidates, self.kept_share(step)
        )

    def kept_share(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """`1 - tau min(step / num_gradual, 1)`, Han's R(T)."""
        return 1.0 - self.forget_rate * risen(step, self.num_gradual)


def risen(step: Int[Array, ""], num_gradual: int) -> Float[Array, ""]:
    """`min(step / num_gradual, 1)`; 1 where there are no such steps."""
    return jnp.minimum(step / num_gradual, 1.0) if num_gradual else jnp.ones(())


@dataclasses.dataclass(frozen=True)
class CoTeachingTask(Task):
    """Co-teaching (Han 2018, algorithm 1) and co-teaching+ (Yu 2019, algorithm 1).

    Networks fit right labels before wrong ones, so examples with a small loss are likely to be
    labelled right. Each network ranks the batch by its own losses, and the other learns from the
    first of that order, because what one has fitted by mistake the other has not.

    Attributes:
      model: the two networks.
      example_loss: ranks the examples and trains.
      teaching: who learns from what.
    """

    model: Twins
    example_loss: RobustLoss
    teaching: CoTeaching

    selection_view: ClassVar[str] = "answer"

    def loss(
        self, params: Any, batch: Batch, graph: GraphArrays, rng: Array, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Loss of one step; see `Task.loss`.

        Each network's mean loss over the examples that it is given counts as if it were that of
        the whole batch. The sum of the two has no term that both networks' parameters enter.
        """
        logits = self.model.apply(
            {"params": params}, batch, graph, train=True, rngs={"dropout": rng}
        )
        losses = jax.vmap(self.example_loss, in_axes=(0, None, None))(
            logits, batch.labels, batch.label_mask
        )
        given = self.teaching.given(logits, losses, batch, step)
        first, second = jax.vmap(sum_as_of_all, in_axes=(0, None, 0, None))(
            losses, batch.weight, given, batch.example_mask
        )
        return first + second, {"first": first, "second": second}

    def views(
        self, params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch column"]]:
        """The mean of both networks' probabilities under `answer`."""
        logits = self.model.apply({"params": params}, batch, graph, train=False)
        return {"answer": jax.nn.sigmoid(logits).mean(axis=0)}
