"""Where a method works: MoAs by frequency, compounds by signal and by nearness to training.

Strata are ordered categories, one per MoA or compound. All thresholds are arguments and stand in
the names, so that a table states them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.evaluation.metrics import (
    ExampleMask,
    Labels,
    Probs,
    auroc,
    average_precision,
    prevalence,
    score,
)

# TAS from which a signature usually counts as active, and from which it is clearly so.
TAS_EDGES = (0.2, 0.4)
# Nearest-train Tanimoto (Morgan, radius 2) from which structures look related, are analogues,
# and are close analogues.
TANIMOTO_EDGES = (0.3, 0.5, 0.7)


def frequency_strata(
    num_compounds: Int[np.ndarray, " moa"], *, head: int = 15, mid: int = 8
) -> pd.Categorical:
    """Head, mid or tail for each MoA.

    Args:
      num_compounds: compounds that have the MoA, in the whole dataset rather than in a part.
      head: an MoA of the head has at least this many.
      mid: one of the middle has at least this many and fewer than `head`; the tail has fewer.
    """
    names = [f"head (>= {head})", f"mid ({mid}-{head - 1})", f"tail (< {mid})"]
    place = np.where(num_compounds >= head, 0, np.where(num_compounds >= mid, 1, 2))
    return pd.Categorical.from_codes(place, names, ordered=True)


def binned(
    values: Float[np.ndarray, " compound"], edges: Sequence[float], quantity: str
) -> pd.Categorical:
    """Each compound's bin of a quantity, such as `TAS 0.2-0.4`; bins hold their lower edge.

    Args:
      values: the quantity, NaN where unknown; such compounds are in the last stratum.
      edges: inner edges of the bins, ascending; at least one.
      quantity: what the names of the strata call it.
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


def scores_by_stratum(
    probs: Probs,
    labels: Labels,
    strata: pd.Categorical,
    example_mask: ExampleMask | None = None,
) -> pd.DataFrame:
    """Metrics of the compounds of each stratum, scored as a set of their own.

    MoAs are more or less frequent in a stratum than elsewhere, so its average precisions are to
    be read beside `chance_auprc`, that of a random ranking of the same compounds.

    Returns:
      One row per stratum that has a compound, in the order of the strata: `stratum`, the
      metrics of `score`, `chance_auprc`.
    """
    keep = np.ones(len(labels), bool) if example_mask is None else example_mask
    rows = []
    for code, name in enumerate(strata.categories):
        inside = keep & (strata.codes == code)
        if inside.any():
            share = prevalence(labels, inside)
            chance = float(share[share > 0].mean()) if (share > 0).any() else float("nan")
            metrics = score(probs, labels, inside)
            rows.append({"stratum": name, **metrics, "chance_auprc": chance})
    return pd.DataFrame(rows)


def scores_by_frequency(
    probs: Probs,
    labels: Labels,
    strata: pd.Categorical,
    example_mask: ExampleMask | None = None,
) -> pd.DataFrame:
    """Metrics of the MoAs of each stratum, each MoA ranked over all compounds.

    Args:
      probs: probabilities of compounds.
      labels: labels of the same compounds.
      strata: stratum of each MoA, see `frequency_strata`.
      example_mask: false for padding.

    Returns:
      One row per stratum that has an MoA with a positive: `stratum`, `num_moas` (those with a
      positive), `macro_auprc`, `macro_auroc` and `chance_auprc` (mean prevalence).
    """
    table = pd.DataFrame(
        {
            "stratum": strata,
            "auprc": average_precision(probs, labels, example_mask),
            "auroc": auroc(probs, labels, example_mask),
            "prevalence": prevalence(labels, example_mask),
        }
    )
    strata_of_scored = table[table["auprc"].notna()].groupby("stratum", observed=True)
    return strata_of_scored.agg(
        num_moas=("auprc", "size"),
        macro_auprc=("auprc", "mean"),
        macro_auroc=("auroc", "mean"),
        chance_auprc=("prevalence", "mean"),
    ).reset_index()
