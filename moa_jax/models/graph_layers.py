"""Layers of message passing over weighted edges: convolution, attention, pooling, one per relation.

Every layer takes nodes of one kind, hears along directed edges, and leaves the activation that
follows to its caller. An edge of weight 0 is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.message_passing import owner_attention, owner_max, owner_sum, weighted_mean
from moa_jax.schemas import EdgeArrays


class GraphConvolutionLayer(nn.Module):
    """Sum over a node and its neighbours, divided by the roots of both degrees (Kipf 2017, eq. 2).

    A node's loop to itself has weight 1. For directed edges the sender's degree is that of what
    it sends, the receiver's that of what it hears.

    Attributes:
      features: size of the output.
    """

    features: int

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "node feature"], edges: EdgeArrays
    ) -> Float[Array, "node out"]:
        """Node states after the step."""
        num_nodes = nodes.shape[0]
        sent = owner_sum(edges.weight, edges.senders, num_nodes) + 1.0
        received = owner_sum(edges.weight, edges.receivers, num_nodes) + 1.0
        values = nn.Dense(self.features, use_bias=False, name="values")(nodes)
        share = edges.weight / jnp.sqrt(sent[edges.senders] * received[edges.receivers])
        heard = owner_sum(values[edges.senders] * share[:, None], edges.receivers, num_nodes)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return heard + values / jnp.sqrt(sent * received)[:, None] + bias


class GraphAttentionLayer(nn.Module):
    """A node's own state and a mean of its neighbours' by learned attention.

    Scores are those of Velickovic 2018 (eq. 3): LeakyReLU of a linear form in the states of
    sender and receiver. An edge of weight w counts w-fold in the softmax over a node's edges, so
    that without attention the mean is `weighted_mean`. In place of a loop to itself a node has a
    matrix of its own.

    Attributes:
      features: size of the output, divided among the heads.
      num_heads: attention heads.
    """

    features: int
    num_heads: int

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "node feature"], edges: EdgeArrays
    ) -> Float[Array, "node out"]:
        """Node states after the step; a node that hears nothing keeps its own part alone."""
        num_nodes, width = nodes.shape[0], self.features // self.num_heads
        values = nn.DenseGeneral((self.num_heads, width), use_bias=False, name="values")(nodes)
        start = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        sender = self.param("sender_score", start, (self.num_heads, width))
        receiver = self.param("receiver_score", start, (self.num_heads, width))
        scores = nn.leaky_relu(
            (values * sender).sum(axis=-1)[edges.senders]
            + (values * receiver).sum(axis=-1)[edges.receivers],
            negative_slope=0.2,
        )
        present = edges.weight > 0
        scores += jnp.log(jnp.where(present, edges.weight, 1.0))[:, None]
        attention = owner_attention(scores, edges.receivers, present, num_nodes)
        heard = owner_sum(values[edges.senders] * attention[..., None], edges.receivers, num_nodes)
        own = nn.Dense(self.num_heads * width, name="own")(nodes)
        return own + heard.reshape(own.shape)


class GraphPoolingLayer(nn.Module):
    """GraphSAGE with max pooling: the strongest of what the neighbours say (Hamilton 2017, eq. 3).

    A neighbour's message is multiplied by its edge's weight. The state has unit length at every
    node, as in algorithm 1, line 7.

    Attributes:
      features: size of the output and of the messages.
    """

    features: int

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "node feature"], edges: EdgeArrays
    ) -> Float[Array, "node out"]:
        """Node states after the step; a node that hears nothing hears zeros."""
        said = nn.relu(nn.Dense(self.features, name="pool")(nodes))
        heard = owner_max(
            said[edges.senders] * edges.weight[:, None],
            edges.receivers,
            edges.weight > 0,
            nodes.shape[0],
        )
        state = nn.Dense(self.features, name="own")(nodes) + nn.Dense(
            self.features, use_bias=False, name="neighbours"
        )(heard)
        return state / jnp.sqrt(jnp.sum(state**2, axis=-1, keepdims=True) + 1e-12)


class TypedRelationLayer(nn.Module):
    """A node's own state and the mean of its neighbours' in each relation, each with its matrix.

    R-GCN without sharing between relations (Schlichtkrull 2018, eq. 2), normalised by the summed
    weight of a node's edges of the relation.

    Attributes:
      features: size of the output.
    """

    features: int

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "node feature"], relations: Mapping[str, EdgeArrays]
    ) -> Float[Array, "node out"]:
        """Node states after the step.

        Args:
          nodes: node states.
          relations: name of each relation -> its edges.
        """
        state = nn.Dense(self.features, name="own")(nodes)
        for relation in sorted(relations):
            heard = weighted_mean(nodes, relations[relation], nodes.shape[0])
            state += nn.Dense(self.features, use_bias=False, name=relation)(heard)
        return state
