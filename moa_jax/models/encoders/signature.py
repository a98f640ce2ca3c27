"""Encoder of an expression signature: genes, and their activity on the knowledge graph."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@flax.struct.dataclass
class SignatureEncoding:
    """Outputs of the signature encoder.

    Attributes:
      logits: logits from expression alone.
      state: summary of the signature.
      activity: activity of every graph node in the signature.
      genes: the genes after dropout.
      knowledge: node embeddings pooled by node activity.
    """

    logits: Float[Array, "batch moa"]
    state: Float[Array, "batch feature"]
    activity: Float[Array, "batch node"]
    genes: Float[Array, "batch gene"]
    knowledge: Float[Array, "batch node_feature"]


class SignatureEncoder(nn.Module):
    """Linear logits from genes plus a nonlinear summary of genes and graph.

    The linear path alone is multinomial logistic regression on the standardised genes. The graph
    enters as node embeddings pooled by node activity, so its weights on genes are smooth over
    STRING and GO.

    Attributes:
      num_moas: size of the output.
      features: size of the summary.
      hidden: width of the hidden layer.
      input_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    features: int
    hidden: int
    input_dropout: float
    dropout: float

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
        """Encodes standardised signatures; unmeasured genes count as unchanged."""
        genes = jnp.where(gene_mask, expression, 0.0)
        genes = nn.Dropout(self.input_dropout, name="gene_dropout")(genes, deterministic=not train)
        activity = genes @ propagation
        num_nodes = nodes.shape[0]
        knowledge = nn.LayerNorm(name="knowledge_norm")((activity @ nodes) / jnp.sqrt(num_nodes))
        hidden = nn.gelu(
            nn.Dense(self.hidden, name="gene_hidden")(genes)
            + nn.Dense(self.hidden, use_bias=False, name="knowledge_hidden")(knowledge)
        )
        hidden = nn.Dropout(self.dropout, name="hidden_dropout")(hidden, deterministic=not train)
        zeros = nn.initializers.zeros_init()
        logits = nn.Dense(self.num_moas, kernel_init=zeros, name="gene_logits")(genes) + nn.Dense(
            self.num_moas, use_bias=False, kernel_init=zeros, name="hidden_logits"
        )(hidden)
        state = nn.Dense(self.features, name="state")(hidden)
        return SignatureEncoding(
            logits=logits, state=state, activity=activity, genes=genes, knowledge=knowledge
        )
