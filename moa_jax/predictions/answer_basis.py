"""What each compound's answer rests on: signatures that pass the gates, or its structure alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.data.examples.pooling import pool_by_compound, series_weights
from moa_jax.schemas import Examples

# Views of the model that a compound can be answered in -> what an answer then rests on.
MODALITIES_OF = {
    "fusion": "expression+structure",
    "expression": "expression",
    "structure": "structure",
}


@dataclasses.dataclass(frozen=True)
class AnswerBasis:
    """What answers rest on.

    Attributes:
      groups: the compounds, sorted.
      views: a key of `MODALITIES_OF` for each; None where there is neither a good signature nor a
        structure.
      pooled: what the model says of each in that view, before calibration; NaN without a view.
      used: signatures that take part.
      weights: the share of each signature in its compound's answer, which sum to 1; 0 where it
        takes no part.
    """

    groups: tuple[str, ...]
    views: tuple[str | None, ...]
    pooled: Float[np.ndarray, "compound moa"]
    used: Bool[np.ndarray, " example"]
    weights: Float[np.ndarray, " example"]

    def take(self, places: Int[np.ndarray, " place"], rows: Int[np.ndarray, " row"]) -> AnswerBasis:
        """Of the compounds in the given places, whose examples are in the given rows."""
        return AnswerBasis(
            groups=tuple(self.groups[place] for place in places),
            views=tuple(self.views[place] for place in places),
            pooled=self.pooled[places],
            used=self.used[rows],
            weights=self.weights[rows],
        )


def answer_basis(
    examples: Examples,
    views: Mapping[str, Float[np.ndarray, "example moa"]],
    passes: Bool[np.ndarray, " example"],
) -> AnswerBasis:
    """Pools the good signatures of each compound, weighed by `pooling.series_weights`.

    Args:
      examples: signatures, or structures without expression; their groups are the compounds.
      views: what the model says of each, as `Predictor.predict` has it: `fusion`, from all that an
        example has, and `structure`, which is needed where a compound has no good signature.
      passes: no gate failed.
    """
    examples_of = np.asarray(examples.groups, str)
    groups, unit = np.unique(examples_of, return_inverse=True)
    count = len(groups)
    used = passes & examples.has_expression
    weights = np.zeros(examples.num_examples)
    weights[used] = series_weights(examples.take(np.flatnonzero(used)))
    total = np.bincount(unit, weights, minlength=count)
    # Nothing that is used can weigh nothing: a compound whose signatures are all zero has series
    # that weigh alike.
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
