"""Evidence for proteins, passed along the typed edges of STRING and GO with trained weights."""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.message_passing import (
    edge_shares,
    edge_totals,
    reverse,
    weighted_sum,
)
from moa_jax.schemas import EdgeArrays, GraphArrays

# Bound of the logarithm of a trained factor.
MAX_LOG_FACTOR = 3.0


@flax.struct.dataclass
class PassingShares:
    """Each edge's share of what its receiver is passed; the shares of a receiver sum to 1.

    Attributes:
      interacts: gene to gene, along STRING.
      annotated_to: gene to term.
      annotates: term to gene.
    """

    interacts: EdgeArrays
    annotated_to: EdgeArrays
    annotates: EdgeArrays

    def passed(
        self, evidence: Float[Array, "gene channel"], num_terms: int
    ) -> Float[Array, "path gene channel"]:
        """Mean evidence of each gene's neighbours in STRING, and through GO terms; 0 without any.

        Args:
          evidence: evidence for each gene node.
          num_terms: term nodes of the graph.
        """
        of_terms = weighted_sum(evidence, self.annotated_to, num_terms)
        return jnp.stack(
            [
                weighted_sum(evidence, self.interacts, len(evidence)),
                weighted_sum(of_terms, self.annotates, len(evidence)),
            ]
        )


class EvidencePassing(nn.Module):
    """One step of evidence from each gene to its neighbours in STRING and in the Gene Ontology.

    A neighbour's share is the edge's weight times a trained factor, which is 1 at first and depends
    on the embeddings of both ends alone: the same weights serve all examples and proteins. Small
    terms have larger shares, as with inverse document frequencies.

    Attributes:
      num_genes: gene nodes of the graph.
    """

    num_genes: int

    @nn.compact
    def __call__(self, nodes: Float[Array, "node feature"], graph: GraphArrays) -> PassingShares:
        """The shares of all edges.

        Args:
          nodes: embeddings of the gene nodes, then of the term nodes.
          graph: the knowledge graph.
        """
        num_genes, num_terms = self.num_genes, len(nodes) - self.num_genes
        genes, terms = nodes[:num_genes], nodes[num_genes:]
        annotates = reverse(graph.annotated_to)
        size = edge_totals(graph.annotated_to, num_terms)
        annotates = EdgeArrays(
            senders=annotates.senders,
            receivers=annotates.receivers,
            weight=annotates.weight / jnp.maximum(size, 1.0)[annotates.senders],
        )
        to_terms = _trained("annotated_to", graph.annotated_to, genes, terms)
        between_genes = _trained("interacts", graph.interacts, genes, genes)
        to_genes = _trained("annotates", annotates, terms, genes)
        return PassingShares(
            interacts=edge_shares(between_genes, num_genes),
            annotated_to=edge_shares(to_terms, num_terms),
            annotates=edge_shares(to_genes, num_genes),
        )


def _trained(
    name: str,
    edges: EdgeArrays,
    senders: Float[Array, "sender feature"],
    receivers: Float[Array, "receiver feature"],
) -> EdgeArrays:
    """The edges with trained weights; to be called within a compact module."""
    size = senders.shape[-1]
    key = nn.Dense(size, use_bias=False, kernel_init=nn.initializers.zeros_init(), name=name)
    factor = jnp.exp(log_factors(key(senders), receivers, edges))
    return EdgeArrays(
        senders=edges.senders, receivers=edges.receivers, weight=edges.weight * factor
    )


def log_factors(
    keys: Float[Array, "sender feature"],
    receivers: Float[Array, "receiver feature"],
    edges: EdgeArrays,
) -> Float[Array, " edge"]:
    """Logarithm of each edge's trained factor; within `MAX_LOG_FACTOR` of 0.

    Args:
      keys: keys of the senders.
      receivers: embeddings of the receivers.
      edges: the edges.
    """
    likeness = jnp.sum(keys[edges.senders] * receivers[edges.receivers], axis=-1)
    return jnp.tanh(likeness / jnp.sqrt(keys.shape[-1])) * MAX_LOG_FACTOR
