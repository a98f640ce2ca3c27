"""Encoder of an expression signature: genes, and their echo on the knowledge graph."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.models.gene_tokens import GeneTokens

# How the hidden state is made of the genes.
EXPRESSION_ENCODERS = ("mlp", "residual", "tokens")


@flax.struct.dataclass
class SignatureEncoding:
    """What the signature encoder returns.

    Attributes:
      logits: evidence of expression alone.
      state: summary of the signature.
      activity: activity of every graph node in the signature.
      genes: the genes as the encoder saw them.
      known: the view through the graph's nodes.
    """

    logits: Float[Array, "batch moa"]
    state: Float[Array, "batch feature"]
    activity: Float[Array, "batch node"]
    genes: Float[Array, "batch gene"]
    known: Float[Array, "batch node_feature"]


class SignatureEncoder(nn.Module):
    """Linear evidence per gene, a nonlinear summary, and a view through the graph's nodes.

    The linear path alone is multinomial logistic regression on the standardised genes. The
    knowledge view pools node embeddings by node activity, so its weights on genes are smooth
    over STRING and GO.

    Attributes:
      num_moas: size of the output.
      features: size of the summary.
      hidden: width of the hidden layer.
      input_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
      encoder: how the hidden state is made, of `EXPRESSION_ENCODERS`: one layer, residual blocks
        after it, or module tokens that attend to gene tokens.
      num_blocks: residual blocks.
      num_tokens: module tokens.
      num_heads: heads of the attention among module tokens.
    """

    num_moas: int
    features: int
    hidden: int
    input_dropout: float
    dropout: float
    encoder: str = "mlp"
    num_blocks: int = 2
    num_tokens: int = 64
    num_heads: int = 4

    @nn.compact
    def __call__(
        self,
        expression: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        nodes: Float[Array, "node node_feature"],
        propagation: Float[Array, "gene node"],
        *,
        train: bool,
    ) -> SignatureEncoding:
        """Encodes standardised signatures; genes that are not measured count as unchanged."""
        genes = jnp.where(gene_mask, expression, 0.0)
        genes = nn.Dropout(self.input_dropout, name="gene_dropout")(genes, deterministic=not train)
        activity = genes @ propagation
        num_nodes = nodes.shape[0]
        known = nn.LayerNorm(name="knowledge_norm")((activity @ nodes) / jnp.sqrt(num_nodes))
        hidden = nn.gelu(
            self._of_genes(genes, gene_mask, nodes)
            + nn.Dense(self.hidden, use_bias=False, name="knowledge_hidden")(known)
        )
        if self.encoder == "residual":
            hidden = self._residual(hidden, train)
        hidden = nn.Dropout(self.dropout, name="hidden_dropout")(hidden, deterministic=not train)
        zeros = nn.initializers.zeros_init()
        logits = nn.Dense(self.num_moas, kernel_init=zeros, name="gene_logits")(genes) + nn.Dense(
            self.num_moas, use_bias=False, kernel_init=zeros, name="hidden_logits"
        )(hidden)
        state = nn.Dense(self.features, name="state")(hidden)
        return SignatureEncoding(
            logits=logits, state=state, activity=activity, genes=genes, known=known
        )

    def _of_genes(
        self,
        genes: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        nodes: Float[Array, "node node_feature"],
    ) -> Float[Array, "batch hidden"]:
        """What the hidden layer hears of the genes; they are the graph's first nodes."""
        if self.encoder != "tokens":
            return nn.Dense(self.hidden, name="gene_hidden")(genes)
        tokens = GeneTokens(self.num_tokens, nodes.shape[1], self.num_heads, name="tokens")(
            genes, gene_mask, nodes[: genes.shape[1]]
        )
        return nn.Dense(self.hidden, name="token_hidden")(tokens.reshape(len(genes), -1))

    def _residual(
        self, hidden: Float[Array, "batch hidden"], train: bool
    ) -> Float[Array, "batch hidden"]:
        """Two layers after normalisation and a way past them, block by block (He 2016)."""
        for block in range(self.num_blocks):
            update = nn.LayerNorm(name=f"block_{block}_norm")(hidden)
            update = nn.gelu(nn.Dense(self.hidden, name=f"block_{block}_in")(update))
            update = nn.Dropout(self.dropout, name=f"block_{block}_dropout")(
                update, deterministic=not train
            )
            hidden += nn.Dense(self.hidden, name=f"block_{block}_out")(update)
        return hidden
