"""Differences of two methods for each MoA, with control of the false discovery rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats
from threadpoolctl import threadpool_limits

from moa_jax.evaluation.bootstrap import centred, interval, resample_counts
from moa_jax.evaluation.metrics import Labels
from moa_jax.evaluation.randomisation import randomisation_p_values
from moa_jax.evaluation.weighted_metrics import weighted_average_precision


def adjusted_p_values(p_values: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Benjamini and Hochberg 1995: the false discovery rate at which each test is a discovery.

    NaN p-values stay NaN and do not count as tests.
    """
    adjusted = np.full(p_values.shape, np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p_values[known], method="bh")
    return adjusted


def per_moa_differences(
    first: Float[np.ndarray, "*first_seed compound moa"],
    second: Float[np.ndarray, "*second_seed compound moa"],
    labels: Labels,
    moas: Sequence[str],
    *,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired difference of the average precision of every MoA.

    Intervals are those of the bootstrap, which are rough for MoAs with few compounds; p-values are
    those of the randomisation test. The two need not agree exactly.

    Args:
      first: pooled probabilities of one method, with a leading axis for several seeds.
      second: the same for the other method; it may have another number of seeds.
      labels: labels of the same compounds.
      moas: name of each MoA.
      num_resamples: number of paired resamples of compounds and of rounds of the randomisation
        test; no p-value is below 2 / (`num_resamples` + 1), which should be well below
        1 / (number of MoAs).
      seed: seed of the resamples.

    Returns:
      One row per MoA, in their order: `moa`, `num_compounds`, `first`, `second` (average
      precisions), `difference`, `low`, `high` (95 %), `p_value` and `q_value` (see
      `adjusted_p_values`). NaN for an MoA without a compound.

    Raises:
      InputError: there is no compound.
    """
    positive = labels > 0
    counts = resample_counts(len(positive), num_resamples=num_resamples, seed=seed)
    runs = [probs.reshape(-1, *labels.shape).astype(float) for probs in (first, second)]
    with threadpool_limits(limits=1, user_api="blas"):
        precision = [
            np.mean([weighted_average_precision(counts, run, positive) for run in seeds], axis=0)
            for seeds in runs
        ]
    difference = centred(precision[0] - precision[1])
    ends = np.array([interval(column) for column in difference[1:].T])
    # Seeds are paired cyclically.
    num_pairs = math.lcm(len(runs[0]), len(runs[1]))
    paired = [np.tile(seeds, (num_pairs // len(seeds), 1, 1)) for seeds in runs]
    p_values = randomisation_p_values(*paired, positive, num_rounds=num_resamples, seed=seed)
    return pd.DataFrame(
        {
            "moa": list(moas),
            "num_compounds": positive.sum(axis=0),
            "first": precision[0][0],
            "second": precision[1][0],
            "difference": difference[0],
            "low": ends[:, 0],
            "high": ends[:, 1],
            "p_value": p_values,
            "q_value": adjusted_p_values(p_values),
        }
    )
