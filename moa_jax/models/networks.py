"""The networks among the experts: encoders of each modality and the expert that joins them."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.models.encoders.compound import CompoundState
from moa_jax.models.encoders.context import ContextEncoder
from moa_jax.models.encoders.knowledge import KnowledgeEncoder
from moa_jax.models.encoders.molecule import MoleculeEncoder, MoleculeEncoding
from moa_jax.models.encoders.signature import SignatureEncoder, SignatureEncoding
from moa_jax.models.experts import NETWORKS, PROTEIN_NETWORK
from moa_jax.models.joint_fusion import (
    CrossAttentionFusion,
    EarlyFusion,
    Encoded,
    GatedFusion,
    Joined,
)
from moa_jax.schemas import Batch, GraphArrays

# How the joint expert joins the modalities; late fusion is a model without a joint expert.
JOINT_FUSIONS = ("cross_attention", "gated", "early")


@flax.struct.dataclass
class FusedState:
    """Hidden states of the networks; None without the expert that has them.

    Attributes:
      joined: the joined modalities.
      fused: the fused representation.
      activity: activity of every graph node in the signature.
      compound: state of the compound, for the protein network.
      nodes: embeddings of the graph's nodes, for the protein network.
    """

    joined: Joined | None = None
    fused: Float[Array, "batch feature"] | None = None
    activity: Float[Array, "batch node"] | None = None
    compound: Float[Array, "batch state"] | None = None
    nodes: Float[Array, "node node_feature"] | None = None

    @property
    def node_attention(self) -> Float[Array, "batch head node"] | None:
        """See `Joined`."""
        return None if self.joined is None else self.joined.node_attention

    @property
    def atom_attention(self) -> Float[Array, "shard atom head"] | None:
        """See `Joined`."""
        return None if self.joined is None else self.joined.atom_attention


class FusedNetworks(nn.Module, kw_only=True):
    """Networks on expression, on structure, and on both with the context.

    The joint expert reads the fused state, which does not depend on masked modalities. The settings
    from `joint_fusion` on are None in a model without networks.

    Attributes:
      num_moas: size of the output.
      num_genes: gene nodes of the graph.
      num_terms: term nodes of the graph.
      num_cell_lines: size of the cell-line vocabulary with the unknown token.
      experts: all experts of the model.
      joint_fusion: how the joint expert joins the modalities; one of `JOINT_FUSIONS`.
      features: size of the modality states.
      hidden: width of hidden layers.
      num_heads: heads of both attentions.
      knowledge_features: size of a node embedding.
      knowledge_layers: message-passing steps on STRING and GO.
      atom_features: size of an atom state.
      molecule_layers: message-passing steps along bonds.
      use_context: whether the joint expert reads cell line, dose and time.
      gene_dropout: share of genes hidden in training.
      bit_dropout: share of fingerprint bits hidden in training.
      dropout: share of hidden units dropped in training.
      cell_line_dropout: share of cell lines hidden in training.
      protein_hidden: width of the protein network's perceptrons; None without it.
    """

    num_moas: int
    num_genes: int
    num_terms: int
    num_cell_lines: int
    experts: tuple[str, ...]
    joint_fusion: str | None = None
    features: int | None = None
    hidden: int | None = None
    num_heads: int | None = None
    knowledge_features: int | None = None
    knowledge_layers: int | None = None
    atom_features: int | None = None
    molecule_layers: int | None = None
    use_context: bool | None = None
    gene_dropout: float | None = None
    bit_dropout: float | None = None
    dropout: float | None = None
    cell_line_dropout: float | None = None
    protein_hidden: int | None = None

    def networks(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> tuple[dict[str, Float[Array, "batch moa"]], FusedState | None]:
        """The logits of the networks among the experts, and their hidden states.

        The protein network answers later (`FusionModel`): it also reads the closed form.
        """
        wanted = set(self.experts) & set(NETWORKS)
        if not wanted:
            return {}, None
        logits: dict[str, Float[Array, "batch moa"]] = {}
        state = FusedState()
        if wanted & {"signature", "joint", PROTEIN_NETWORK}:
            nodes, signature = self._signature(batch, graph, train)
            logits["signature"] = signature.logits
            state = state.replace(activity=signature.activity)
        if wanted & {"molecule", "joint", PROTEIN_NETWORK}:
            molecule = self._molecule(batch, train)
            logits["molecule"] = molecule.logits
        if wanted & {"joint", PROTEIN_NETWORK}:
            context, context_mask = self._context(batch, train)
        if PROTEIN_NETWORK in wanted:
            compound = CompoundState(self.features, self.dropout, name="compound")(
                signature.state, molecule.state, context, batch, train=train
            )
            state = state.replace(compound=compound, nodes=nodes)
        if "joint" in wanted:
            joined = self._join(Encoded(signature, molecule, context, context_mask, nodes), batch)
            fused = self._fused(joined, train)
            logits["joint"] = nn.Dense(
                self.num_moas, kernel_init=nn.initializers.zeros_init(), name="joint_logits"
            )(fused)
            state = state.replace(joined=joined, fused=fused)
        return logits, state

    def _signature(
        self, batch: Batch, graph: GraphArrays, train: bool
    ) -> tuple[Float[Array, "node node_feature"], SignatureEncoding]:
        """Embeddings of the graph's nodes, and the encoded signatures."""
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
        return nodes, signature

    def _molecule(self, batch: Batch, train: bool) -> MoleculeEncoding:
        return MoleculeEncoder(
            self.num_moas,
            self.features,
            self.atom_features,
            self.molecule_layers,
            self.hidden,
            self.bit_dropout,
            self.dropout,
            name="molecule",
        )(batch.molecules, batch.fingerprint, train=train)

    def _context(
        self, batch: Batch, train: bool
    ) -> tuple[Float[Array, "batch feature"], Bool[Array, " batch"]]:
        """The context and its mask; zeros if it is not used."""
        if not self.use_context:
            zeros = jnp.zeros((len(batch.expression), self.features))
            return zeros, jnp.zeros_like(batch.expression_mask)
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
        return context, jnp.ones_like(batch.expression_mask)

    def _join(self, encoded: Encoded, batch: Batch) -> Joined:
        if self.joint_fusion == "gated":
            return GatedFusion(self.features, name="gated_fusion")(encoded, batch)
        if self.joint_fusion == "early":
            return EarlyFusion(self.hidden, name="early_fusion")(encoded, batch)
        attention = CrossAttentionFusion(self.features, self.num_heads, name="cross_attention")
        # Its parameters are on the same level as the encoders'.
        nn.share_scope(self, attention)
        return attention(encoded, batch)

    def _fused(self, joined: Joined, train: bool) -> Float[Array, "batch feature"]:
        fused = nn.LayerNorm(name="fuse_norm")(joined.state)
        fused = nn.gelu(nn.Dense(self.hidden, name="fuse")(fused))
        return nn.Dropout(self.dropout, name="fused_dropout")(fused, deterministic=not train)


# The settings of networks: all attributes that are None in a model without networks.
NETWORK_SETTINGS = tuple(
    field.name
    for field in dataclasses.fields(FusedNetworks)
    if field.default is None and field.name not in ("parent", "name")
)
