"""From explanations of single answers to what holds for a mechanism, and why not another one.

The unit is the compound: its signatures are averaged first, so that a compound with many of them
does not speak for the others, and intervals are over compounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.evaluation.bootstrap import interval, resample_counts
from moa_jax.schemas import InputError

Attributions = Float[np.ndarray, "example feature"]


def contrast_attributions(
    attributions: Float[np.ndarray, "example moa feature"],
    moas: Sequence[str],
    *,
    why: str,
    not_instead: str,
) -> Attributions:
    """Attributions of the difference of two MoAs' scores: why the one and not the other.

    Gradients, integrated gradients, occlusion and Shapley values are linear in the score that they
    explain, so the difference of two attributions from one baseline is the attribution of the
    difference. What speaks for both cancels.

    Args:
      attributions: of every MoA's logit, or of every log probability; both give the same answer,
        because their differences are equal. Probabilities would not.
      moas: name of each MoA.
      why: the MoA that is asked for.
      not_instead: the MoA that it is compared with.

    Raises:
      InputError: an MoA is not among `moas`, or both are the same.
    """
    for name in (why, not_instead):
        if name not in moas:
            raise InputError(f"there is no MoA {name!r} to contrast; the model knows {len(moas)}.")
    if why == not_instead:
        raise InputError(f"{why!r} is contrasted with itself; name two MoAs.")
    first, second = moas.index(why), moas.index(not_instead)
    return attributions[:, first] - attributions[:, second]


def moa_summary(
    attributions: Attributions,
    compounds: Sequence[str],
    cell_lines: Sequence[str | None],
    features: Sequence[str],
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """What explanations of one MoA have in common over compounds and cell lines.

    Args:
      attributions: of the MoA's score, one row per example; choose the examples beforehand, such
        as those of held-out compounds that have the MoA.
      compounds: compound group of each example.
      cell_lines: cell line of each example, None where unknown.
      features: name of each column.
      num_resamples: resamples of the bootstrap over compounds.
      seed: its seed.

    Returns:
      One row per feature, the largest absolute mean first, ties by name: `feature`, `mean` over
      compounds with the 95 % bootstrap interval `low` to `high`, `magnitude` (mean absolute value
      over compounds), `consistency` (absolute mean over magnitude: 1 where all compounds agree,
      near 0 where they cancel), `sign_agreement` (share of compounds with the sign of the mean)
      and `cell_line_agreement` (the same share of cell lines, NaN where none is known). A zero
      agrees with nothing. With one compound the interval is that one value.

    Raises:
      InputError: there is no example.
    """
    by_compound = _means(attributions, np.asarray(compounds, object))
    counts = resample_counts(len(by_compound), num_resamples=num_resamples, seed=seed)
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


def profile_agreement(attributions: Attributions, compounds: Sequence[str]) -> float:
    """How alike whole explanations are: mean cosine over all pairs of compounds.

    NaN with fewer than two compounds; a compound whose explanation is zero is orthogonal to all.
    """
    profiles = _means(attributions, np.asarray(compounds, object))
    length = np.linalg.norm(profiles, axis=1, keepdims=True)
    unit = np.divide(profiles, length, out=np.zeros_like(profiles), where=length > 0)
    count = len(unit)
    if count < 2:
        return float("nan")
    cosine = unit @ unit.T
    return float((cosine.sum() - np.trace(cosine)) / (count * (count - 1)))


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
