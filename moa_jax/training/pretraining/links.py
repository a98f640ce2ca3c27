"""Link prediction on STRING and GO: hidden edges are distinguished from random ones.

Hidden edges are removed from message passing, in both directions.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32

from moa_jax.schemas import EdgeArrays, GraphArrays

# Edge sets to predict, in the order of the relation vectors.
RELATIONS = ("interacts", "annotated_to")
# Relation -> number of each edge's link.
LinkNumbers = dict[str, Int32[Array | np.ndarray, "_"]]


def link_numbers(graph: GraphArrays) -> LinkNumbers:
    """The link that each directed edge belongs to, for each of `RELATIONS`.

    Both directions of an interaction are one link, so that they are hidden together.
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
    """Hides some links of the graph by giving their edges weight 0.

    Args:
      rng: key.
      graph: the knowledge graph.
      links: its `link_numbers`.
      share: probability that a link is hidden, unless its weight is 0 already.

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
    """DistMult scores (Yang 2015, eq. 4), divided by the square root of the number of features.

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
      negative: scores of the edges with a random receiver.
      hidden: edges that enter the loss.
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
    """Mean over `RELATIONS` of `link_loss`, with random receivers of the same kind.

    Args:
      rng: key of the random receivers.
      nodes: node states, genes first, computed without the hidden edges.
      relations: vector of each relation.
      graph: the whole graph.
      hidden: hidden edges of each relation.
      num_genes: number of gene nodes.
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
