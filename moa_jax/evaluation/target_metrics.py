"""Metrics of ranked targets: per compound, per protein, and by how well a target is known.

Scores and labels have one row per compound and one column per protein. Average precision is that of
`metrics.average_precision`: tied scores count as one threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Num

from moa_jax.evaluation.metrics import auroc, average_precision, prevalence

# Least numbers of training ligands in the strata of targets, ascending.
LIGAND_EDGES = (0, 1, 3, 10)
# Proteins with fewer scored compounds have no average precision of their own.
MIN_COMPOUNDS = 5
# Bins of the probability of a pair; most pairs are improbable, so the first ones are narrow.
PROBABILITY_EDGES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

Scores = Num[np.ndarray, "compound protein"]
IsTarget = Bool[np.ndarray, "compound protein"]


def target_precision(scores: Scores, is_target: IsTarget) -> Float[np.ndarray, " compound"]:
    """Average precision of each compound's targets among all proteins; NaN without a target."""
    return average_precision(scores.T, is_target.T)


def least_known(
    is_target: IsTarget, num_ligands: Int[np.ndarray, " protein"]
) -> Int[np.ndarray, " compound"]:
    """Training ligands of each compound's rarest target; -1 without a target."""
    most = num_ligands.max(initial=0) + 1
    rarest = np.where(is_target, num_ligands, most).min(axis=1, initial=most)
    return np.where(rarest < most, rarest, -1)


def ligand_strata(num_ligands: Int[np.ndarray, " row"]) -> pd.Categorical:
    """Stratum of each number of training ligands, by `LIGAND_EDGES`: `0`, `1-2`, `3-9`, `10+`."""
    last = [edge - 1 for edge in LIGAND_EDGES[1:]]
    names = [
        str(low) if low == high else f"{low}-{high}"
        for low, high in zip(LIGAND_EDGES, last, strict=False)
    ]
    place = np.searchsorted(LIGAND_EDGES, num_ligands, side="right") - 1
    return pd.Categorical.from_codes(place, [*names, f"{LIGAND_EDGES[-1]}+"], ordered=True)


def precision_by_stratum(
    scores: Mapping[str, Scores], is_target: IsTarget, num_ligands: Int[np.ndarray, " protein"]
) -> pd.DataFrame:
    """Mean average precision per compound, for all compounds and by their rarest target.

    Args:
      scores: method -> its scores; higher for more likely targets.
      is_target: known targets.
      num_ligands: training compounds that are known to act on each protein.

    Returns:
      One row for `all` and for each stratum of `ligand_strata` that has a compound: `rarest_target`
      (its training ligands), `compounds`, and a column for each method.
    """
    rarest = least_known(is_target, num_ligands)
    scored = rarest >= 0
    strata = ligand_strata(rarest[scored])
    precision = pd.DataFrame(
        {name: target_precision(own, is_target)[scored] for name, own in scores.items()}
    )
    rows = []
    for name in ("all", *strata.categories):
        inside = np.ones(len(strata), bool) if name == "all" else np.asarray(strata == name)
        if inside.any():
            means = precision[inside].mean().to_dict()
            rows.append({"rarest_target": name, "compounds": int(inside.sum()), **means})
    return pd.DataFrame(rows, columns=["rarest_target", "compounds", *scores])


def per_protein_table(
    scores: Scores,
    is_target: IsTarget,
    num_ligands: Int[np.ndarray, " protein"],
    symbols: Sequence[str],
) -> pd.DataFrame:
    """How well the compounds of each protein are ranked above the others.

    Returns:
      One row per protein with `MIN_COMPOUNDS` compounds or more, in the order of the columns:
      `symbol`, `ligands` (in training), `compounds`, `prevalence`, `auprc` and `auroc`.
    """
    counts = is_target.sum(axis=0)
    columns = np.flatnonzero(counts >= MIN_COMPOUNDS)
    own, labels = scores[:, columns], is_target[:, columns]
    return pd.DataFrame(
        {
            "symbol": [symbols[column] for column in columns],
            "ligands": num_ligands[columns],
            "compounds": counts[columns],
            "prevalence": prevalence(labels),
            "auprc": average_precision(own, labels),
            "auroc": auroc(own, labels),
        }
    )


def reliability_of_pairs(
    probs: Float[np.ndarray, " pair"], is_target: Bool[np.ndarray, " pair"]
) -> pd.DataFrame:
    """Stated and observed share of targets among pairs of compound and protein.

    An observed share counts known targets alone, so it is a lower bound of the true one.

    Returns:
      One row per bin of `PROBABILITY_EDGES` that has a pair; bins hold their lower edge, the last
      one both: `low`, `high`, `pairs`, `stated` (mean probability) and `observed`.
    """
    place = np.clip(
        np.searchsorted(PROBABILITY_EDGES, probs, side="right") - 1, 0, len(PROBABILITY_EDGES) - 2
    )
    pairs = pd.DataFrame({"place": place, "stated": probs, "observed": is_target.astype(float)})
    bins = pairs.groupby("place").agg(
        pairs=("stated", "size"), stated=("stated", "mean"), observed=("observed", "mean")
    )
    edges = np.asarray(PROBABILITY_EDGES)
    bins.insert(0, "low", edges[bins.index])
    bins.insert(1, "high", edges[bins.index + 1])
    return bins.reset_index(drop=True)
