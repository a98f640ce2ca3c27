"""The networks among the experts: encoders of each modality and the expert that joins them."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.models.context_encoder import ContextEncoder
from moa_jax.models.experts import NETWORKS
from moa_jax.models.heads import MOA_HEADS, PrototypeHead, TargetHead
from moa_jax.models.joint_fusion import (
    CrossAttentionFusion,
    EarlyFusion,
    Encoded,
    GatedFusion,
    Joined,
)
from moa_jax.models.knowledge_encoder import KNOWLEDGE_LAYERS, KnowledgeEncoder
from moa_jax.models.molecule_encoder import MoleculeEncoder, MoleculeEncoding
from moa_jax.models.molecule_layers import MOLECULE_LAYERS
from moa_jax.models.signature_encoder import (
    EXPRESSION_ENCODERS,
    SignatureEncoder,
    SignatureEncoding,
)
from moa_jax.models.visible_network import VisibleNetwork, VisibleOutput
from moa_jax.schemas import Batch, GraphArrays

# Parameter that says which genes are targets of an MoA's compounds.
MOA_TARGETS = "moa_targets"
# Settings that choose one of a few kinds.
KINDS = {
    "joint_fusion": ("cross_attention", "gated", "early"),
    "knowledge_layer": KNOWLEDGE_LAYERS,
    "expression_encoder": EXPRESSION_ENCODERS,
    "molecule_layer": MOLECULE_LAYERS,
    "moa_head": MOA_HEADS,
}


@flax.struct.dataclass
class FusedState:
    """What the networks know beside their logits; None where no expert asks for it.

    Attributes:
      joined: how the joint expert joined the modalities.
      fused: the fused representation.
      activity: activity of every graph node in the signature.
      visible: what the network that is wired like the ontology says of every term.
      tasks: second task of the joint expert -> what it says.
    """

    joined: Joined | None = None
    fused: Float[Array, "batch feature"] | None = None
    activity: Float[Array, "batch node"] | None = None
    visible: VisibleOutput | None = None
    tasks: dict[str, Float[Array, "batch _"]] | None = None

    @property
    def node_attention(self) -> Float[Array, "batch head node"] | None:
        """See `Joined`."""
        return None if self.joined is None else self.joined.node_attention

    @property
    def atom_attention(self) -> Float[Array, "shard atom head"] | None:
        """See `Joined`."""
        return None if self.joined is None else self.joined.atom_attention


class FusedNetworks(nn.Module):
    """Networks on expression, on structure, and on both with the context.

    The joint expert reads the fused state. A masked modality takes no part in it.

    Attributes:
      num_moas: size of the output.
      moa_names: names of the MoAs, which the head `prototypes` reads.
      num_genes: gene nodes of the graph.
      num_terms: term nodes of the graph.
      num_cell_lines: size of the cell-line vocabulary with the unknown token.
      experts: those that take part; without `joint` nothing is joined, which is late fusion.
      moa_head: how the joint expert answers: a linear layer, or `heads.PrototypeHead`.
      tasks: second tasks of the joint expert and their numbers of outputs; `target` scores the
        graph's genes.
      joint_fusion: how the joint expert joins the modalities; see `KINDS` and `joint_fusion`.
      features: size of the modality states.
      hidden: width of hidden layers.
      num_heads: heads of both attentions.
      expression_encoder: kind of `SignatureEncoder`.
      expression_blocks: residual blocks of its kind `residual`.
      module_tokens: module tokens of its kind `tokens`.
      knowledge_layer: kind of message passing on STRING and GO; see `KnowledgeEncoder`.
      knowledge_features: size of a node embedding.
      knowledge_layers: message-passing steps on STRING and GO.
      term_features: size of a term's state in the visible network.
      molecule_layer: kind of message passing along bonds; see `molecule_layers`.
      atom_features: size of an atom state.
      molecule_layers: message-passing steps along bonds.
      virtual_node: give every molecule a node that all its atoms hear.
      morgan_view: read fingerprints, too.
      use_context: let the joint expert know cell line, dose and time.
      expression_context: where the cell line is unknown, derive it from the signature.
      gene_dropout: share of genes hidden in training.
      bit_dropout: share of fingerprint bits hidden in training.
      dropout: share of hidden units dropped in training.
      cell_line_dropout: share of cell lines hidden in training.
    """

    num_moas: int
    moa_names: tuple[str, ...]
    num_genes: int
    num_terms: int
    num_cell_lines: int
    experts: tuple[str, ...]
    moa_head: str
    tasks: tuple[tuple[str, int], ...]
    joint_fusion: str
    features: int
    hidden: int
    num_heads: int
    expression_encoder: str
    expression_blocks: int
    module_tokens: int
    knowledge_layer: str
    knowledge_features: int
    knowledge_layers: int
    term_features: int
    molecule_layer: str
    atom_features: int
    molecule_layers: int
    virtual_node: bool
    morgan_view: bool
    use_context: bool
    expression_context: bool
    gene_dropout: float
    bit_dropout: float
    dropout: float
    cell_line_dropout: float

    def networks(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> tuple[dict[str, Float[Array, "batch moa"]], FusedState | None]:
        """What the networks among the experts say, and what they know."""
        wanted = set(self.experts) & set(NETWORKS)
        if not wanted:
            return {}, None
        said: dict[str, Float[Array, "batch moa"]] = {}
        state = FusedState()
        if wanted & {"signature", "joint"}:
            nodes, signature = self._signature(batch, graph, train)
            said["signature"] = signature.logits
            state = state.replace(activity=signature.activity)
        if wanted & {"molecule", "joint"}:
            molecule = self._molecule(batch, train)
            said["molecule"] = molecule.logits
        if "joint" in wanted:
            context, context_mask = self._context(batch, train)
            joined = self._join(Encoded(signature, molecule, context, context_mask, nodes), batch)
            fused = self._fused(joined, train)
            genes = nodes[: self.num_genes]
            said["joint"] = self._moas(fused, genes)
            state = state.replace(joined=joined, fused=fused)
            if self.tasks:
                state = state.replace(tasks=self._tasks(fused, genes))
        if "visible" in wanted:
            visible = self._visible(batch, graph, train)
            said["visible"] = visible.logits
            state = state.replace(visible=visible)
        return said, state

    def _signature(
        self, batch: Batch, graph: GraphArrays, train: bool
    ) -> tuple[Float[Array, "node node_feature"], SignatureEncoding]:
        """Embeddings of the graph's nodes, and what the signatures say."""
        nodes = KnowledgeEncoder(
            self.num_genes,
            self.num_terms,
            self.knowledge_features,
            self.knowledge_layers,
            layer=self.knowledge_layer,
            num_heads=self.num_heads,
            name="knowledge",
        )(graph)
        signature = SignatureEncoder(
            self.num_moas,
            self.features,
            self.hidden,
            self.gene_dropout,
            self.dropout,
            encoder=self.expression_encoder,
            num_blocks=self.expression_blocks,
            num_tokens=self.module_tokens,
            num_heads=self.num_heads,
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
            layer=self.molecule_layer,
            virtual_node=self.virtual_node,
            morgan_view=self.morgan_view,
            name="molecule",
        )(batch.molecules, batch.fingerprint, train=train)

    def _visible(self, batch: Batch, graph: GraphArrays, train: bool) -> VisibleOutput:
        return VisibleNetwork(
            self.num_moas,
            self.num_terms,
            self.term_features,
            self.gene_dropout,
            self.dropout,
            roots_only=False,
            name="visible",
        )(batch, graph, train=train)

    def _context(
        self, batch: Batch, train: bool
    ) -> tuple[Float[Array, "batch feature"], Bool[Array, " batch"]]:
        """The context, and whether it may be used; zeros where it may not."""
        if not self.use_context:
            nothing = jnp.zeros((len(batch.expression), self.features))
            return nothing, jnp.zeros_like(batch.expression_mask)
        context = ContextEncoder(
            self.num_cell_lines,
            self.features,
            self.cell_line_dropout,
            expression_context=self.expression_context,
            name="context",
        )(
            batch.cell_line,
            batch.log_dose,
            batch.dose_mask,
            batch.log_time,
            batch.time_mask,
            train=train,
            genes=jnp.where(batch.gene_mask, batch.expression, 0.0),
            expression_mask=batch.expression_mask,
        )
        return context, jnp.ones_like(batch.expression_mask)

    def _join(self, encoded: Encoded, batch: Batch) -> Joined:
        if self.joint_fusion == "gated":
            return GatedFusion(self.features, name="gated_fusion")(encoded, batch)
        if self.joint_fusion == "early":
            return EarlyFusion(self.hidden, name="early_fusion")(encoded, batch)
        attention = CrossAttentionFusion(self.features, self.num_heads, name="cross_attention")
        # Its parameters have always stood beside those of the encoders.
        nn.share_scope(self, attention)
        return attention(encoded, batch)

    def _fused(self, joined: Joined, train: bool) -> Float[Array, "batch feature"]:
        fused = nn.LayerNorm(name="fuse_norm")(joined.state)
        fused = nn.gelu(nn.Dense(self.hidden, name="fuse")(fused))
        return nn.Dropout(self.dropout, name="fused_dropout")(fused, deterministic=not train)

    def _tasks(
        self, fused: Float[Array, "batch feature"], genes: Float[Array, "gene node_feature"]
    ) -> dict[str, Float[Array, "batch _"]]:
        """What the joint expert says of its second tasks; zeros at the start."""
        zeros = nn.initializers.zeros_init()
        return {
            name: TargetHead(name="targets")(fused, genes)
            if name == "target"
            else nn.Dense(size, kernel_init=zeros, name=name)(fused)
            for name, size in self.tasks
        }

    def _moas(
        self, fused: Float[Array, "batch feature"], genes: Float[Array, "gene node_feature"]
    ) -> Float[Array, "batch moa"]:
        if self.moa_head == "linear":
            return nn.Dense(
                self.num_moas, kernel_init=nn.initializers.zeros_init(), name="joint_logits"
            )(fused)
        # Counted from the training compounds, not trained.
        moa_targets = (
            jnp.zeros((self.num_moas, self.num_genes))
            if self.is_initializing()
            else self.get_variable("params", MOA_TARGETS)
        )
        return PrototypeHead(self.moa_names, self.features, name="prototypes")(
            fused, genes, moa_targets
        )
