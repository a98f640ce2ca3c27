"""Cross-attention to graph nodes and to atoms, without an array of tokens per example."""

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
        heads = (self.num_heads, self.features // self.num_heads)
        query = nn.DenseGeneral(heads, name="query")(query) / jnp.sqrt(heads[1])

        def of_nodes(name: str) -> Float[Array, "node head size"]:
            return nn.DenseGeneral(heads, use_bias=False, name=name)(nodes)

        # Heads come first: in other orders the matrix products transpose all scores. Dividing sums
        # by the total, not each weight, is cheaper in both passes.
        scores = jnp.einsum("bhd,nhd->hbn", query, of_nodes("active_key")) * activity
        scores += jnp.einsum("bhd,nhd->hbn", query, of_nodes("static_key"))
        largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
        weights = jnp.exp(scores - largest)
        total = weights.sum(axis=-1, keepdims=True)
        value = jnp.einsum("hbn,nhd->hbd", weights * activity, of_nodes("active_value"))
        value += jnp.einsum("hbn,nhd->hbd", weights, of_nodes("static_value"))
        value = jnp.swapaxes(value / total, 0, 1).reshape(len(query), -1)
        out = nn.Dense(self.features, name="out")(value)
        return out, jnp.swapaxes(weights / total, 0, 1)


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
