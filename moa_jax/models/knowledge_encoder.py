"""Embeddings of genes and GO terms from message passing over the typed edges of STRING and GO."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.models.graph_layers import (
    GraphAttentionLayer,
    GraphConvolutionLayer,
    GraphPoolingLayer,
)
from moa_jax.models.message_passing import reverse, weighted_mean
from moa_jax.schemas import EdgeArrays, GraphArrays

# Kinds of message passing; the first three see one edge type at a time.
KNOWLEDGE_LAYERS = ("gcn", "gat", "sage", "relational")


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


def typed_edges(graph: GraphArrays, num_genes: int) -> dict[str, EdgeArrays]:
    """Edges of every type in both directions, over one list of nodes: genes, then terms.

    Args:
      graph: the knowledge graph.
      num_genes: its gene nodes, by which the rows of terms are shifted.
    """

    def moved(edges: EdgeArrays, senders: int, receivers: int) -> EdgeArrays:
        return EdgeArrays(edges.senders + senders, edges.receivers + receivers, edges.weight)

    directed = {
        "annotated_to": moved(graph.annotated_to, 0, num_genes),
        "is_a": moved(graph.is_a, num_genes, num_genes),
        "part_of": moved(graph.part_of, num_genes, num_genes),
    }
    return {
        "interacts": graph.interacts,
        **directed,
        **{f"{name}_reverse": reverse(edges) for name, edges in directed.items()},
    }


class TypedGraphLayer(nn.Module):
    """One residual step in which every edge type has a layer of its own; they are averaged.

    As in heterogeneous networks made of homogeneous layers (Schlichtkrull 2018, section 2.1, with
    another message than a matrix). A node takes part in a type without edges there by what the
    layer makes of its own state.

    Attributes:
      kind: `gcn`, `gat` or `sage`.
      features: size of the node states.
      num_heads: heads of `gat`.
    """

    kind: str
    features: int
    num_heads: int

    @nn.compact
    def __call__(
        self, nodes: Float[Array, "node feature"], relations: dict[str, EdgeArrays]
    ) -> Float[Array, "node feature"]:
        """Node states after the step."""
        layers = {
            "gcn": lambda name: GraphConvolutionLayer(self.features, name=name),
            "gat": lambda name: GraphAttentionLayer(self.features, self.num_heads, name=name),
            "sage": lambda name: GraphPoolingLayer(self.features, name=name),
        }
        heard = [layers[self.kind](name)(nodes, edges) for name, edges in relations.items()]
        return nn.LayerNorm(name="norm")(nodes + nn.gelu(sum(heard) / len(heard)))


class KnowledgeEncoder(nn.Module):
    """Static node embeddings: computed once a step, whatever the batch.

    Where the graph has positions of its nodes they join the embeddings at the start.

    Attributes:
      num_genes: gene nodes of the graph, landmarks first.
      num_terms: term nodes of the graph.
      features: size of an embedding.
      num_layers: message-passing steps.
      layer: kind of message passing, of `KNOWLEDGE_LAYERS`.
      num_heads: heads of `gat`.
    """

    num_genes: int
    num_terms: int
    features: int
    num_layers: int
    layer: str = "relational"
    num_heads: int = 1

    @nn.compact
    def __call__(self, graph: GraphArrays) -> Float[Array, "node feature"]:
        """Embeds all nodes, genes first, then terms."""
        start = nn.initializers.normal(stddev=1.0)
        genes = self.param("gene", start, (self.num_genes, self.features))
        terms = self.param("term", start, (self.num_terms, self.features))
        if graph.positions is not None:
            place = nn.Dense(self.features, use_bias=False, name="positions")(graph.positions)
            genes, terms = genes + place[: self.num_genes], terms + place[self.num_genes :]
        if self.layer != "relational":
            nodes = jnp.concatenate([genes, terms], axis=0)
            relations = typed_edges(graph, self.num_genes)
            for layer in range(self.num_layers):
                nodes = TypedGraphLayer(
                    self.layer, self.features, self.num_heads, name=f"layer_{layer}"
                )(nodes, relations)
            return nodes
        for layer in range(self.num_layers):
            genes, terms = RelationalLayer(self.features, name=f"layer_{layer}")(
                genes, terms, graph
            )
        return jnp.concatenate([genes, terms], axis=0)
