"""What the edges of STRING and GO contribute to evidence that is carried from protein to protein.

`kernels.protein_carry` carries evidence `e` as `e (K + ridge I)^-1 K`, with `K` the mean of the
similarities by STRING and by GO. Integrated gradients (Sundararajan 2017) go from no edges to all
of them, along `K(t) = (1 - t) I + t K`: at the start every protein resembles itself alone, which is
what the closed form makes of a graph without edges. So the contributions of the pairs of proteins
sum to what the edges change. Those of a pair are shared out exactly:

- the similarity by STRING is a sum over the walks from one protein to the other, of which each is
  divided equally among its steps (what integrated gradients give along a straight path of the
  normalised weights). The degrees and the lengths of the cosine are those of the whole graph;
- the similarity by GO is a sum over the terms that both proteins have, ancestors included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import ml_collections
import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from moa_jax.explanation.attribution.gradients import gauss_legendre
from moa_jax.knowledge.propagation import normalised_interactions
from moa_jax.knowledge.protein_similarity import string_walks, weighted_terms
from moa_jax.schemas import KnowledgeGraph

# Share of the walks that is left out: the longest ones.
_WALKS_LEFT = 1e-4
# Walks that return to their protein join no pair. They are taken away exactly, but for this share
# of all contributions, which is taken from the edges of the protein, as walks of two steps have it.
_RETURNS_LEFT = 2e-3
# Singular values of a sum of pairs that are left out, as a share of the largest.
_SMALLEST = 1e-7
# Gradients on the path of the edges.
_NUM_PLACES = 8
# Edges that are summed at once.
_BLOCK = 8192


@dataclasses.dataclass(frozen=True)
class PairFactors:
    """Matrix of the score's gradients by the similarities of pairs of proteins, as a product.

    Attributes:
      left: one row per factor.
      right: the same; the matrix is `left.T @ right`.
    """

    left: Float[np.ndarray, "factor protein"]
    right: Float[np.ndarray, "factor protein"]

    @classmethod
    def joined(cls, parts: Sequence[PairFactors]) -> PairFactors:
        """The sum of the matrices."""
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
        )

    def compressed(self) -> PairFactors:
        """The same matrix with as few factors as it needs."""
        of_left, left = np.linalg.qr(self.left.T)
        of_right, right = np.linalg.qr(self.right.T)
        first, values, second = np.linalg.svd(left @ right.T)
        kept = values > _SMALLEST * values[0]
        return PairFactors(
            (of_left @ first[:, : len(values)])[:, kept].T * values[kept, None],
            (of_right @ second[: len(values)].T)[:, kept].T,
        )


@dataclasses.dataclass(frozen=True)
class EdgeContributions:
    """Contributions of edges to a score.

    Attributes:
      string: of the interactions in STRING, in the order of `CarriedEvidence.links`.
      go: of pairs of proteins that share GO terms; symmetric, half of the pair's in each entry.
    """

    string: Float[np.ndarray, " link"]
    go: Float[np.ndarray, "protein protein"]

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self.string.sum() + self.go.sum())

    def __add__(self, other: EdgeContributions) -> EdgeContributions:
        return EdgeContributions(self.string + other.string, self.go + other.go)


@dataclasses.dataclass(frozen=True)
class CarriedEvidence:
    """The step over proteins of two-step kernel ridge regression, along the path of its edges.

    Attributes:
      rows: gene node of each protein with evidence.
      values: eigenvalues of the kernel of these proteins.
      vectors: its eigenvectors.
      walk: normalised interactions of all genes.
      lengths: length of each protein's random walks.
      by_string: similarity of two proteins by STRING; 0 of a protein with itself.
      by_go: the same by their GO terms.
      terms: GO terms of each protein, rows of unit length (of zeros, without any).
      links: the two gene nodes of each interaction, each once and sorted.
      weights: normalised weight of each interaction.
      restart: see `string_similarity`.
      string_share: weight of STRING in the kernel.
      ridge: added to the diagonal of the kernel.
    """

    rows: Int[np.ndarray, " protein"]
    values: Float[np.ndarray, " protein"]
    vectors: Float[np.ndarray, "protein protein"]
    walk: scipy.sparse.csr_array
    lengths: Float[np.ndarray, " protein"]
    by_string: Float[np.ndarray, "protein protein"]
    by_go: Float[np.ndarray, "protein protein"]
    terms: scipy.sparse.csr_array
    links: Int[np.ndarray, "link 2"]
    weights: Float[np.ndarray, " link"]
    restart: float
    string_share: float
    ridge: float

    def at(
        self, evidence: Float[np.ndarray, "*shape protein"], place: float
    ) -> Float[np.ndarray, "*shape protein"]:
        """Evidence, carried to the same proteins at a place of the path.

        Args:
          evidence: evidence for the proteins.
          place: 0 without edges, 1 with all of them.
        """
        kernel = 1.0 - place + place * self.values
        return ((evidence @ self.vectors) * (kernel / (kernel + self.ridge))) @ self.vectors.T

    def factors(
        self,
        evidence: Float[np.ndarray, "row protein"],
        gradient: Float[np.ndarray, "row protein"],
        place: float,
    ) -> PairFactors:
        """Gradient of the sum of scores by the similarities, at a place of the path.

        With `M = K(place) + ridge I` the carried evidence changes by `ridge M^-1 dK M^-1 e`.

        Args:
          evidence: evidence for the proteins.
          gradient: gradient of the score by the carried evidence.
          place: the place.
        """
        inverse = 1.0 / (1.0 - place + place * self.values + self.ridge)
        solved = lambda rows: ((rows @ self.vectors) * inverse) @ self.vectors.T  # noqa: E731
        return PairFactors(self.ridge * solved(gradient), solved(evidence))

    def to_protein(
        self, evidence: Float[np.ndarray, " protein"], protein: int
    ) -> EdgeContributions:
        """Contributions of edges to the evidence that is carried to one protein.

        Args:
          evidence: evidence for the proteins.
          protein: number of the protein.
        """
        gradient = np.zeros((1, len(evidence)))
        gradient[0, protein] = 1.0
        parts = [
            self.factors(evidence[None], weight * gradient, float(place))
            for place, weight in zip(*gauss_legendre(_NUM_PLACES), strict=True)
        ]
        return self.contributions(PairFactors.joined(parts))

    def contributions(self, factors: PairFactors) -> EdgeContributions:
        """Contributions of edges, given the integral of the gradients by the similarities."""
        factors = factors.compressed()
        pairs = factors.left.T @ factors.right
        go = (1.0 - self.string_share) * pairs * self.by_go
        tolerance = _RETURNS_LEFT * float(np.abs(go).sum() + np.abs(pairs * self.by_string).sum())
        string = self._along_walks(factors, tolerance)
        return EdgeContributions(self.string_share * string, (go + go.T) / 2)

    def _along_walks(self, factors: PairFactors, tolerance: float) -> Float[np.ndarray, " link"]:
        """The pairs' similarities by STRING, shared out among the steps of their walks.

        Args:
          factors: the gradient by the similarities.
          tolerance: sum of the returning walks that need not be taken away exactly.
        """
        own = np.einsum("fp,fp->p", factors.left, factors.right)
        returns = own * (1.0 - self.lengths**-2.0)
        order = np.argsort(-np.abs(returns), kind="stable")
        rest = np.abs(returns).sum() - np.cumsum(np.abs(returns)[order])
        exact, others = np.split(order, [int((rest > tolerance).sum()) + 1])
        taken = np.zeros((len(exact), len(own)))
        taken[np.arange(len(exact)), exact] = 1.0
        found = self._steps(
            np.concatenate([factors.left, taken]) / self.lengths,
            np.concatenate([factors.right, -taken * own]) / self.lengths,
        )
        one, other = self.links.T
        left = np.zeros(self.walk.shape[0])
        left[self.rows[others]] = returns[others]
        left /= np.maximum(np.asarray((self.walk**2).sum(axis=1)).ravel(), 1e-12)
        return found * self.weights - self.weights**2 * (left[one] + left[other])

    def _steps(
        self, left: Float[np.ndarray, "factor protein"], right: Float[np.ndarray, "factor protein"]
    ) -> Float[np.ndarray, " link"]:
        """Sum over the walks that take a link, by the number of their steps, without its weight."""
        count = _num_steps(self.restart)
        length = np.arange(1, count + 1)
        # Walks of a length in the square of `(I - (1 - restart) W)^-1`, for each of their steps.
        weight = (length + 1) * (1.0 - self.restart) ** length / length
        steps = np.add.outer(np.arange(count), np.arange(count))
        shares = np.where(steps < count, weight[np.minimum(steps, count - 1)], 0.0)
        before = self._walked(left, count)
        after = np.tensordot(shares, self._walked(right, count), axes=1)
        before, after = (
            np.moveaxis(values, 0, 1).reshape(self.walk.shape[0], -1) for values in (before, after)
        )
        found = np.zeros(len(self.links))
        for start in range(0, len(found), _BLOCK):
            one, other = self.links[start : start + _BLOCK].T
            found[start : start + _BLOCK] = np.einsum("ef,ef->e", before[one], after[other])
            found[start : start + _BLOCK] += np.einsum("ef,ef->e", before[other], after[one])
        return found

    def _walked(
        self, factors: Float[np.ndarray, "factor protein"], count: int
    ) -> Float[np.ndarray, "step gene factor"]:
        """Factors after 0, 1, ... steps of the walk."""
        found = np.zeros((count, self.walk.shape[0], len(factors)))
        found[0, self.rows] = factors.T
        for step in range(1, count):
            found[step] = self.walk @ found[step - 1]
        return found


def carried_evidence(
    config: ml_collections.ConfigDict, graph: KnowledgeGraph, rows: Int[np.ndarray, " protein"]
) -> CarriedEvidence:
    """The step over proteins as a model has it.

    Args:
      config: `restart`, `string_share` and `ridge`, the settings of the step.
      graph: the knowledge graph.
      rows: gene nodes of the proteins with evidence, each once.
    """
    walks, terms = string_walks(graph, rows, restart=config.restart), weighted_terms(graph, rows)
    lengths = np.linalg.norm(walks, axis=1)
    size = np.sqrt(np.asarray((terms**2).sum(axis=1)).ravel())
    terms = (scipy.sparse.diags_array(1.0 / np.where(size > 0, size, 1.0)) @ terms).tocsr()
    by_string = (walks @ walks.T) / np.outer(lengths, lengths)
    by_go = (terms @ terms.T).toarray()
    for similarity in (by_string, by_go):
        np.fill_diagonal(similarity, 0.0)
    share = config.string_share
    kernel = share * by_string + (1.0 - share) * by_go + np.eye(len(rows))
    values, vectors = scipy.linalg.eigh(kernel, overwrite_a=True)
    walk = normalised_interactions(graph)
    upper = scipy.sparse.triu(walk, k=1, format="csr").sorted_indices().tocoo()
    return CarriedEvidence(
        rows=rows,
        values=values,
        vectors=vectors,
        walk=walk,
        lengths=lengths,
        by_string=by_string,
        by_go=by_go,
        terms=terms,
        links=np.stack([upper.row, upper.col], axis=1).astype(int),
        weights=upper.data,
        restart=config.restart,
        string_share=share,
        ridge=config.ridge,
    )


def _num_steps(restart: float) -> int:
    """Steps of the longest walks, so that a share of `_WALKS_LEFT` at most is left out."""
    steps = 1
    while (1.0 - restart) ** (steps + 1) * (1.0 + (steps + 1) * restart) > _WALKS_LEFT:
        steps += 1
    return steps
