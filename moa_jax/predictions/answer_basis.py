"""The basis of each compound's answer: signatures that pass the gates, or its structure alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.data.examples.pooling import pool_by_compound, series_weights
from moa_jax.schemas import Examples

# View in which a compound is answered -> the modalities that the answer is based on.
MODALITIES_OF = {
    "fusion": "expression+structure",
    "expression": "expression",
    "structure": "structure",
}
# Least number of training compounds of a mechanism -> what stands behind an answer with it.
TRAINING_BASES = {
    10: "10 or more training compounds",
    3: "3 to 9 training compounds",
    1: "1 or 2 training compounds",
}


@dataclasses.dataclass(frozen=True)
class AnswerBasis:
    """The basis of answers.

    Attributes:
      groups: the compounds, sorted.
      views: a key of `MODALITIES_OF` for each; None if it has neither a signature that passes the
        gates nor a structure.
      pooled: pooled probabilities in that view, before calibration; NaN without a view.
      used: signatures that answers are based on.
      weights: weight of each signature in its compound's answer; they sum to 1, and are 0 for
        signatures that are not used.
    """

    groups: tuple[str, ...]
    views: tuple[str | None, ...]
    pooled: Float[np.ndarray, "compound moa"]
    used: Bool[np.ndarray, " example"]
    weights: Float[np.ndarray, " example"]

    def take(self, places: Int[np.ndarray, " place"], rows: Int[np.ndarray, " row"]) -> AnswerBasis:
        """The basis for the compounds in the given places, whose examples are in `rows`."""
        return AnswerBasis(
            groups=tuple(self.groups[place] for place in places),
            views=tuple(self.views[place] for place in places),
            pooled=self.pooled[places],
            used=self.used[rows],
            weights=self.weights[rows],
        )


def training_basis(count: int) -> str:
    """What stands behind a mechanism that so many training compounds have; empty for none."""
    return next((words for least, words in TRAINING_BASES.items() if count >= least), "")


def answer_basis(
    examples: Examples,
    views: Mapping[str, Float[np.ndarray, "example moa"]],
    passes: Bool[np.ndarray, " example"],
) -> AnswerBasis:
    """Pools each compound's signatures that pass, weighted by `pooling.series_weights`.

    Args:
      examples: signatures, or structures without expression; their groups are the compounds.
      views: probabilities of `Predictor.predict`: `fusion`, from all modalities of an example, and
        `structure`, needed if no signature of a compound passes.
      passes: whether the example passes the quality gates.
    """
    examples_of = np.asarray(examples.groups, str)
    groups, unit = np.unique(examples_of, return_inverse=True)
    count = len(groups)
    used = passes & examples.has_expression
    weights = np.zeros(examples.num_examples)
    weights[used] = series_weights(examples.take(np.flatnonzero(used)))
    total = np.bincount(unit, weights, minlength=count)
    # The total is above 0 wherever a signature is used: all-zero signatures have equal weights.
    weights /= np.where(total > 0, total, 1.0)[unit]
    pooled = np.full((count, len(examples.moas)), np.nan)
    own_views = np.full(count, None, object)

    def pool(rows: Bool[np.ndarray, " example"], view: str) -> None:
        places = np.unique(unit[rows])
        own = np.flatnonzero(rows)
        pooled[places], _, _ = pool_by_compound(
            views[view][own].astype(np.float64),
            examples.labels[own],
            examples_of[own].tolist(),
            weights[own],
        )

    has_signature = np.bincount(unit, used, minlength=count) > 0
    alone = examples.has_structure & ~has_signature[unit]
    if used.any():
        pool(used, "fusion")
        lacking = np.bincount(unit, used & ~examples.has_structure, minlength=count) > 0
        own_views[has_signature] = np.where(lacking, "expression", "fusion")[has_signature]
    if alone.any():
        pool(alone, "structure")
        own_views[np.unique(unit[alone])] = "structure"
    return AnswerBasis(tuple(groups.tolist()), tuple(own_views.tolist()), pooled, used, weights)
