"""Embeddings of genes and GO terms from message passing over the typed edges of STRING and GO."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.message_passing import reverse, weighted_mean
from moa_jax.schemas import GraphArrays


class RelationalLayer(nn.Module):
    """One residual step over every edge type in both directions (R-GCN: Schlichtkrull 2018).

    Attributes:
      features: size of the node states.
    """

    features: int

    @nn.compact
    def __call__(
        self,
        genes: Float[Array, "gene feature"],
        terms: Float[Array, "term feature"],
        graph: GraphArrays,
    ) -> tuple[Float[Array, "gene feature"], Float[Array, "term feature"]]:
        """Updates gene and term states."""
        num_genes, num_terms = genes.shape[0], terms.shape[0]

        def received(relation, nodes, edges, num_receivers):  # noqa: ANN001, ANN202 (local)
            sent = nn.Dense(self.features, use_bias=False, name=relation)(nodes)
            return weighted_mean(sent, edges, num_receivers)

        to_genes = received("interacts", genes, graph.interacts, num_genes) + received(
            "annotates", terms, reverse(graph.annotated_to), num_genes
        )
        to_terms = (
            received("annotated_to", genes, graph.annotated_to, num_terms)
            + received("is_a", terms, graph.is_a, num_terms)
            + received("is_a_reverse", terms, reverse(graph.is_a), num_terms)
            + received("part_of", terms, graph.part_of, num_terms)
            + received("part_of_reverse", terms, reverse(graph.part_of), num_terms)
        )
        genes = genes + nn.gelu(nn.Dense(self.features, name="gene_self")(genes) + to_genes)
        terms = terms + nn.gelu(nn.Dense(self.features, name="term_self")(terms) + to_terms)
        return nn.LayerNorm(name="gene_norm")(genes), nn.LayerNorm(name="term_norm")(terms)


class KnowledgeEncoder(nn.Module):
    """Static node embeddings, which do not depend on the batch.

    Attributes:
      num_genes: gene nodes of the graph, landmarks first.
      num_terms: term nodes of the graph.
      features: size of an embedding.
      num_layers: message-passing steps.
    """

    num_genes: int
    num_terms: int
    features: int
    num_layers: int

    @nn.compact
    def __call__(self, graph: GraphArrays) -> Float[Array, "node feature"]:
        """Embeds all nodes, genes first, then terms."""
        start = nn.initializers.normal(stddev=1.0)
        genes = self.param("gene", start, (self.num_genes, self.features))
        terms = self.param("term", start, (self.num_terms, self.features))
        for layer in range(self.num_layers):
            genes, terms = RelationalLayer(self.features, name=f"layer_{layer}")(
                genes, terms, graph
            )
        return jnp.concatenate([genes, terms], axis=0)
