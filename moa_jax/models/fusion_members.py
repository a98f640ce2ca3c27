"""Several copies of the fusion model's networks in one model, whose answer is their mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from moa_jax.models.fused_networks import NETWORKS
from moa_jax.models.fusion import EXPERTS, FusionModel, FusionOutput
from moa_jax.schemas import Batch, GraphArrays

# What all members share: nothing of it is trained in steps.
SHARED = ("expert_scales", *(expert for expert in EXPERTS if expert not in NETWORKS))
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
        return jax.tree.map(lambda values: values.mean(axis=0), said)

    @nn.compact
    def each(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """What each member says; every array has a leading axis of members."""
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

        # No member draws a kernel expert; `training.kernel_ridge` solves for those.
        shared = {
            name: self.get_variable("params", name)
            for name in SHARED
            if self.has_variable("params", name)
        } or {"expert_scales": self.param("expert_scales", lambda key: drawn(key)["expert_scales"])}
        members = [self.param(f"member_{place}", own) for place in range(self.num_members)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        key = self.make_rng("dropout") if train else jax.random.key(0)

        def say(params: dict[str, Any], key: Array) -> FusionOutput:
            if self.is_initializing():
                return network.init_with_output(key, batch, graph, train=False)[0]
            rngs = {"dropout": key} if train else None
            return network.apply(
                {"params": {**params, **shared}}, batch, graph, train=train, rngs=rngs
            )

        return jax.vmap(say)(stacked, jax.random.split(key, self.num_members))
