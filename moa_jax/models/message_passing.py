"""Message passing with jraph: the only module that imports it.

jraph is archived upstream, but the parts used here (`GraphsTuple`, `GraphNetwork` and the segment
operations) run unchanged on current JAX.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import jraph
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import EdgeArrays


def weighted_mean(
    nodes: Float[Array, "sender feature"], edges: EdgeArrays, num_receivers: int
) -> Float[Array, "receiver feature"]:
    """Mean of the senders' features at each receiver, weighted by the edges; zeros without any."""
    return weighted_sum(nodes, edge_shares(edges, num_receivers), num_receivers)


def weighted_sum(
    nodes: Float[Array, "sender feature"], edges: EdgeArrays, num_receivers: int
) -> Float[Array, "receiver feature"]:
    """Sum of the senders' features at each receiver, times the edges' weights."""
    sent = nodes[edges.senders] * edges.weight[:, None]
    return jraph.segment_sum(sent, edges.receivers, num_receivers)


def edge_shares(edges: EdgeArrays, num_receivers: int) -> EdgeArrays:
    """The edges with weights that sum to 1 at each receiver that has any."""
    total = edge_totals(edges, num_receivers)
    share = edges.weight / jnp.maximum(total, 1e-6)[edges.receivers]
    return EdgeArrays(senders=edges.senders, receivers=edges.receivers, weight=share)


def edge_totals(edges: EdgeArrays, num_receivers: int) -> Float[Array, " receiver"]:
    """Sum of the weights of each receiver's edges."""
    return jraph.segment_sum(edges.weight, edges.receivers, num_receivers)


def reverse(edges: EdgeArrays) -> EdgeArrays:
    """The same edges in the other direction."""
    return EdgeArrays(senders=edges.receivers, receivers=edges.senders, weight=edges.weight)


def owner_attention(
    scores: Float[Array, "atom head"],
    owner: Int[Array, " atom"],
    mask: Bool[Array, " atom"],
    num_owners: int,
) -> Float[Array, "atom head"]:
    """Softmax of `scores` over the unmasked atoms of each owner; masked atoms get 0."""
    lowest = jnp.finfo(scores.dtype).min
    weights = jraph.segment_softmax(
        jnp.where(mask[:, None], scores, lowest), owner, num_segments=num_owners
    )
    return jnp.where(mask[:, None], weights, 0.0)


def owner_sum(
    values: Float[Array, "atom *feature"], owner: Int[Array, " atom"], num_owners: int
) -> Float[Array, "owner *feature"]:
    """Sum of the values of each owner's atoms."""
    return jraph.segment_sum(values, owner, num_owners)


def owner_max(
    values: Float[Array, "atom feature"],
    owner: Int[Array, " atom"],
    mask: Bool[Array, " atom"],
    num_owners: int,
) -> Float[Array, "owner feature"]:
    """Maximum over the unmasked atoms of each owner; zeros if it has none."""
    lowest = jnp.finfo(values.dtype).min
    largest = jraph.segment_max(jnp.where(mask[:, None], values, lowest), owner, num_owners)
    return jnp.where(largest > lowest, largest, 0.0)


class BondNetworkLayer(nn.Module):
    """One step of message passing along bonds, residual (GINE: Hu 2020, section 5.2).

    Attributes:
      features: size of the atom states.
    """

    features: int

    @nn.compact
    def __call__(
        self,
        atoms: Float[Array, "atom feature"],
        bonds: Float[Array, "bond bond_feature"],
        senders: Int[Array, " bond"],
        receivers: Int[Array, " bond"],
        bond_mask: Bool[Array, " bond"],
    ) -> Float[Array, "atom feature"]:
        """Updates the atom states; messages along masked bonds are zero."""
        bond_states = nn.Dense(self.features, name="bond")(bonds)
        hidden = nn.Dense(2 * self.features, name="update_hidden")
        out = nn.Dense(self.features, name="update_out")

        def message(edges, sent, received, globals_):  # noqa: ANN001, ANN202 (jraph's own form)
            del received, globals_
            return nn.relu(sent + edges) * bond_mask[:, None]

        def new_state(nodes, sent, received, globals_):  # noqa: ANN001, ANN202 (the same)
            del sent, globals_
            return nodes + out(nn.gelu(hidden(nodes + received)))

        graph = jraph.GraphsTuple(
            nodes=atoms,
            edges=bond_states,
            senders=senders,
            receivers=receivers,
            n_node=jnp.array([atoms.shape[0]]),
            n_edge=jnp.array([bonds.shape[0]]),
            globals=None,
        )
        graph = jraph.GraphNetwork(update_edge_fn=message, update_node_fn=new_state)(graph)
        return nn.LayerNorm(name="norm")(graph.nodes)
