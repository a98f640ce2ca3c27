"""Cross-attention to graph nodes and to atoms, without building a token per example."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.models.message_passing import owner_attention, owner_sum


class NodeAttention(nn.Module):
    """Queries attend to all graph nodes, each scaled by its activity in the signature.

    Token t of example b is `activity[b, t] * V nodes[t] + U nodes[t]`. Keys and values are
    linear in the token, so scores and sums factor into products of `[batch, node]` and
    `[node, feature]` matrices and no `[batch, node, feature]` array is ever made. The result
    is that of attention (Vaswani 2017, eq. 1) over those tokens.

    Attributes:
      features: size of queries and output.
      num_heads: attention heads.
    """

    features: int
    num_heads: int

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "batch feature"],
        activity: Float[Array, "batch node"],
        nodes: Float[Array, "node node_feature"],
    ) -> tuple[Float[Array, "batch out"], Float[Array, "batch head node"]]:
        """Returns the attended state and the attention of each head over the nodes."""
        size = self.features // self.num_heads
        heads = (self.num_heads, size)
        query = nn.DenseGeneral(heads, name="query")(query)
        dense = lambda name: nn.DenseGeneral(heads, use_bias=False, name=name)(nodes)  # noqa: E731 (four equal projections)
        scores = jnp.einsum("bhd,nhd->bhn", query, dense("active_key")) * activity[:, None, :]
        scores = scores + jnp.einsum("bhd,nhd->bhn", query, dense("static_key"))
        attention = jax.nn.softmax(scores / jnp.sqrt(size), axis=-1)
        value = jnp.einsum(
            "bhn,nhd->bhd", attention * activity[:, None, :], dense("active_value")
        ) + jnp.einsum("bhn,nhd->bhd", attention, dense("static_value"))
        out = nn.Dense(self.features, name="out")(value.reshape(value.shape[0], -1))
        return out, attention


class AtomAttention(nn.Module):
    """Each example's query attends to the atoms of its own molecule.

    Attributes:
      features: size of queries and output.
      num_heads: attention heads.
    """

    features: int
    num_heads: int

    @nn.compact
    def __call__(
        self,
        query: Float[Array, "batch feature"],
        atoms: Float[Array, "shard atom atom_state"],
        owner: Int[Array, "shard atom"],
        atom_mask: Bool[Array, "shard atom"],
    ) -> tuple[Float[Array, "batch out"], Float[Array, "shard atom head"]]:
        """Returns the attended state (zeros without atoms) and the attention over atoms."""
        num_shards = atoms.shape[0]
        num_owners = query.shape[0] // num_shards
        size = self.features // self.num_heads
        heads = (self.num_heads, size)
        query = nn.DenseGeneral(heads, name="query")(query)
        query = query.reshape(num_shards, num_owners, *heads)
        key = nn.DenseGeneral(heads, use_bias=False, name="key")(atoms)
        value = nn.DenseGeneral(heads, use_bias=False, name="value")(atoms)

        def attend(query, key, value, owner, mask):  # noqa: ANN001, ANN202 (one shard, see below)
            scores = jnp.einsum("ahd,ahd->ah", query[owner], key) / jnp.sqrt(size)
            attention = owner_attention(scores, owner, mask, num_owners)
            return owner_sum(attention[..., None] * value, owner, num_owners), attention

        pooled, attention = jax.vmap(attend)(query, key, value, owner, atom_mask)
        pooled = pooled.reshape(num_shards * num_owners, -1)
        return nn.Dense(self.features, use_bias=False, name="out")(pooled), attention
