"""The fusion model: expression, knowledge graph, structure and context, joined by attention."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.models.absence import or_absent
from moa_jax.models.context_encoder import ContextEncoder
from moa_jax.models.cross_attention import AtomAttention, NodeAttention
from moa_jax.models.kernel_experts import SignatureKernel, StructureKernel
from moa_jax.models.knowledge_encoder import KnowledgeEncoder
from moa_jax.models.molecule_encoder import MoleculeEncoder
from moa_jax.models.signature_encoder import SignatureEncoder
from moa_jax.schemas import Batch, GraphArrays

# Expert -> whether it reads expression and whether it reads structure. Without either, the joint
# expert answers from the context.
EXPERTS = {
    "signature": (True, False),
    "molecule": (False, True),
    "joint": (True, True),
    "signature_kernel": (True, False),
    "structure_kernel": (False, True),
}
# What an example shows: both modalities, or one alone. Experts that agree are no independent
# witnesses, so each view has its own scales.
VIEWS = ("fusion", "expression", "structure")
# Those that are trained in steps; the others are solved for at once.
NETWORKS = ("signature", "molecule", "joint")


@flax.struct.dataclass
class FusedState:
    """What the networks know beside their logits.

    Attributes:
      fused: the fused representation.
      activity: activity of every graph node in the signature.
      node_attention: attention over graph nodes; zeros where expression is masked.
      atom_attention: attention over atoms; zeros on padding and where structure is masked.
    """

    fused: Float[Array, "batch feature"]
    activity: Float[Array, "batch node"]
    node_attention: Float[Array, "batch head node"]
    atom_attention: Float[Array, "shard atom head"]


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


class FusionModel(nn.Module):
    """A product of experts, each weighed by how far it can be trusted.

    `logits` is the sum of the experts' logits, each times its scale, without the experts of masked
    modalities. The scales are temperatures: they are not trained with the rest, whose confidence
    on its own training data means nothing, but fitted to validation compounds afterwards. With
    linear networks on each modality and no other expert this is the product of two logistic
    regressions.

    The joint expert reads the fused state: the molecule and the context ask the graph's nodes,
    the signature asks the atoms. A masked modality takes no part in it either: its state is a
    learned constant and attention to it returns zeros.

    Attributes:
      num_moas: size of the output.
      num_genes: gene nodes of the graph.
      num_terms: term nodes of the graph.
      num_cell_lines: size of the cell-line vocabulary with the unknown token.
      substructure_views: columns of each view of the substructure counts.
      experts: those that take part, of `EXPERTS`.
      signature_kernel_width: see `kernel_experts.signature_kernel`.
      features: size of the modality states.
      hidden: width of hidden layers.
      num_heads: heads of both attentions.
      knowledge_features: size of a node embedding.
      knowledge_layers: message-passing steps on STRING and GO.
      atom_features: size of an atom state.
      molecule_layers: message-passing steps along bonds.
      gene_dropout: share of genes hidden in training.
      bit_dropout: share of fingerprint bits hidden in training.
      dropout: share of hidden units dropped in training.
      cell_line_dropout: share of cell lines hidden in training.
    """

    num_moas: int
    num_genes: int
    num_terms: int
    num_cell_lines: int
    substructure_views: tuple[int, ...]
    experts: tuple[str, ...]
    signature_kernel_width: float
    features: int
    hidden: int
    num_heads: int
    knowledge_features: int
    knowledge_layers: int
    atom_features: int
    molecule_layers: int
    gene_dropout: float
    bit_dropout: float
    dropout: float
    cell_line_dropout: float

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> FusionOutput:
        """Predicts every example of the batch from the modalities its masks allow.

        In training the kernel experts are silent: no step changes them.
        """
        said: dict[str, Float[Array, "batch moa"]] = {}
        state = None
        if set(self.experts) & set(NETWORKS):
            said, state = self._networks(batch, graph, train)
        if "signature_kernel" in self.experts and not train:
            said["signature_kernel"] = SignatureKernel(
                self.num_moas, self.signature_kernel_width, name="signature_kernel"
            )(batch.expression, batch.gene_mask, batch.cell_line)
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

    def _networks(
        self, batch: Batch, graph: GraphArrays, train: bool
    ) -> tuple[dict[str, Float[Array, "batch moa"]], FusedState]:
        nodes = KnowledgeEncoder(
            self.num_genes,
            self.num_terms,
            self.knowledge_features,
            self.knowledge_layers,
            name="knowledge",
        )(graph)
        signature = SignatureEncoder(
            self.num_moas,
            self.features,
            self.hidden,
            self.gene_dropout,
            self.dropout,
            name="signature",
        )(batch.expression, batch.gene_mask, nodes, graph.propagation, train=train)
        molecule = MoleculeEncoder(
            self.num_moas,
            self.features,
            self.atom_features,
            self.molecule_layers,
            self.hidden,
            self.bit_dropout,
            self.dropout,
            name="molecule",
        )(batch.molecules, batch.fingerprint, train=train)
        context = ContextEncoder(
            self.num_cell_lines, self.features, self.cell_line_dropout, name="context"
        )(
            batch.cell_line,
            batch.log_dose,
            batch.dose_mask,
            batch.log_time,
            batch.time_mask,
            train=train,
        )

        has_expression = batch.expression_mask[:, None]
        has_structure = batch.structure_mask[:, None]
        signature_state = or_absent(
            self, "absent_signature", signature.state, batch.expression_mask
        )
        molecule_state = or_absent(self, "absent_molecule", molecule.state, batch.structure_mask)

        from_nodes, node_attention = NodeAttention(
            self.features, self.num_heads, name="node_attention"
        )(molecule_state + context, signature.activity, nodes)
        from_atoms, atom_attention = AtomAttention(
            self.features, self.num_heads, name="atom_attention"
        )(
            signature_state + context,
            molecule.atoms,
            batch.molecules.owner,
            batch.molecules.atom_mask,
        )
        fused = jnp.concatenate(
            [
                signature_state,
                molecule_state,
                context,
                jnp.where(has_expression, from_nodes, 0.0),
                jnp.where(has_structure, from_atoms, 0.0),
            ],
            axis=-1,
        )
        fused = nn.gelu(nn.Dense(self.hidden, name="fuse")(nn.LayerNorm(name="fuse_norm")(fused)))
        fused = nn.Dropout(self.dropout, name="fused_dropout")(fused, deterministic=not train)
        joint = nn.Dense(
            self.num_moas, kernel_init=nn.initializers.zeros_init(), name="joint_logits"
        )(fused)
        said = {"signature": signature.logits, "molecule": molecule.logits, "joint": joint}
        return said, FusedState(
            fused=fused,
            activity=signature.activity,
            node_attention=jnp.where(has_expression[..., None], node_attention, 0.0),
            atom_attention=jax.vmap(lambda weights, mask, owner: weights * mask[owner][:, None])(
                atom_attention,
                batch.structure_mask.reshape(batch.molecules.owner.shape[0], -1),
                batch.molecules.owner,
            ),
        )
