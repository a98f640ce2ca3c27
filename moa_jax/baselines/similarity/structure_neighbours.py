"""Nearest neighbours by Tanimoto similarity of structures."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.inputs import MorganBits, one_per_structure
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.compounds.fingerprints import tanimoto
from moa_jax.schemas import Examples, KnowledgeGraph


def tanimoto_votes(
    similarity: Float[np.ndarray, "query reference"],
    labels: Float[np.ndarray, "reference moa"],
    prior: Float[np.ndarray, " moa"],
    *,
    num_neighbours: int,
    power: float,
) -> Float[np.ndarray, "query moa"]:
    """Label votes of the most similar references, each weighted by similarity ** power.

    The prior votes with a weight of 1 minus the largest similarity, so that a query far from all
    references gets the prior. Of ties the earlier reference is nearer.

    Args:
      similarity: Tanimoto similarity of each query to each reference.
      labels: labels of the references, 0 or 1.
      prior: probability of each MoA.
      num_neighbours: number of references that vote.
      power: exponent of the similarity in the weight of a vote.
    """
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :num_neighbours]
    near = np.take_along_axis(similarity, nearest, axis=1)
    weight = near**power
    doubt = 1 - near[:, :1]
    votes = np.einsum("qn,qnm->qm", weight, labels[nearest]) + doubt * prior
    return votes / (weight.sum(axis=1, keepdims=True) + doubt)


@dataclasses.dataclass(frozen=True)
class FittedTanimotoKnn:
    """Training structures and their labels; `prior` predicts examples without a structure."""

    references: Float[np.ndarray, "reference bit"]
    labels: Float[np.ndarray, "reference moa"]
    num_neighbours: int
    power: float
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Votes; the training prevalence for examples without a structure."""
        probs = self.prior.predict(examples)
        inputs = MorganBits()
        rows = np.flatnonzero(inputs.usable(examples))
        if len(rows) and len(self.references):
            probs[rows] = tanimoto_votes(
                tanimoto(inputs.transform(examples.take(rows)), self.references),
                self.labels,
                self.prior.prior,
                num_neighbours=self.num_neighbours,
                power=self.power,
            )
        return probs


@dataclasses.dataclass(frozen=True)
class TanimotoKnn:
    """k nearest training structures by Tanimoto similarity of Morgan fingerprints.

    Attributes:
      num_neighbours: number of structures that vote.
      power: exponent of the similarity as the weight of a vote.
    """

    num_neighbours: int
    power: float

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedTanimotoKnn:
        """Keeps each structure once; `graph` and `seed` are not used."""
        inputs = MorganBits()
        known = one_per_structure(examples.take(np.flatnonzero(inputs.usable(examples))))
        return FittedTanimotoKnn(
            references=inputs.transform(known),
            labels=known.labels.astype(np.float64),
            num_neighbours=self.num_neighbours,
            power=self.power,
            prior=fit_prevalence(examples),
        )
