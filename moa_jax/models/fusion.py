"""The fusion model: a product of networks and kernel experts."""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.experts import EXPERTS, VIEWS, has_modality, view_of
from moa_jax.models.kernel_experts import KernelExpert
from moa_jax.models.networks import FusedNetworks, FusedState
from moa_jax.schemas import Batch, GraphArrays


@flax.struct.dataclass
class FusionOutput:
    """Everything the model computes that somebody may want to look at.

    Attributes:
      logits: what the model says, from the modalities that each example may use.
      experts: what each expert says, whether or not it may be heard; in the model's order.
      state: what the networks know; None in a model without networks.
    """

    logits: Float[Array, "batch moa"]
    experts: dict[str, Float[Array, "batch moa"]]
    state: FusedState | None


def product_of_experts(
    scales: Mapping[str, Float[Array, " view"]],
    logits: Mapping[str, Float[Array, "batch moa"]],
    batch: Batch,
) -> Float[Array, "batch moa"]:
    """Logits of the product of experts (Hinton 2002).

    Args:
      scales: expert -> its scale in each of `VIEWS`.
      logits: expert -> its logits.
      batch: the examples, with the masks of what may be seen of them; an expert whose modality is
        masked takes no part.
    """
    view = view_of(batch)
    total = jnp.zeros_like(next(iter(logits.values())))
    for expert, own in logits.items():
        scaled = scales[expert][view][:, None] * own
        total += jnp.where(has_modality(expert, batch)[:, None], scaled, 0.0)
    return total


class FusionModel(FusedNetworks, kw_only=True):
    """A product of experts, each weighed by how far it can be trusted.

    `logits` is the sum of the experts' logits, each times its scale, without the experts of masked
    modalities. The scales are temperatures: they are not trained with the rest, whose confidence
    on its own training data means nothing, but fitted to validation compounds afterwards. With
    linear networks on each modality and no other expert this is the product of two logistic
    regressions.

    The attributes of the networks are those of `FusedNetworks`.

    Attributes:
      substructure_families: columns of each view of the substructure counts.
      kernel_settings: name -> setting of a kernel expert, such as `signature_kernel_width`; the
        registry of experts says which reads which.
    """

    substructure_families: tuple[int, ...]
    kernel_settings: Mapping[str, float]

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """Predicts every example of the batch from the modalities its masks allow.

        In training the kernel experts are silent: no step changes them.
        """
        expert_logits, state = self.networks(batch, graph, train=train)
        for name in () if train else self.experts:
            if make_comparison := EXPERTS[name].comparison:
                comparison = make_comparison(self)
                expert_logits[name] = KernelExpert(self.num_moas, comparison, name=name)(
                    batch, graph
                )
        expert_logits = {
            expert: expert_logits[expert] for expert in self.experts if expert in expert_logits
        }
        scales = self.param(
            "expert_scales", nn.initializers.ones_init(), (len(VIEWS), len(self.experts))
        )
        of_expert = dict(zip(self.experts, scales.T, strict=True))
        logits = product_of_experts(
            {name: of_expert[name] for name in expert_logits}, expert_logits, batch
        )
        return FusionOutput(logits=logits, experts=expert_logits, state=state)
