"""Several copies of the fusion model's networks in one model, whose answer is their mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array

from moa_jax.models.fused_networks import MOA_TARGETS, NETWORKS
from moa_jax.models.fusion import EXPERTS, FusionModel, FusionOutput
from moa_jax.schemas import Batch, GraphArrays

# What all members share: nothing of it is trained in steps.
SHARED = (
    *("expert_scales", MOA_TARGETS),
    *(expert for expert in EXPERTS if expert not in NETWORKS),
)
_OWN_OF_FLAX = ("parent", "name")


class FusionMembers(FusionModel):
    """The fusion model with several copies of its networks, or an ensemble of such models.

    Parameters are `member_0`, `member_1`, ..., each with the parameters of the networks of a
    `FusionModel`, and beside them the scales and the kernel experts, once. An answer is the mean
    of the members' logits, as their product of experts has it: the scales hold for the mean as
    they do for each.

    Attributes:
      num_members: number of copies.
    """

    num_members: int

    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """The mean of what the members say."""
        said = self.each(batch, graph, train=train)
        return jax.tree.map(lambda *values: sum(values) / len(values), *said)

    @nn.compact
    def each(self, batch: Batch, graph: GraphArrays, *, train: bool) -> tuple[FusionOutput, ...]:
        """What each member says."""
        settings = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(FusionModel)
            if field.name not in _OWN_OF_FLAX
        }
        network = FusionModel(**settings, parent=None)

        def drawn(key: Array) -> dict[str, Any]:
            return network.init(key, batch, graph, train=False)["params"]

        def own(key: Array) -> dict[str, Any]:
            return {name: value for name, value in drawn(key).items() if name not in SHARED}

        # No member draws a kernel expert; `kernels.ridge` solves for those.
        shared = {
            name: self.get_variable("params", name)
            for name in SHARED
            if self.has_variable("params", name)
        } or {"expert_scales": self.param("expert_scales", lambda key: drawn(key)["expert_scales"])}
        members = [self.param(f"member_{place}", own) for place in range(self.num_members)]

        def say(own: dict[str, Any]) -> FusionOutput:
            if self.is_initializing():
                return network.init_with_output(jax.random.key(0), batch, graph, train=False)[0]
            rngs = {"dropout": self.make_rng("dropout")} if train else None
            params = {**own, **shared}
            return network.apply({"params": params}, batch, graph, train=train, rngs=rngs)

        return tuple(map(say, members))
