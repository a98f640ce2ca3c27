"""Link prediction on STRING and GO: hidden edges are told from random ones.

Hidden edges take no part in message passing, in either direction.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32

from moa_jax.schemas import EdgeArrays, GraphArrays

# Edge sets that are predicted, in the order of the relation vectors.
RELATIONS = ("interacts", "annotated_to")
# Relation -> number of each edge's link.
LinkNumbers = dict[str, Int32[Array | np.ndarray, "_"]]


def link_numbers(graph: GraphArrays) -> LinkNumbers:
    """For each of `RELATIONS` the number of the link that each directed edge belongs to.

    Both directions of one interaction are one link, so that they are hidden together.
    """
    ends = np.stack([np.asarray(graph.interacts.senders), np.asarray(graph.interacts.receivers)])
    _, links = np.unique(np.sort(ends, axis=0), axis=1, return_inverse=True)
    count = len(np.asarray(graph.annotated_to.senders))
    return {
        "interacts": links.reshape(-1).astype(np.int32),
        "annotated_to": np.arange(count, dtype=np.int32),
    }


def hide_links(
    rng: Array, graph: GraphArrays, links: LinkNumbers, *, share: float
) -> tuple[GraphArrays, dict[str, Bool[Array, "_"]]]:
    """Takes some links out of the graph by giving their edges weight 0.

    Args:
      rng: key.
      graph: the knowledge graph.
      links: `link_numbers` of it.
      share: chance of a link to be hidden. Edges of weight 0 are not there to be hidden.

    Returns:
      The graph without the hidden links, and which edges of each relation are hidden.
    """
    hidden, kept = {}, {}
    for place, relation in enumerate(RELATIONS):
        edges, number = getattr(graph, relation), links[relation]
        # There are at most as many links as edges.
        drawn = jax.random.uniform(jax.random.fold_in(rng, place), number.shape) < share
        hidden[relation] = drawn[number] & (edges.weight > 0)
        weight = jnp.where(hidden[relation], 0.0, edges.weight)
        kept[relation] = dataclasses.replace(edges, weight=weight)
    return dataclasses.replace(graph, **kept), hidden


def link_scores(
    nodes: Float[Array | np.ndarray, "node feature"],
    relation: Float[Array | np.ndarray, " feature"],
    senders: Int[Array | np.ndarray, " edge"],
    receivers: Int[Array | np.ndarray, " edge"],
) -> Float[Array | np.ndarray, " edge"]:
    """DistMult (Yang 2015, eq. 4) divided by the root of the size; a dot product for ones.

    Args:
      nodes: node states.
      relation: the relation's vector.
      senders: rows of the senders among the nodes.
      receivers: rows of the receivers.
    """
    product = nodes[senders] * relation * nodes[receivers]
    return product.sum(axis=-1) / jnp.sqrt(nodes.shape[-1])


def link_loss(
    positive: Float[Array, " edge"], negative: Float[Array, " edge"], hidden: Bool[Array, " edge"]
) -> Float[Array, ""]:
    """Logistic loss of hidden edges against one random edge each, in nats; 0 without any.

    Args:
      positive: scores of the edges.
      negative: scores of the edges with another receiver.
      hidden: edges that count.
    """
    losses = (jax.nn.softplus(-positive) + jax.nn.softplus(negative)) / 2
    return jnp.sum(jnp.where(hidden, losses, 0.0)) / jnp.maximum(hidden.sum(), 1)


def relation_loss(
    rng: Array,
    nodes: Float[Array, "node feature"],
    relations: Float[Array, "relation feature"],
    graph: GraphArrays,
    hidden: dict[str, Bool[Array, "_"]],
    *,
    num_genes: int,
) -> Float[Array, ""]:
    """Mean over `RELATIONS` of `link_loss`; the other receiver is any node of its kind.

    Args:
      rng: key of the other receivers.
      nodes: node states, genes first, made without the hidden edges.
      relations: vector of each relation.
      graph: the whole graph.
      hidden: edges of each relation that count.
      num_genes: gene nodes.
    """
    total = jnp.zeros(())
    for place, relation in enumerate(RELATIONS):
        edges: EdgeArrays = getattr(graph, relation)
        low, high = (0, num_genes) if relation == "interacts" else (num_genes, len(nodes))
        other = jax.random.randint(jax.random.fold_in(rng, place), edges.receivers.shape, low, high)
        positive = link_scores(nodes, relations[place], edges.senders, edges.receivers + low)
        negative = link_scores(nodes, relations[place], edges.senders, other)
        total += link_loss(positive, negative, hidden[relation])
    return total / len(RELATIONS)
