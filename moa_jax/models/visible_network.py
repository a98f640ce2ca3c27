"""A network that is wired like the Gene Ontology: one small state per term.

DCell (Ma 2018) and DrugCell (Kuenzi 2020) with expression in place of genotypes. Genes enter at
the terms that they are annotated to, terms feed their parents, and what the network has made of a
signature can be read off every term.
"""

from __future__ import annotations

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from moa_jax.schemas import Batch, GraphArrays, OntologyArrays


@flax.struct.dataclass
class VisibleOutput:
    """What the network says and what it has made of a signature.

    Attributes:
      logits: MoA logits: the sum of what the terms that are read say, over the square root of
        their number, and a bias.
      term_logits: what every term says by itself.
    """

    logits: Float[Array, "batch moa"]
    term_logits: Float[Array, "term batch moa"]


class TermStates(nn.Module):
    """States of all terms, from the bottom up (Ma 2018, Online Methods; no batch normalisation).

    The state of a term is tanh(b + sum_genes w x + sum_children W s): every annotation has a
    vector of weights, every link between terms a matrix, as if the inputs were concatenated.

    Attributes:
      num_terms: how many terms there are.
      features: size of a state.
    """

    num_terms: int
    features: int

    @nn.compact
    def __call__(
        self, genes: Float[Array, "gene batch"], ontology: OntologyArrays
    ) -> Float[Array, "term batch state"]:
        """The states, in the order of the graph's terms."""
        edges = ontology.annotated_to
        weights = self._weights("genes", edges.weight, ())
        entering = self.param("bias", nn.initializers.zeros_init(), (self.num_terms, self.features))
        sent = genes[edges.senders][..., None] * weights[:, None]
        entering = entering[:, None] + _sum_at(sent, edges.receivers, self.num_terms)
        scales = jnp.concatenate([level.children.weight for level in ontology.levels])
        # An ontology may have no links, and parameters of no size cannot be stored.
        weights = self._weights("children", scales, (self.features,)) if len(scales) else None
        # Every level overwrites what entered at its own terms by their states.
        states, first = entering, 0
        for level in ontology.levels:
            received, links = entering[level.terms], level.children
            following = first + len(links.senders)
            if following > first:
                sent = jnp.einsum("ebs,est->ebt", states[links.senders], weights[first:following])
                received += _sum_at(sent, links.receivers, len(level.terms))
            states = states.at[level.terms].set(jnp.tanh(received), unique_indices=True)
            first = following
        return states

    def _weights(
        self, name: str, scales: Float[Array, " edge"], inputs: tuple[int, ...]
    ) -> Float[Array, "edge *input state"]:
        """Weights of every edge, which start at random with the scales given."""

        def start(rng: Array) -> Array:
            drawn = jax.random.normal(rng, (len(scales), *inputs, self.features))
            return drawn * jnp.expand_dims(scales, range(1, drawn.ndim))

        return self.param(name, start)


def _sum_at(
    sent: Float[Array, "edge batch state"], receivers: Int32[Array, " edge"], num_receivers: int
) -> Float[Array, "receiver batch state"]:
    return jax.ops.segment_sum(sent, receivers, num_receivers, indices_are_sorted=True)


class VisibleNetwork(nn.Module):
    """From genes through terms to MoAs.

    Attributes:
      num_moas: size of the output.
      num_terms: terms of the graph.
      term_features: size of a term's state (6 in DrugCell).
      gene_dropout: share of genes hidden in training.
      dropout: share of the terms' numbers that the heads do not see in training.
      roots_only: the answer is read off the roots, as in DCell and DrugCell, not off all terms.
    """

    num_moas: int
    num_terms: int
    term_features: int
    gene_dropout: float
    dropout: float
    roots_only: bool

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> VisibleOutput:
        """Answers for every example; reads nothing of the graph but its ontology.

        Raises:
          ValueError: the graph has no ontology laid out by level.
        """
        if graph.ontology is None:
            raise ValueError("a visible network needs a graph whose terms are laid out by level.")
        genes = jnp.where(batch.gene_mask, batch.expression, 0.0)
        genes = nn.Dropout(self.gene_dropout, name="gene_dropout")(genes, deterministic=not train)
        states = TermStates(self.num_terms, self.term_features, name="terms")(
            genes.T, graph.ontology
        )
        seen = nn.Dropout(self.dropout, name="dropout")(states, deterministic=not train)
        shape = (self.num_terms, self.term_features, self.num_moas)
        heads = self.param("heads", nn.initializers.zeros_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.num_moas,))
        read = graph.ontology.roots if self.roots_only else slice(None)
        # The sum over terms and states at once: the terms' own logits are big, and computed where
        # somebody asks for them.
        total = jnp.einsum("tbs,tsm->bm", seen[read], heads[read])
        return VisibleOutput(
            logits=total * len(heads[read]) ** -0.5 + bias,
            term_logits=jnp.einsum("tbs,tsm->tbm", seen, heads),
        )
