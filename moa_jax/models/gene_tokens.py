"""Genes as tokens, read by a few learned module tokens."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class GeneTokens(nn.Module):
    """Module tokens attend to the genes, then to each other (Perceiver: Jaegle 2021, section 3.1).

    The token of gene g in example b is `genes[b, g] * V nodes[g] + U nodes[g]`, as in
    `cross_attention.NodeAttention`: no array of all tokens is made, and the cost is linear in
    genes and in modules. Every module has one query; more modules stand for more heads.

    Attributes:
      num_tokens: module tokens.
      features: size of a token.
      num_heads: heads of the attention among the modules.
    """

    num_tokens: int
    features: int
    num_heads: int

    @nn.compact
    def __call__(
        self,
        genes: Float[Array, "batch gene"],
        gene_mask: Bool[Array, "batch gene"],
        nodes: Float[Array, "gene node_feature"],
    ) -> Float[Array, "batch token feature"]:
        """States of the modules; genes that are not measured are not attended to."""
        tokens = self.param(
            "tokens", nn.initializers.normal(stddev=1.0), (self.num_tokens, self.features)
        )
        query = nn.Dense(self.features, name="query")(tokens) / jnp.sqrt(self.features)
        dense = lambda name: nn.Dense(self.features, use_bias=False, name=name)(nodes)  # noqa: E731 (four equal projections)
        active, static = query @ dense("active_key").T, query @ dense("static_key").T
        scores = genes[:, None, :] * active + static
        mask = gene_mask[:, None, :]
        attention = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(scores.dtype).min), axis=-1)
        attention = jnp.where(mask, attention, 0.0)
        heard = (attention * genes[:, None, :]) @ dense("active_value")
        state = tokens + heard + attention @ dense("static_value")
        mixed = nn.MultiHeadDotProductAttention(num_heads=self.num_heads, name="mix")(
            nn.LayerNorm(name="mix_norm")(state)
        )
        state = state + mixed
        hidden = nn.Dense(2 * self.features, name="hidden")(nn.LayerNorm(name="norm")(state))
        return state + nn.Dense(self.features, name="out")(nn.gelu(hidden))
