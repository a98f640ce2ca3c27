"""The fusion model: a product of networks and kernel experts."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.models.fused_networks import FusedNetworks, FusedState
from moa_jax.models.kernel_experts import NetworkKernel, SignatureKernel, StructureKernel
from moa_jax.schemas import Batch, GraphArrays

# Expert -> whether it reads expression and whether it reads structure. Without either, the joint
# expert answers from the context.
EXPERTS = {
    "signature": (True, False),
    "molecule": (False, True),
    "joint": (True, True),
    "signature_kernel": (True, False),
    "network_kernel": (True, False),
    "structure_kernel": (False, True),
}
# What an example shows: both modalities, or one alone. Experts that agree are no independent
# witnesses, so each view has its own scales.
VIEWS = ("fusion", "expression", "structure")


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


def heard(expert: str, batch: Batch) -> Bool[Array, " batch"]:
    """Examples for which an expert has a say: those with the modality that it reads alone."""
    reads_expression, reads_structure = EXPERTS[expert]
    if reads_expression == reads_structure:
        return jnp.ones_like(batch.expression_mask)
    return batch.expression_mask if reads_expression else batch.structure_mask


def view_of(batch: Batch) -> Int[Array, " batch"]:
    """Which of `VIEWS` each example is seen in; without either modality it is the first."""
    alone = jnp.where(batch.expression_mask, VIEWS.index("expression"), VIEWS.index("structure"))
    return jnp.where(batch.expression_mask == batch.structure_mask, VIEWS.index("fusion"), alone)


class FusionModel(FusedNetworks, kw_only=True):
    """A product of experts, each weighed by how far it can be trusted.

    `logits` is the sum of the experts' logits, each times its scale, without the experts of masked
    modalities. The scales are temperatures: they are not trained with the rest, whose confidence
    on its own training data means nothing, but fitted to validation compounds afterwards. With
    linear networks on each modality and no other expert this is the product of two logistic
    regressions.

    The attributes of the networks are those of `FusedNetworks`.

    Attributes:
      substructure_views: columns of each view of the substructure counts.
      signature_kernel_width: see `kernel_experts.signature_kernel`.
      network_kernel_width: the same, for the activity of the graph's nodes; None without the
        expert `network_kernel`.
      network_term_share: see `kernel_experts.node_activity`; None without that expert.
    """

    substructure_views: tuple[int, ...]
    signature_kernel_width: float
    network_kernel_width: float | None = None
    network_term_share: float | None = None

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """Predicts every example of the batch from the modalities its masks allow.

        In training the kernel experts are silent: no step changes them.
        """
        said, state = self.networks(batch, graph, train=train)
        if "signature_kernel" in self.experts and not train:
            said["signature_kernel"] = SignatureKernel(
                self.num_moas, self.signature_kernel_width, name="signature_kernel"
            )(batch.expression, batch.gene_mask, batch.cell_line)
        if "network_kernel" in self.experts and not train:
            said["network_kernel"] = NetworkKernel(
                self.num_moas,
                self.num_genes,
                self.network_kernel_width,
                self.network_term_share,
                name="network_kernel",
            )(batch.expression, batch.gene_mask, batch.cell_line, graph.propagation)
        if "structure_kernel" in self.experts and not train:
            said["structure_kernel"] = StructureKernel(
                self.num_moas, self.substructure_views, name="structure_kernel"
            )(batch.substructures)
        said = {expert: said[expert] for expert in self.experts if expert in said}
        scales = self.param(
            "expert_scales", nn.initializers.ones_init(), (len(VIEWS), len(self.experts))
        )[view_of(batch)]
        logits = jnp.zeros((len(batch.expression), self.num_moas))
        for place, expert in enumerate(self.experts):
            if expert in said:
                scaled = scales[:, [place]] * said[expert]
                logits += jnp.where(heard(expert, batch)[:, None], scaled, 0.0)
        return FusionOutput(logits=logits, experts=said, state=state)
