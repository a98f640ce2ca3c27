"""Strata: MoAs by frequency, compounds by signal and by similarity to the training data.

Strata are ordered categories, one per MoA or compound, with the thresholds in their names.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.evaluation.metrics import (
    Labels,
    Probs,
    auroc,
    average_precision,
    prevalence,
    score,
)

# Smallest number of compounds of MoAs of the head and of the middle.
HEAD, MID = 15, 8
# TAS of active and of clearly active signatures.
TAS_EDGES = (0.2, 0.4)
# Tanimoto similarity (Morgan, radius 2) to the nearest training structure of related structures,
# analogues and close analogues.
TANIMOTO_EDGES = (0.3, 0.5, 0.7)


def frequency_strata(num_compounds: Int[np.ndarray, " moa"]) -> pd.Categorical:
    """Head, mid or tail for each MoA, by `HEAD` and `MID`.

    Args:
      num_compounds: compounds that have the MoA, in the whole dataset rather than in a part.
    """
    names = [f"head (>= {HEAD})", f"mid ({MID}-{HEAD - 1})", f"tail (< {MID})"]
    place = np.where(num_compounds >= HEAD, 0, np.where(num_compounds >= MID, 1, 2))
    return pd.Categorical.from_codes(place, names, ordered=True)


def binned(
    values: Float[np.ndarray, " compound"], edges: Sequence[float], quantity: str
) -> pd.Categorical:
    """Each compound's bin of a quantity, such as `TAS 0.2-0.4`; bins hold their lower edge.

    Args:
      values: the quantity, NaN where unknown; such compounds are in the last stratum.
      edges: inner edges of the bins, ascending; at least one.
      quantity: its name in the names of the strata.
    """
    inner = [f"{quantity} {low:g}-{high:g}" for low, high in itertools.pairwise(edges)]
    names = [
        f"{quantity} < {edges[0]:g}",
        *inner,
        f"{quantity} >= {edges[-1]:g}",
        f"no {quantity}",
    ]
    place = np.searchsorted(edges, values, side="right")
    return pd.Categorical.from_codes(
        np.where(np.isnan(values), len(names) - 1, place), names, ordered=True
    )


def scores_by_stratum(probs: Probs, labels: Labels, strata: pd.Categorical) -> pd.DataFrame:
    """Metrics of the compounds of each stratum, scored as a separate set.

    The frequency of MoAs differs between strata, so average precisions are to be compared with
    `chance_auprc`, that of a random ranking of the same compounds.

    Returns:
      One row per stratum that has a compound, in the order of the strata: `stratum`, the
      metrics of `score`, `chance_auprc`.
    """
    rows = []
    for code, name in enumerate(strata.categories):
        inside = strata.codes == code
        if inside.any():
            share = prevalence(labels[inside])
            chance = float(share[share > 0].mean()) if (share > 0).any() else float("nan")
            metrics = score(probs[inside], labels[inside])
            rows.append({"stratum": name, **metrics, "chance_auprc": chance})
    return pd.DataFrame(rows)


def scores_by_frequency(probs: Probs, labels: Labels, strata: pd.Categorical) -> pd.DataFrame:
    """Metrics of the MoAs of each stratum, each MoA ranked over all compounds.

    Args:
      probs: probabilities of compounds.
      labels: labels of the same compounds.
      strata: stratum of each MoA, see `frequency_strata`.

    Returns:
      One row per stratum that has an MoA with a positive: `stratum`, `num_moas` (those with a
      positive), `macro_auprc`, `macro_auroc` and `chance_auprc` (mean prevalence).
    """
    table = pd.DataFrame(
        {
            "stratum": strata,
            "auprc": average_precision(probs, labels),
            "auroc": auroc(probs, labels),
            "prevalence": prevalence(labels),
        }
    )
    strata_of_scored = table[table["auprc"].notna()].groupby("stratum", observed=True)
    return strata_of_scored.agg(
        num_moas=("auprc", "size"),
        macro_auprc=("auprc", "mean"),
        macro_auroc=("auroc", "mean"),
        chance_auprc=("prevalence", "mean"),
    ).reset_index()
