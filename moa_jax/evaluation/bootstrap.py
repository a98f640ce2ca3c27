"""Paired bootstrap over compounds: intervals of metrics and of differences between methods.

A resample draws as many compounds as there are, with replacement (Efron 1979). All methods are
scored on the same resamples, so that differences are paired. Intervals are percentile intervals
(Efron and Tibshirani 1993, chapter 13) of samples that are shifted to have the estimate as their
mean. Without the shift they would be too high for macro AUPRC: a positive that is drawn twice ranks
beside itself, which raises the precision of MoAs with few compounds.

Intervals cover the choice of compounds, not of seeds: a method with several seeds is averaged over
them in every resample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from moa_jax.evaluation.metrics import Labels
from moa_jax.evaluation.weighted_metrics import Counts, weighted_metrics
from moa_jax.schemas import InputError

CONFIDENCE = 0.95

Samples = Float[np.ndarray, " resample"]


@dataclasses.dataclass(frozen=True)
class BootstrapScores:
    """Metrics of one method, averaged over its seeds.

    Attributes:
      estimate: metric -> its value on the compounds themselves.
      samples: metric -> its value in each resample, shifted by `centred`; NaN where undefined.
    """

    estimate: Mapping[str, float]
    samples: Mapping[str, Samples]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One method's metric minus another's, on the same compounds.

    Attributes:
      estimate: difference on the compounds themselves.
      low: lower end of the 95 % interval.
      high: upper end of the 95 % interval.
      p_value: two-sided, of no difference; see `two_sided_p`.
    """

    estimate: float
    low: float
    high: float
    p_value: float


def resample_counts(num_compounds: int, *, num_resamples: int, seed: int) -> Counts:
    """How often each resample draws each compound; every row sums to `num_compounds`.

    The first row has each compound once; `num_resamples` rows follow.

    Raises:
      InputError: there is no compound.
    """
    if not num_compounds:
        raise InputError("the bootstrap needs at least one compound; there is none.")
    rng = np.random.default_rng(seed)
    chances = np.full(num_compounds, 1 / num_compounds)
    drawn = rng.multinomial(num_compounds, chances, size=num_resamples)
    return np.concatenate([np.ones((1, num_compounds)), drawn]).astype(np.float32)


def bootstrap_scores(
    probs_by_method: Mapping[str, Float[np.ndarray, "..."]],
    labels: Labels,
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, BootstrapScores]:
    """Every metric of `weighted_metrics` for every method in the same resamples.

    Args:
      probs_by_method: method -> pooled probabilities, one row per compound and one column per
        MoA, with a leading axis for several seeds.
      labels: labels of the same compounds.
      num_resamples: number of resamples.
      seed: seed of the resamples.

    Raises:
      InputError: there is no compound, or probabilities have another shape than the labels.
    """
    positive = labels > 0
    counts = resample_counts(len(positive), num_resamples=num_resamples, seed=seed)
    scores = {}
    for method, probs in probs_by_method.items():
        if probs.ndim not in (2, 3) or probs.shape[-2:] != labels.shape:
            raise InputError(
                f"the method {method} has probabilities of shape {probs.shape}; expected "
                f"{labels.shape} (compounds, MoAs), or that for each seed."
            )
        seeds = probs.reshape(-1, *labels.shape)
        # Several BLAS threads gain little here, and take twenty times as long on busy cores.
        with threadpool_limits(limits=1, user_api="blas"):
            runs = [weighted_metrics(counts, run.astype(np.float64), positive) for run in seeds]
        mean = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
        scores[method] = BootstrapScores(
            estimate={name: float(values[0]) for name, values in mean.items()},
            samples={name: centred(values)[1:] for name, values in mean.items()},
        )
    return scores


def centred(values: Float[np.ndarray, "resample *moa"]) -> Float[np.ndarray, "resample *moa"]:
    """Shifts the rows after the first by a constant, so that their mean is the first row.

    NaN values are left out of the mean and stay NaN.
    """
    defined = ~np.isnan(values[1:])
    total = np.where(defined, values[1:], 0.0).sum(axis=0)
    bias = total / np.maximum(defined.sum(axis=0), 1) - values[0]
    return np.concatenate([values[:1], values[1:] - bias])


def interval(samples: Samples) -> tuple[float, float]:
    """95 % percentile interval of the defined samples; NaN if there is none."""
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def two_sided_p(samples: Samples) -> float:
    """P-value that agrees with `interval`: twice the smaller share of samples beyond zero.

    One is added to counts and samples (Davison and Hinkley 1997, eq. 4.11), so that the smallest
    p-value is 2 / (number of samples + 1). NaN where no sample is defined.
    """
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return float("nan")
    beyond = min((defined <= 0).sum(), (defined >= 0).sum())
    return min(1.0, 2 * (int(beyond) + 1) / (len(defined) + 1))


def paired_difference(first: BootstrapScores, second: BootstrapScores, metric: str) -> Difference:
    """`first` minus `second`, both from one call of `bootstrap_scores`."""
    samples = first.samples[metric] - second.samples[metric]
    low, high = interval(samples)
    estimate = first.estimate[metric] - second.estimate[metric]
    return Difference(estimate, low, high, two_sided_p(samples))
