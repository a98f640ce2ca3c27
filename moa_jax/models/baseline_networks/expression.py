"""Networks on expression alone: a classifier, an embedding and a variational autoencoder."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from moa_jax.schemas import Batch, GraphArrays


class ExpressionTrunk(nn.Module):
    """Hidden layers over standardised genes; unmeasured genes count as unchanged.

    Attributes:
      hidden: widths of the layers.
      gene_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
    """

    hidden: tuple[int, ...]
    gene_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self,
        expression: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        *,
        train: bool,
    ) -> Float[Array, "batch feature"]:
        """The last hidden layer."""
        state = jnp.where(gene_mask, expression, 0.0)
        state = nn.Dropout(self.gene_dropout, name="gene_dropout")(state, deterministic=not train)
        for layer, width in enumerate(self.hidden):
            state = nn.gelu(nn.Dense(width, name=f"hidden_{layer}")(state))
            state = nn.LayerNorm(name=f"norm_{layer}")(state)
            state = nn.Dropout(self.dropout, name=f"dropout_{layer}")(
                state, deterministic=not train
            )
        return state


class ExpressionMlp(nn.Module):
    """Multilayer perceptron from genes to MoAs.

    Attributes:
      num_moas: size of the output.
      hidden: widths of the hidden layers.
      gene_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
    """

    num_moas: int
    hidden: tuple[int, ...]
    gene_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch moa"]:
        """Logits of every example; the graph is not used."""
        state = ExpressionTrunk(self.hidden, self.gene_dropout, self.dropout, name="trunk")(
            batch.expression, batch.gene_mask, train=train
        )
        return nn.Dense(self.num_moas, kernel_init=nn.initializers.zeros_init(), name="logits")(
            state
        )


class ExpressionEmbedding(nn.Module):
    """Signatures as points on the unit sphere.

    Attributes:
      hidden: widths of the hidden layers; without any the embedding is linear in the genes.
      features: dimensions of the embedding.
      gene_dropout: share of genes hidden in training.
      dropout: share of hidden units dropped in training.
    """

    hidden: tuple[int, ...]
    features: int
    gene_dropout: float
    dropout: float

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch feature"]:
        """Embeddings of unit length; the graph is not used."""
        state = ExpressionTrunk(self.hidden, self.gene_dropout, self.dropout, name="trunk")(
            batch.expression, batch.gene_mask, train=train
        )
        point = nn.Dense(self.features, name="embedding")(state)
        return point / jnp.sqrt(jnp.sum(point**2, axis=-1, keepdims=True) + 1e-12)


class TanhEmbedding(nn.Module):
    """Signatures as points on the unit sphere, by layers of hyperbolic tangents (MOASL, 2024).

    Attributes:
      widths: widths of the layers; the last is that of the embedding.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(
        self, batch: Batch, graph: GraphArrays, *, train: bool
    ) -> Float[Array, "batch feature"]:
        """Embeddings of unit length; the graph is not used. Unmeasured genes count as unchanged."""
        state = jnp.where(batch.gene_mask, batch.expression, 0.0)
        for layer, width in enumerate(self.widths):
            state = nn.tanh(nn.Dense(width, name=f"layer_{layer}")(state))
        return state / jnp.sqrt(jnp.sum(state**2, axis=-1, keepdims=True) + 1e-12)


@flax.struct.dataclass
class AutoencoderOutput:
    """Outputs of the autoencoder.

    Attributes:
      mean: mean of the latent state.
      log_variance: logarithm of its variance.
      reconstructed: genes decoded from a draw in training, else from the mean.
    """

    mean: Float[Array, "batch latent"]
    log_variance: Float[Array, "batch latent"]
    reconstructed: Float[Array, "batch gene"]


class ExpressionAutoencoder(nn.Module):
    """Variational autoencoder of signatures (Kingma 2014) with a mirrored decoder.

    In training the key `latent` draws the latent state.

    Attributes:
      hidden: widths of the encoder's layers; the decoder has them in reverse.
      features: latent dimensions.
      gene_dropout: share of genes hidden from the encoder in training.
      dropout: share of hidden units dropped in training.
    """

    hidden: tuple[int, ...]
    features: int
    gene_dropout: float
    dropout: float

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> AutoencoderOutput:
        """Encodes and decodes every example; the graph is not used."""
        state = ExpressionTrunk(self.hidden, self.gene_dropout, self.dropout, name="trunk")(
            batch.expression, batch.gene_mask, train=train
        )
        mean = nn.Dense(self.features, name="mean")(state)
        # The initial variance is the prior's.
        log_variance = nn.Dense(
            self.features, kernel_init=nn.initializers.zeros_init(), name="log_variance"
        )(state)
        latent = mean
        if train:
            noise = jax.random.normal(self.make_rng("latent"), mean.shape)
            latent = mean + jnp.exp(0.5 * log_variance) * noise
        for layer, width in enumerate(reversed(self.hidden)):
            latent = nn.gelu(nn.Dense(width, name=f"decoder_{layer}")(latent))
        reconstructed = nn.Dense(batch.expression.shape[-1], name="reconstructed")(latent)
        return AutoencoderOutput(mean=mean, log_variance=log_variance, reconstructed=reconstructed)
