"""Nearest neighbours: a compound acts as the compounds act whose signatures look alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.baselines.inputs import StandardisedExpression
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.schemas import Examples, KnowledgeGraph

# Rows whose similarities to all training signatures are held at a time.
_BLOCK_ROWS = 1024


def cosine(
    queries: Float[np.ndarray, "query feature"], references: Float[np.ndarray, "reference feature"]
) -> Float[np.ndarray, "query reference"]:
    """Cosine of each pair of rows; a row of zeros is orthogonal to all others."""
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

    The votes of a query sum to one, or are all zero where its neighbours have no label or
    point the opposite way. Of equally near references the earlier one counts as nearer.
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
    """Answers of the examples that have a signature, the prior for the others.

    Args:
      examples: what is asked.
      prior: answers where there is no signature.
      answer: answers examples that all have one, some at a time.
    """
    probs = prior.predict(examples)
    rows = np.flatnonzero(examples.has_expression)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        probs[block] = answer(examples.take(block))
    return probs


@dataclasses.dataclass(frozen=True)
class FittedCosineKnn:
    """Training signatures and their labels; `prior` answers where there is no signature."""

    inputs: StandardisedExpression
    references: Float[np.ndarray, "reference feature"] | None
    labels: Float[np.ndarray, "reference moa"]
    num_neighbours: int
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Normalised votes; the training prevalence where the example has no signature."""
        references = self.references
        if references is None:
            return self.prior.predict(examples)
        return answer_in_blocks(
            examples,
            self.prior,
            lambda block: neighbour_votes(
                self.inputs.transform(block),
                references,
                self.labels,
                num_neighbours=self.num_neighbours,
            ),
        )


@dataclasses.dataclass(frozen=True)
class CosineKnn:
    """k nearest training signatures on standardised expression."""

    num_neighbours: int = 10

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedCosineKnn:
        """Keeps the signatures; `graph` and `seed` are not used."""
        inputs = StandardisedExpression()
        known = examples.take(np.flatnonzero(inputs.usable(examples)))
        return FittedCosineKnn(
            inputs=inputs,
            references=inputs.fit_transform(known) if known.num_examples else None,
            labels=known.labels.astype(np.float64),
            num_neighbours=self.num_neighbours,
            prior=fit_prevalence(examples),
        )


@runtime_checkable
class References(Protocol):
    """Training signatures, ready to be compared with others."""

    def similarity(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        """Similarity of examples with signatures to each training signature; higher is nearer."""


@runtime_checkable
class Measure(Protocol):
    """A measure of similarity between signatures."""

    def fit(self, examples: Examples) -> References:
        """Makes references of the examples, which all have a signature."""


def compounds_of(
    examples: Examples,
) -> tuple[Bool[np.ndarray, "compound example"], Bool[np.ndarray, "compound moa"]]:
    """Which examples each compound has, and its MoAs; compounds in the order of their names."""
    unit: Int[np.ndarray, " example"]
    names, unit = np.unique(np.asarray(examples.groups, dtype=str), return_inverse=True)
    members = np.arange(len(names))[:, None] == unit
    return members, members.astype(np.float64) @ examples.labels > 0


def best_signature(
    similarity: Float[np.ndarray, "query reference"],
    members: Bool[np.ndarray, "compound reference"],
) -> Float[np.ndarray, "query compound"]:
    """Similarity of each compound: that of its most similar signature."""
    return np.stack([similarity[:, rows].max(axis=1) for rows in members], axis=1)


def compound_votes(
    similarity: Float[np.ndarray, "query reference"],
    members: Bool[np.ndarray, "compound reference"],
    labels: Bool[np.ndarray, "compound moa"],
    *,
    temperature: float,
    num_neighbours: int | None = None,
) -> Float[np.ndarray, "query moa"]:
    """Label votes of the nearest compounds, each compound once, by its most similar signature.

    The weights are a softmax of similarity / (temperature * s), s the standard deviation of the
    query's similarities to all references, so that any unit of similarity will do. The votes of
    a query sum to one.

    Args:
      similarity: of queries to training signatures.
      members: signatures of each compound.
      labels: MoAs of each compound, at least one.
      temperature: the lower, the more the nearest compounds count.
      num_neighbours: compounds that vote, of equally near ones the first; None for all.
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
    """Training signatures by compound; `prior` answers where there is no signature."""

    references: References | None
    members: Bool[np.ndarray, "compound reference"]
    labels: Bool[np.ndarray, "compound moa"]
    temperature: float
    num_neighbours: int | None
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """`compound_votes`; the training prevalence where the example has no signature."""
        references = self.references
        if references is None:
            return self.prior.predict(examples)
        return answer_in_blocks(
            examples,
            self.prior,
            lambda block: compound_votes(
                references.similarity(block),
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
      measure: compares signatures.
      temperature: see `compound_votes`.
      num_neighbours: see `compound_votes`.
    """

    measure: Measure
    temperature: float = 0.5
    num_neighbours: int | None = None

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedSimilarityKnn:
        """Keeps the signatures; `graph` and `seed` are not used."""
        known = examples.take(np.flatnonzero(examples.has_expression))
        members, labels = compounds_of(known)
        return FittedSimilarityKnn(
            references=self.measure.fit(known) if known.num_examples else None,
            members=members,
            labels=labels,
            temperature=self.temperature,
            num_neighbours=self.num_neighbours,
            prior=fit_prevalence(examples),
        )
