"""Comparison of gene rankings with controls by their deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.evaluation.bootstrap import Difference, interval, resample_counts, two_sided_p
from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.explanation.audit.deletion import Curves
from moa_jax.schemas import InputError

# Resamples of the bootstrap over compounds.
NUM_RESAMPLES = 2000
# Measure of `Curves` -> whether larger is better.
MEASURES = {
    "deletion_auc": False,
    "insertion_auc": True,
    "comprehensiveness": True,
    "sufficiency": False,
}


def compound_difference(
    first: Float[np.ndarray, " example"],
    second: Float[np.ndarray, " example"],
    groups: Sequence[str],
) -> Difference:
    """Mean over compounds of `first` minus `second`, with a bootstrap interval over compounds.

    A compound's examples are averaged first; examples where either is NaN are left out.

    Raises:
      InputError: no example has both.
    """
    known = ~(np.isnan(first) | np.isnan(second))
    names, unit = np.unique(np.asarray(groups, dtype=str)[known], return_inverse=True)
    sizes = np.bincount(unit, minlength=len(names))
    means = np.bincount(unit, weights=(first - second)[known], minlength=len(names)) / np.maximum(
        sizes, 1
    )
    counts = resample_counts(len(means), num_resamples=NUM_RESAMPLES, seed=0)
    samples = counts @ means / len(means)
    low, high = interval(samples[1:])
    return Difference(float(means.mean()), low, high, two_sided_p(samples[1:]))


def faithfulness_table(
    curves: Mapping[str, Curves],
    controls: Sequence[str],
    groups: Sequence[str],
) -> pd.DataFrame:
    """Every method compared with every control, by every measure of its curves.

    Args:
      curves: ranking -> its curves, including controls, all with one replacement.
      controls: names of the rankings that are controls.
      groups: compound group of every example.

    Returns:
      One row per method, control and measure: `method`, `control`, `measure`, `value`,
      `control_value` (means over compounds), `gain`, `low`, `high` (95 %, positive where the
      method is better), `p_value`, `q_value` over the whole table.

    Raises:
      InputError: a control has no curves.
    """
    for name in controls:
        if name not in curves:
            raise InputError(f"there are no curves of the control {name!r}.")
    rows = []
    for method in (name for name in curves if name not in controls):
        for control in controls:
            for measure, larger_is_better in MEASURES.items():
                ours, theirs = (
                    getattr(curves[name], measure).mean(axis=1) for name in (method, control)
                )
                value, of_control = (
                    compound_difference(one, np.zeros(len(one)), groups).estimate
                    for one in (ours, theirs)
                )
                better, worse = (ours, theirs) if larger_is_better else (theirs, ours)
                gain = compound_difference(better, worse, groups)
                rows.append(
                    {
                        "method": method,
                        "control": control,
                        "measure": measure,
                        "value": value,
                        "control_value": of_control,
                        "gain": gain.estimate,
                        "low": gain.low,
                        "high": gain.high,
                        "p_value": gain.p_value,
                    }
                )
    table = pd.DataFrame(rows)
    return table.assign(q_value=adjusted_p_values(table["p_value"].to_numpy()))
