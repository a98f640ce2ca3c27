"""The prevalence of each MoA: the prediction of a method without inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import prevalence
from moa_jax.schemas import Examples, KnowledgeGraph


@dataclasses.dataclass(frozen=True)
class FittedPrevalence:
    """Predicts the same probabilities for every example.

    Attributes:
      prior: fraction of the training compounds with each MoA.
    """

    prior: Float[np.ndarray, " moa"]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """The prevalence, once per example."""
        return np.tile(self.prior, (examples.num_examples, 1))


def fit_prevalence(examples: Examples) -> FittedPrevalence:
    """Prevalence over compounds, not signatures: a compound in many cell lines counts once."""
    _, labels, _ = pool_by_compound(examples.labels, examples.labels, examples.groups)
    return FittedPrevalence(prevalence(labels))


@dataclasses.dataclass(frozen=True)
class Prevalence:
    """The prevalence as a learner."""

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedPrevalence:
        """Computes the prevalence; `graph` and `seed` are not used."""
        return fit_prevalence(examples)
