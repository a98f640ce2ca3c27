"""The prevalence prior: the answer of a method that looks at nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.evaluation.metrics import prevalence
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.schemas import Examples, KnowledgeGraph


@dataclasses.dataclass(frozen=True)
class FittedPrevalence:
    """Answers every example with the same probabilities.

    Attributes:
      prior: share of training compounds that have each MoA.
    """

    prior: Float[np.ndarray, " moa"]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """The prior, once per example."""
        return np.tile(self.prior, (examples.num_examples, 1))


def fit_prevalence(examples: Examples) -> FittedPrevalence:
    """Prior over compounds, not signatures: a compound in many cell lines counts once."""
    _, labels, _ = pool_by_compound(examples.labels, examples.labels, examples.groups)
    return FittedPrevalence(prevalence(labels))


@dataclasses.dataclass(frozen=True)
class Prevalence:
    """Counts labels."""

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedPrevalence:
        """Fits the prior; `graph` and `seed` are not used."""
        return fit_prevalence(examples)
