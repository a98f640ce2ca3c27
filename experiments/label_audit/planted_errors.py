"""How well an audit finds wrong labels that were planted."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.evaluation.metrics import micro_auprc


def planted_ranking_quality(
    scores: Float[np.ndarray, "example moa"],
    planted: Bool[np.ndarray, "example moa"],
    audited: Bool[np.ndarray, "example moa"],
    num_read: int,
) -> dict[str, float]:
    """How early a ranking of labels brings those that are known to be wrong.

    Args:
      scores: see `suspicion`.
      planted: the label is wrong.
      audited: the label takes part in the ranking, such as the carried ones alone.
      num_read: number of labels that are read from the top, all where there are fewer; of tied
        ones the first in the order of compounds and MoAs are read.

    Returns:
      `num_audited`, `num_planted`, `chance` (share of wrong labels, which a random order has as
      its expected precision), `average_precision`, and `precision` and `recall` of the labels
      read; NaN where something is not defined.
    """
    ranked, wrong = scores[audited], planted[audited]
    hits = wrong[np.argsort(-ranked, kind="stable")[:num_read]]
    return {
        "num_audited": float(len(wrong)),
        "num_planted": float(wrong.sum()),
        "chance": _share(wrong.sum(), len(wrong)),
        "average_precision": micro_auprc(ranked[:, None], wrong[:, None]),
        "precision": _share(hits.sum(), len(hits)),
        "recall": _share(hits.sum(), wrong.sum()),
    }


def planted_choice_quality(
    chosen: Bool[np.ndarray, "example moa"],
    planted: Bool[np.ndarray, "example moa"],
    audited: Bool[np.ndarray, "example moa"],
) -> dict[str, float]:
    """What a choice of labels, such as `is_contradicted`, finds of those known to be wrong.

    Returns:
      `num_chosen`, and `precision` and `recall` of the choice among the labels `audited`; NaN
      where nothing is chosen or wrong.
    """
    chosen, wrong = chosen & audited, planted & audited
    found = (chosen & wrong).sum()
    return {
        "num_chosen": float(chosen.sum()),
        "precision": _share(found, chosen.sum()),
        "recall": _share(found, wrong.sum()),
    }


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part / whole) if whole else float("nan")
