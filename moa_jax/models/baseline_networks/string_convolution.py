"""Graph convolution of signatures over the interactions of the measured genes."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.message_passing import weighted_mean
from moa_jax.schemas import Batch, EdgeArrays, GraphArrays


class StringConvolution(nn.Module):
    """One layer: a gene's own channels and the mean of its neighbours', with shared weights.

    A polynomial filter of the first order (Defferrard 2016, eq. 4, in its mean form).

    Attributes:
      features: channels of the output.
    """

    features: int

    @nn.compact
    def __call__(
        self, signals: Float[Array, "gene batch channel"], edges: EdgeArrays
    ) -> Float[Array, "gene batch feature"]:
        """Filters the signals of all examples; a gene without neighbours receives zeros."""
        num_genes = signals.shape[0]
        # One column per example and channel, so that the edges are read once per batch.
        neighbours = weighted_mean(signals.reshape(num_genes, -1), edges, num_genes)
        return nn.Dense(self.features, name="own")(signals) + nn.Dense(
            self.features, use_bias=False, name="neighbours"
        )(neighbours.reshape(signals.shape))


class StringGcn(nn.Module):
    """Convolutions over the gene graph, then a hidden layer (McDermott 2019, section 4).

    Attributes:
      num_moas: size of the output.
      channels: channels of each convolution.
      hidden: width of the hidden layer.
      gene_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    channels: tuple[int, ...]
    hidden: int
    gene_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch moa"]:
        """Logits of every example; the graph's gene nodes are the expression columns."""
        genes = jnp.where(batch.gene_mask, batch.expression, 0.0)
        genes = nn.Dropout(self.gene_dropout, name="gene_dropout")(genes, deterministic=not train)
        signals = genes.T[..., None]
        for layer, features in enumerate(self.channels):
            signals = StringConvolution(features, name=f"convolution_{layer}")(
                signals, graph.interacts
            )
            signals = nn.gelu(signals)
        state = jnp.swapaxes(signals, 0, 1).reshape(genes.shape[0], -1)
        state = nn.gelu(nn.Dense(self.hidden, name="hidden")(state))
        state = nn.LayerNorm(name="norm")(state)
        state = nn.Dropout(self.dropout, name="dropout")(state, deterministic=not train)
        return nn.Dense(self.num_moas, kernel_init=nn.initializers.zeros_init(), name="logits")(
            state
        )
