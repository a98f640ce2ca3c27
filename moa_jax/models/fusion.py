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
from moa_jax.schemas import ACTIONS, Batch, GraphArrays


@flax.struct.dataclass
class FusionOutput:
    """Outputs of the fusion model.

    Attributes:
      logits: logits of the product of experts.
      experts: expert -> its logits, also where its modality is masked; in the model's order.
      proteins: kernel expert that an expert through proteins reads -> its evidence for what the
        compound does to each protein.
      state: hidden states of the networks; None in a model without networks.
    """

    logits: Float[Array, "batch moa"]
    experts: dict[str, Float[Array, "batch moa"]]
    proteins: dict[str, Float[Array, "batch action_protein"]]
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
      batch: the examples; an expert whose modality is masked takes no part.
    """
    view = view_of(batch)
    total = jnp.zeros_like(next(iter(logits.values())))
    for expert, of_expert in logits.items():
        scaled = scales[expert][view][:, None] * of_expert
        total += jnp.where(has_modality(expert, batch)[:, None], scaled, 0.0)
    return total


class FusionModel(FusedNetworks, kw_only=True):
    """A product of experts with scales.

    `logits` is the sum of the experts' logits times their scales, without experts of masked
    modalities. The scales are inverse temperatures: they are fitted to out-of-fold answers
    afterwards, because experts are overconfident on their training data. With linear networks on
    each modality and no other expert this is the product of two logistic regressions.

    The attributes of the networks are those of `FusedNetworks`.

    Attributes:
      substructure_families: columns of each view of the substructure counts.
      num_proteins: proteins that experts through proteins know; 0 without such experts.
      kernel_settings: name -> setting of a kernel expert, such as `signature_kernel_width`; the
        registry of experts says which reads which.
    """

    substructure_families: tuple[int, ...]
    num_proteins: int
    kernel_settings: Mapping[str, float]

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """Predicts every example from its unmasked modalities.

        In training, kernel experts are not computed, because no step changes them.
        """
        logits, state = self.networks(batch, graph, train=train)
        proteins = {}
        if not train:
            of_kernels, proteins = self._kernel_experts(batch, graph)
            logits |= of_kernels | self._through_proteins(batch, proteins)
        logits = {name: logits[name] for name in self.experts if name in logits}
        scales = self.param(
            "expert_scales", nn.initializers.ones_init(), (len(VIEWS), len(self.experts))
        )
        of_expert = dict(zip(self.experts, scales.T, strict=True))
        product = product_of_experts({name: of_expert[name] for name in logits}, logits, batch)
        return FusionOutput(logits=product, experts=logits, proteins=proteins, state=state)

    def _kernel_experts(
        self, batch: Batch, graph: GraphArrays
    ) -> tuple[dict[str, Float[Array, "batch moa"]], dict[str, Float[Array, "batch _"]]]:
        """The kernel experts' logits, and the evidence for proteins of those that are read."""
        logits, proteins = {}, {}
        read = {EXPERTS[name].through_proteins for name in self.experts}
        for name in self.experts:
            if make_comparison := EXPERTS[name].comparison:
                width = len(ACTIONS) * self.num_proteins if name in read else 0
                answer = KernelExpert(self.num_moas, width, make_comparison(self), name=name)(
                    batch, graph
                )
                logits[name] = answer.logits
                if name in read:
                    proteins[name] = answer.proteins
        return logits, proteins

    def _through_proteins(
        self, batch: Batch, proteins: Mapping[str, Float[Array, "batch action_protein"]]
    ) -> dict[str, Float[Array, "batch moa"]]:
        """The logits of the experts that answer through proteins; zeros before they are solved."""
        readers = [name for name in self.experts if EXPERTS[name].through_proteins]
        if self.is_initializing():
            return {name: jnp.zeros((len(batch.expression), self.num_moas)) for name in readers}
        return {
            name: jnp.matmul(
                proteins[EXPERTS[name].through_proteins],
                self.variables["params"]["mechanism_prototypes"],
            )
            for name in readers
        }
