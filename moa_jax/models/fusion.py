"""The fusion model: expression, knowledge graph, structure and context, joined by attention."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.absence import or_absent
from moa_jax.models.context_encoder import ContextEncoder
from moa_jax.models.cross_attention import AtomAttention, NodeAttention
from moa_jax.models.knowledge_encoder import KnowledgeEncoder
from moa_jax.models.molecule_encoder import MoleculeEncoder
from moa_jax.models.signature_encoder import SignatureEncoder
from moa_jax.schemas import Batch, GraphArrays


@flax.struct.dataclass
class FusionOutput:
    """Everything the model computes that somebody may want to look at.

    Attributes:
      logits: what the model says, from the modalities that each example may use.
      expression_logits: the expert on expression alone.
      structure_logits: the expert on structure alone.
      joint_logits: the expert on the fused representation.
      fused: the fused representation.
      activity: activity of every graph node in the signature.
      node_attention: attention over graph nodes; zeros where expression is masked.
      atom_attention: attention over atoms; zeros on padding and where structure is masked.
    """

    logits: Float[Array, "batch moa"]
    expression_logits: Float[Array, "batch moa"]
    structure_logits: Float[Array, "batch moa"]
    joint_logits: Float[Array, "batch moa"]
    fused: Float[Array, "batch feature"]
    activity: Float[Array, "batch node"]
    node_attention: Float[Array, "batch head node"]
    atom_attention: Float[Array, "shard atom head"]


class FusionModel(nn.Module):
    """A product of three experts, each weighed by how far it can be trusted.

    `logits = a * expression + b * structure + c * joint`, where a masked modality's expert is
    left out. The scales are temperatures: they are not trained with the rest, whose confidence
    on its own training data means nothing, but fitted to validation compounds afterwards. With
    `c = 0` and linear experts this is the product of two logistic regressions.

    The joint expert reads the fused state: the molecule and the context ask the graph's nodes,
    the signature asks the atoms. A masked modality takes no part in it either: its state is a
    learned constant and attention to it returns zeros.

    Attributes:
      num_moas: size of the output.
      num_genes: gene nodes of the graph.
      num_terms: term nodes of the graph.
      num_cell_lines: size of the cell-line vocabulary with the unknown token.
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
        """Predicts every example of the batch from the modalities its masks allow."""
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
        scales = self.param("expert_scales", nn.initializers.ones_init(), (3,))
        return FusionOutput(
            logits=jnp.where(has_expression, scales[0] * signature.logits, 0.0)
            + jnp.where(has_structure, scales[1] * molecule.logits, 0.0)
            + scales[2] * joint,
            expression_logits=signature.logits,
            structure_logits=molecule.logits,
            joint_logits=joint,
            fused=fused,
            activity=signature.activity,
            node_attention=jnp.where(has_expression[..., None], node_attention, 0.0),
            atom_attention=jax.vmap(lambda weights, mask, owner: weights * mask[owner][:, None])(
                atom_attention,
                batch.structure_mask.reshape(batch.molecules.owner.shape[0], -1),
                batch.molecules.owner,
            ),
        )
