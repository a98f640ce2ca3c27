"""The fusion model: a product of networks and kernel experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.experts import EXPERTS, PROTEIN_NETWORK, VIEWS, has_modality, view_of
from moa_jax.models.kernel_experts import KernelExpert
from moa_jax.models.networks import FusedNetworks, FusedState
from moa_jax.models.protein_answers import PROTEINS, scaled_evidence
from moa_jax.models.protein_network import (
    ClosedFormAnswer,
    Mechanisms,
    NetworkAnswer,
    ProteinNetwork,
    Proteins,
)
from moa_jax.schemas import ACTIONS, Batch, GraphArrays, LeftOut

# Name of the mechanisms' lengths among the parameters; see `Mechanisms`.
MECHANISMS = "mechanisms"


@flax.struct.dataclass
class FusionOutput:
    """Outputs of the fusion model.

    Attributes:
      logits: logits of the product of experts.
      experts: expert -> its logits, also where its modality is masked; in the model's order.
      proteins: kernel expert that an expert through proteins reads -> its evidence for what the
        compound does to each protein.
      network: what the protein network says; None in a model without it.
      state: hidden states of the networks; None in a model without networks.
    """

    logits: Float[Array, "batch moa"]
    experts: dict[str, Float[Array, "batch moa"]]
    proteins: dict[str, Float[Array, "batch action_protein"]]
    state: FusedState | None
    network: NetworkAnswer | None = None


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

        In training, experts in closed form are not computed, because no step changes them; their
        leave-one-compound-out answers take their place, if the batch has them.
        """
        scales = self.param(
            "expert_scales", nn.initializers.ones_init(), (len(VIEWS), len(self.experts))
        )
        of_expert = dict(zip(self.experts, scales.T, strict=True))
        logits, state = self.networks(batch, graph, train=train)
        closed, proteins, network = {}, {}, None
        if batch.left_out is not None:
            closed, proteins = self._left_out(batch.left_out)
        elif not train:
            closed, proteins = self._kernel_experts(batch, graph)
            closed |= self._through_proteins(proteins)
        if PROTEIN_NETWORK in self.experts:
            scaled = {
                name: product_of_experts(of_expert, {name: closed[name]}, batch) for name in closed
            }
            network = self._protein_network(scaled, proteins, state, batch, graph)
            logits[PROTEIN_NETWORK] = network.mechanisms
        logits |= closed
        logits = {name: logits[name] for name in self.experts if name in logits}
        product = product_of_experts({name: of_expert[name] for name in logits}, logits, batch)
        return FusionOutput(
            logits=product, experts=logits, proteins=proteins, state=state, network=network
        )

    def _left_out(
        self, left_out: LeftOut
    ) -> tuple[dict[str, Float[Array, "batch moa"]], dict[str, Float[Array, "batch _"]]]:
        """The leave-one-compound-out answers in the form of those that are computed."""
        closed = [name for name in self.experts if not EXPERTS[name].is_network]
        kernels = [name for name in closed if EXPERTS[name].comparison]
        return (
            {name: left_out.logits[:, place] for place, name in enumerate(closed)},
            {name: left_out.proteins[:, place] for place, name in enumerate(kernels)},
        )

    def _protein_network(
        self,
        scaled: Mapping[str, Float[Array, "batch moa"]],
        evidence: Mapping[str, Float[Array, "batch action_protein"]],
        state: FusedState,
        batch: Batch,
        graph: GraphArrays,
    ) -> NetworkAnswer:
        """What the protein network says.

        Args:
          scaled: expert in closed form -> its logits times its scale.
          evidence: kernel expert -> its evidence.
          state: hidden states of the encoders.
          batch: the examples.
          graph: the knowledge graph.
        """
        count = self.num_proteins
        proteins = self._given(
            PROTEINS,
            {
                "carry": jnp.zeros((count, self.num_genes)),
                "scales": jnp.zeros((len(VIEWS), len(evidence))),
                "rows": jnp.zeros(count, jnp.int32),
                "counts": jnp.zeros(count),
            },
        )
        mechanisms = self._given(MECHANISMS, {"lengths": jnp.zeros(self.num_moas)})
        masks = jnp.stack([batch.expression_mask, batch.structure_mask], axis=1)
        network = ProteinNetwork(
            self.features,
            self.protein_hidden,
            in_blocks=batch.molecules.atom_mask.shape[0] == 1,
            name=PROTEIN_NETWORK,
        )
        return network(
            state.compound,
            state.nodes,
            graph,
            closed=ClosedFormAnswer(
                logits=jnp.stack(list(scaled.values()), axis=1),
                evidence=scaled_evidence(proteins["scales"], evidence, batch),
                masks=masks.astype(jnp.float32),
                left_out=batch.left_out,
            ),
            proteins=Proteins(proteins["carry"], proteins["rows"], proteins["counts"]),
            mechanisms=Mechanisms(self._prototypes(), mechanisms["lengths"]),
        )

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
        self, proteins: Mapping[str, Float[Array, "batch action_protein"]]
    ) -> dict[str, Float[Array, "batch moa"]]:
        """The logits of the experts that answer through proteins."""
        readers = [name for name in self.experts if EXPERTS[name].through_proteins]
        if not readers:
            return {}
        prototypes = self._prototypes()
        return {
            name: jnp.matmul(proteins[EXPERTS[name].through_proteins], prototypes)
            for name in readers
        }

    def _prototypes(self) -> Float[Array, "action_protein moa"]:
        """The prototypes of the mechanisms."""
        shape = (len(ACTIONS) * self.num_proteins, self.num_moas)
        return self._given("mechanism_prototypes", jnp.zeros(shape))

    def _given(self, name: str, before: Any) -> Any:
        """Parameters that are solved, not drawn.

        Args:
          name: their name.
          before: what stands for them before that.
        """
        return before if self.is_initializing() else self.variables["params"][name]
