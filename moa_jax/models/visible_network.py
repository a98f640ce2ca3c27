"""A visible neural network, wired like the Gene Ontology, with a small state per term.

DCell (Ma 2018) and DrugCell (Kuenzi 2020) with expression in place of genotypes. Genes enter at
the terms that they are annotated to, and terms feed their parents.
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
    """Logits of the network and of its terms.

    Attributes:
      logits: MoA logits: the sum of the terms' logits over the square root of their number, plus a
        bias.
      term_logits: logits of every term alone.
    """

    logits: Float[Array, "batch moa"]
    term_logits: Float[Array, "term batch moa"]


class TermStates(nn.Module):
    """States of all terms, from the bottom up (Ma 2018, Online Methods; no batch normalisation).

    The state of a term is tanh(b + sum_genes w x + sum_children W s): every annotation has a
    vector of weights, every link between terms a matrix, as if the inputs were concatenated.

    Attributes:
      num_terms: number of terms.
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
        # An ontology may have no links, and empty parameters cannot be stored.
        weights = self._weights("children", scales, (self.features,)) if len(scales) else None
        # Every level replaces the inputs of its own terms by their states.
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
        """Weights of every edge, initially random with the given scales."""

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
      dropout: share of the terms' states hidden from the heads in training.
      roots_only: whether only roots have heads that count, as in DCell and DrugCell.
    """

    num_moas: int
    num_terms: int
    term_features: int
    gene_dropout: float
    dropout: float
    roots_only: bool

    @nn.compact
    def __call__(self, batch: Batch, graph: GraphArrays, *, train: bool) -> VisibleOutput:
        """Logits of every example; of the graph, only the ontology is used.

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
        # Sums over terms and states at once: the terms' own logits are large, and under `jit` they
        # are computed only if they are used.
        total = jnp.einsum("tbs,tsm->bm", seen[read], heads[read])
        return VisibleOutput(
            logits=total * len(heads[read]) ** -0.5 + bias,
            term_logits=jnp.einsum("tbs,tsm->tbm", seen, heads),
        )
