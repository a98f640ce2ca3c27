"""Co-teaching: two sets of networks that select each other's training examples.

Networks fit right labels before wrong ones, so examples with a small loss are probably labelled
correctly. Each set is trained on the examples that have the smallest losses under the other, which
has not made the same mistakes. The parameters of both are in one tree, under `first` and `second`;
the first set predicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import Batch
from moa_jax.training.losses.objectives import (
    Answer,
    Loss,
    ModalityMasks,
    Objective,
    Sums,
    mean_over_networks,
    risen,
    small_losses,
)
from moa_jax.training.losses.sums import sum_as_of_all

MEMBERS = ("first", "second")


@dataclasses.dataclass(frozen=True)
class CoTeaching:
    """Selection of examples in co-teaching (Han 2018) and co-teaching+ (Yu 2019).

    Attributes:
      forget_rate: Han's tau, the final share of examples that are dropped: the expected share of
        wrong labels.
      num_gradual: steps over which the share rises from 0 to `forget_rate`.
      on_disagreement: from step `num_gradual` on, only examples on whose most probable MoA the
        sets disagree are ranked (co-teaching+), or all if they agree on every one.
    """

    forget_rate: float
    num_gradual: int
    on_disagreement: bool

    def kept(
        self,
        logits: Float[Array, "member batch moa"],
        losses: Float[Array, "member batch"],
        batch: Batch,
        step: Int[Array, ""],
    ) -> Bool[Array, "member batch"]:
        """The examples that each set selects for the other."""
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


@dataclasses.dataclass(frozen=True)
class CoTeachingObjective(Objective):
    """Co-teaching (Han 2018, algorithm 1) and co-teaching+ (Yu 2019, algorithm 1).

    Examples are ranked by the mean loss over a set's networks; the sets disagree if the largest of
    their networks' summed logits differ. Each set's mean loss over its selected examples is scaled
    to the whole batch.
    """

    loss: Loss
    teaching: CoTeaching

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
        """The loss of either set. See `Objective.sums`."""
        logits, losses = [], []
        for member, key in zip(MEMBERS, jax.random.split(rng), strict=True):
            of_networks = answer(_of_member(params, member), key)
            logits.append(
                sum(
                    jnp.where(has_modality[name][:, None], values, 0.0)
                    for name, values in of_networks.items()
                )
            )
            losses.append(
                {
                    name: self.loss(values, batch.labels, batch.label_mask)
                    for name, values in of_networks.items()
                }
            )
        ranks = jnp.stack([mean_over_networks(of_member, has_modality) for of_member in losses])
        kept = self.teaching.kept(jnp.stack(logits), ranks, batch, step)
        return {
            member: sum(
                sum_as_of_all(loss, batch.weight, selected & has_modality[name], has_modality[name])
                for name, loss in of_member.items()
            )
            # Each is trained on the other's selection.
            for member, of_member, selected in zip(MEMBERS, losses, kept[::-1], strict=True)
        }

    def first_params(self, draw: Callable[[Array], Any], rng: Array) -> dict[str, Any]:
        """Two sets of parameters."""
        keys = jax.random.split(rng)
        return {member: draw(key) for member, key in zip(MEMBERS, keys, strict=True)}

    def answering(self, params: Any) -> Any:
        """The parameters of the first set."""
        return _of_member(params, MEMBERS[0])


def _of_member(params: Any, member: str) -> dict[str, Any]:
    """The parameters of one set and those that both share."""
    shared = {name: value for name, value in params.items() if name not in MEMBERS}
    return {**params[member], **shared}
