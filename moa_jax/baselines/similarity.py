"""Cosine nearest neighbours: a compound acts as the compounds act whose signatures look alike."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.inputs import StandardisedExpression
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.data.examples import Examples
from moa_jax.schemas import KnowledgeGraph

# Rows whose similarities to all training signatures are held at a time.
_BLOCK_ROWS = 1024


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
    cosine = _unit(queries) @ _unit(references).T
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :num_neighbours]
    weight = np.clip((1 + np.take_along_axis(cosine, nearest, axis=1)) / 2, 0, 1)
    votes = np.einsum("qn,qnm->qm", weight, labels[nearest])
    total = votes.sum(axis=1, keepdims=True)
    return np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)


def _unit(rows: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row feature"]:
    """Rows of unit length; a row of zeros stays and is orthogonal to all others."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)


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
        probs = self.prior.predict(examples)
        if self.references is None:
            return probs
        rows = np.flatnonzero(self.inputs.usable(examples))
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            probs[block] = neighbour_votes(
                self.inputs.transform(examples.take(block)),
                self.references,
                self.labels,
                num_neighbours=self.num_neighbours,
            )
        return probs


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
