"""Summary of the explanations of one mechanism over compounds.

The signatures of a compound are averaged first, so that all compounds have the same weight, and
intervals are over compounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.evaluation.bootstrap import interval, resample_counts

# Resamples of the bootstrap over compounds.
NUM_RESAMPLES = 2000

Attributions = Float[np.ndarray, "example feature"]


def moa_summary(
    attributions: Attributions,
    compounds: Sequence[str],
    cell_lines: Sequence[str | None],
    features: Sequence[str],
) -> pd.DataFrame:
    """Summarises explanations of one MoA over compounds and cell lines.

    Args:
      attributions: of the MoA's score, one row per example, such as those of held-out compounds
        that have the MoA.
      compounds: compound group of each example.
      cell_lines: cell line of each example, None where unknown.
      features: name of each column.

    Returns:
      One row per feature, the largest absolute mean first, ties by name: `feature`, `mean` over
      compounds with the 95 % bootstrap interval `low` to `high`, `magnitude` (mean absolute value
      over compounds), `consistency` (absolute mean over magnitude: 1 where all compounds agree,
      near 0 where they cancel), `sign_agreement` (share of compounds with the sign of the mean)
      and `cell_line_agreement` (the same share of cell lines, NaN where none is known). Zeros never
      agree. With one compound the interval is that value.

    Raises:
      InputError: there is no example.
    """
    by_compound = _means(attributions, np.asarray(compounds, object))
    counts = resample_counts(len(by_compound), num_resamples=NUM_RESAMPLES, seed=0)
    mean = by_compound.mean(axis=0)
    magnitude = np.abs(by_compound).mean(axis=0)
    resampled = counts[1:].astype(np.float64) @ by_compound / len(by_compound)
    ends = np.array([interval(column) for column in resampled.T]).reshape(-1, 2)
    known = np.array([not pd.isna(line) for line in cell_lines], bool)
    lines = np.asarray(cell_lines, object)[known]
    by_line = _means(attributions[known], lines) if known.any() else None
    table = pd.DataFrame(
        {
            "feature": list(features),
            "mean": mean,
            "low": ends[:, 0],
            "high": ends[:, 1],
            "magnitude": magnitude,
            "consistency": np.divide(
                np.abs(mean), magnitude, out=np.zeros_like(mean), where=magnitude > 0
            ),
            "sign_agreement": _agreement(by_compound, mean),
            "cell_line_agreement": np.nan if by_line is None else _agreement(by_line, mean),
        }
    )
    order = np.lexsort((table["feature"], -np.abs(mean)))
    return table.iloc[order].reset_index(drop=True)


def _means(attributions: Attributions, units: np.ndarray) -> Float[np.ndarray, "unit feature"]:
    """Mean over the examples of each unit, units in sorted order."""
    names, unit = np.unique(units.astype(str), return_inverse=True)
    total = np.zeros((len(names), attributions.shape[1]))
    np.add.at(total, unit, attributions)
    return total / np.bincount(unit, minlength=len(names))[:, None]


def _agreement(
    rows: Float[np.ndarray, "unit feature"], mean: Float[np.ndarray, " feature"]
) -> Float[np.ndarray, " feature"]:
    return ((np.sign(rows) == np.sign(mean)) & (rows != 0)).mean(axis=0)
