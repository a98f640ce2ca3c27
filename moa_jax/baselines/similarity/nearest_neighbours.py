"""Nearest neighbours by similarity of signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.baselines.inputs import StandardisedExpression
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.schemas import Examples, KnowledgeGraph

# Number of rows whose similarities to all training signatures are computed at a time.
_BLOCK_ROWS = 1024


def cosine(
    queries: Float[np.ndarray, "query feature"], references: Float[np.ndarray, "reference feature"]
) -> Float[np.ndarray, "query reference"]:
    """Cosine similarity of each pair of rows; a row of zeros is orthogonal to all others."""
    return _unit(queries) @ _unit(references).T


def _unit(rows: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row feature"]:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)


def neighbour_votes(
    queries: Float[np.ndarray, "query feature"],
    references: Float[np.ndarray, "reference feature"],
    labels: Float[np.ndarray, "reference moa"],
    *,
    num_neighbours: int,
) -> Float[np.ndarray, "query moa"]:
    """Label votes of the nearest references by cosine, each weighted by (1 + cosine) / 2.

    The votes of a query sum to one, or are all zero if its neighbours have no label or a cosine
    of -1. Of ties the earlier reference is nearer.
    """
    similarity = cosine(queries, references)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :num_neighbours]
    weight = np.clip((1 + np.take_along_axis(similarity, nearest, axis=1)) / 2, 0, 1)
    votes = np.einsum("qn,qnm->qm", weight, labels[nearest])
    total = votes.sum(axis=1, keepdims=True)
    return np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)


def answer_in_blocks(
    examples: Examples,
    prior: FittedPrevalence,
    answer: Callable[[Examples], Float[np.ndarray, "example moa"]],
) -> Float[np.ndarray, "example moa"]:
    """Predictions for the examples with a signature, in blocks, and the prior for the others.

    Args:
      examples: examples to predict.
      prior: predicts the examples without a signature.
      answer: predicts examples that all have a signature.
    """
    probs = prior.predict(examples)
    rows = np.flatnonzero(examples.has_expression)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        probs[block] = answer(examples.take(block))
    return probs


@dataclasses.dataclass(frozen=True)
class FittedCosineKnn:
    """Training signatures and their labels; `prior` predicts examples without a signature."""

    inputs: StandardisedExpression
    references: Float[np.ndarray, "reference feature"]
    labels: Float[np.ndarray, "reference moa"]
    num_neighbours: int
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Normalised votes; the training prevalence for examples without a signature."""
        return answer_in_blocks(
            examples,
            self.prior,
            lambda block: neighbour_votes(
                self.inputs.transform(block),
                self.references,
                self.labels,
                num_neighbours=self.num_neighbours,
            ),
        )


@dataclasses.dataclass(frozen=True)
class CosineKnn:
    """k nearest training signatures on standardised expression."""

    num_neighbours: int = 10

    def fit(
        self, examples: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedCosineKnn | FittedPrevalence:
        """Keeps the signatures; the prior alone where there is none."""
        inputs = StandardisedExpression()
        known = examples.take(np.flatnonzero(inputs.usable(examples)))
        if not known.num_examples:
            return fit_prevalence(examples)
        return FittedCosineKnn(
            inputs=inputs,
            references=inputs.fit_transform(known),
            labels=known.labels.astype(np.float64),
            num_neighbours=self.num_neighbours,
            prior=fit_prevalence(examples),
        )


@runtime_checkable
class References(Protocol):
    """Training signatures, prepared for comparisons."""

    def similarity(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        """Similarity of examples with signatures to each training signature."""


@runtime_checkable
class Measure(Protocol):
    """A measure of similarity between signatures."""

    def fit(self, examples: Examples) -> References:
        """Prepares the signatures of training examples, which all have one."""


def compounds_of(
    examples: Examples,
) -> tuple[Bool[np.ndarray, "compound example"], Bool[np.ndarray, "compound moa"]]:
    """The examples of each compound and its MoAs; compounds in alphabetical order."""
    unit: Int[np.ndarray, " example"]
    names, unit = np.unique(np.asarray(examples.groups, dtype=str), return_inverse=True)
    members = np.arange(len(names))[:, None] == unit
    return members, members.astype(np.float64) @ examples.labels > 0


def best_signature(
    similarity: Float[np.ndarray, "query reference"],
    members: Bool[np.ndarray, "compound reference"],
) -> Float[np.ndarray, "query compound"]:
    """Similarity to each compound: that of its most similar signature."""
    return np.stack([similarity[:, rows].max(axis=1) for rows in members], axis=1)


def compound_votes(
    similarity: Float[np.ndarray, "query reference"],
    members: Bool[np.ndarray, "compound reference"],
    labels: Bool[np.ndarray, "compound moa"],
    *,
    temperature: float,
    num_neighbours: int | None = None,
) -> Float[np.ndarray, "query moa"]:
    """Label votes of the nearest compounds, each with the similarity of its nearest signature.

    The weights are a softmax of similarity / (temperature * s), where s is the standard deviation
    of the query's similarities to all references, so that they do not depend on the scale of the
    similarity. The votes of a query sum to one.

    Args:
      similarity: of queries to training signatures.
      members: signatures of each compound.
      labels: MoAs of each compound, at least one.
      temperature: a lower temperature gives the nearest compounds more weight.
      num_neighbours: number of compounds that vote, of ties the first; None for all.
    """
    near = best_signature(similarity, members)
    spread = similarity.std(axis=1, keepdims=True)
    weight = np.exp(
        (near - near.max(axis=1, keepdims=True)) / (temperature * np.where(spread > 0, spread, 1))
    )
    if num_neighbours is not None:
        far = np.argsort(-near, axis=1, kind="stable")[:, num_neighbours:]
        np.put_along_axis(weight, far, 0.0, axis=1)
    votes = weight @ labels.astype(np.float64)
    return votes / votes.sum(axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class FittedSimilarityKnn:
    """Training signatures by compound; `prior` predicts examples without a signature."""

    references: References
    members: Bool[np.ndarray, "compound reference"]
    labels: Bool[np.ndarray, "compound moa"]
    temperature: float
    num_neighbours: int | None
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """`compound_votes`; the training prevalence for examples without a signature."""
        return answer_in_blocks(
            examples,
            self.prior,
            lambda block: compound_votes(
                self.references.similarity(block),
                self.members,
                self.labels,
                temperature=self.temperature,
                num_neighbours=self.num_neighbours,
            ),
        )


@dataclasses.dataclass(frozen=True)
class SimilarityKnn:
    """Nearest training compounds by any measure of similarity.

    Attributes:
      measure: similarity measure of signatures.
      temperature: see `compound_votes`.
      num_neighbours: see `compound_votes`.
    """

    measure: Measure
    temperature: float = 0.5
    num_neighbours: int | None = None

    def fit(
        self, examples: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedSimilarityKnn | FittedPrevalence:
        """Keeps the signatures; the prior alone where there is none."""
        known = examples.take(np.flatnonzero(examples.has_expression))
        if not known.num_examples:
            return fit_prevalence(examples)
        members, labels = compounds_of(known)
        return FittedSimilarityKnn(
            references=self.measure.fit(known),
            members=members,
            labels=labels,
            temperature=self.temperature,
            num_neighbours=self.num_neighbours,
            prior=fit_prevalence(examples),
        )
