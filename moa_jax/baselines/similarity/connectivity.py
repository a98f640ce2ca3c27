"""CMap connectivity: the extreme genes of a signature queried against all training signatures.

Connectivity scores are summarised over the signatures of a compound, then over the compounds of an
MoA, as CMap does for perturbagens and perturbagen classes (Subramanian 2017).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import softmax

from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.baselines.similarity.measures import zscores
from moa_jax.baselines.similarity.nearest_neighbours import (
    answer_in_blocks,
    best_signature,
    compounds_of,
)
from moa_jax.lincs.connectivity import extreme_sets, max_quantile, ncs, tau, wtcs
from moa_jax.schemas import Examples, KnowledgeGraph

Score = Literal["wtcs", "ncs", "tau"]

# Probabilities are a softmax over MoAs of the standardised score divided by this temperature.
_TEMPERATURE = 0.5


@dataclasses.dataclass(frozen=True)
class Connectivity:
    """Connectivity to MoA classes.

    Attributes:
      score: WTCS; NCS, normalised within cell line; or tau, against the training signatures as
        reference queries.
      set_size: genes in the up set and in the down set of a query.
      num_best: an MoA is scored by the mean of this many of its most connected compounds, each
        by its most connected signature. None for CMap's rule, `max_quantile` at both steps.
    """

    score: Score
    set_size: int = 50
    num_best: int | None = None

    def fit(
        self, examples: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedConnectivity | FittedPrevalence:
        """Keeps the signatures, for tau also their mutual NCS; the prior alone without any."""
        known = examples.take(np.flatnonzero(examples.has_expression))
        if not known.num_examples:
            return fit_prevalence(examples)
        members, labels = compounds_of(known)
        fitted = FittedConnectivity(
            settings=self,
            training=known,
            members=members,
            labels=labels,
            reference_ncs=None,
            prior=fit_prevalence(examples),
        )
        if self.score != "tau":
            return fitted
        return dataclasses.replace(fitted, reference_ncs=fitted.normalised(known))


@dataclasses.dataclass(frozen=True)
class FittedConnectivity:
    """Training signatures by compound and MoA.

    Attributes:
      settings: settings of the query.
      training: training examples, all with a signature.
      members: signatures of each compound.
      labels: MoAs of each compound.
      reference_ncs: NCS of the training signatures with each other, for tau.
      prior: predicts examples without a signature.
    """

    settings: Connectivity
    training: Examples
    members: Bool[np.ndarray, "compound reference"]
    labels: Bool[np.ndarray, "compound moa"]
    reference_ncs: Float[np.ndarray, "reference reference"] | None
    prior: FittedPrevalence

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Probabilities that sum to one over the MoAs of the training examples."""
        return answer_in_blocks(examples, self.prior, self._answer)

    def normalised(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        """NCS of examples with each training signature."""
        cell_lines = self.training.table["cell_line"]
        known = cell_lines.astype(object).where(cell_lines.notna(), None)
        return ncs(self._wtcs(examples), known.tolist())

    def _wtcs(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        measured = self.training.gene_mask & examples.gene_mask
        sets = extreme_sets(zscores(examples), self.settings.set_size, measured=measured)
        return wtcs(zscores(self.training), *sets)

    def _connectivity(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        if self.settings.score == "wtcs":
            return self._wtcs(examples)
        if self.reference_ncs is None:
            return self.normalised(examples)
        return tau(self.normalised(examples), self.reference_ncs)

    def _answer(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        scores = self._connectivity(examples).astype(np.float64)
        trained = self.labels.any(axis=0)
        classes = self.labels[:, trained].T
        num_best = self.settings.num_best
        if num_best is None:
            of_moa = max_quantile(max_quantile(scores, self.members), classes)
        else:
            of_compound = best_signature(scores, self.members)
            of_moa = np.stack(
                [_mean_of_best(of_compound[:, rows], num_best) for rows in classes], axis=1
            )
        spread = of_moa.std(axis=1, keepdims=True)
        scale = _TEMPERATURE * np.where(spread > 0, spread, 1)
        probs = np.zeros((len(scores), len(trained)))
        probs[:, trained] = softmax(of_moa / scale, axis=1)
        return probs


def _mean_of_best(
    scores: Float[np.ndarray, "query compound"], num_best: int
) -> Float[np.ndarray, " query"]:
    return np.sort(scores, axis=1)[:, -num_best:].mean(axis=1)
