"""The main results of a split: all methods with intervals, and the results for each MoA."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from moa_jax.baselines.tuning import BUDGET
from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.plan import family_of
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.evaluation.bootstrap import interval, paired_difference
from moa_jax.evaluation.metrics import average_precision, macro_auprc
from moa_jax.evaluation.multiple_testing import per_moa_differences
from moa_jax.report.parts import Cell, Estimate, HeatMap, Section, Table

# False discovery rate at which the difference for an MoA is called significant.
FALSE_DISCOVERY_RATE = 0.05


def estimate(scored: ScoredSplit, line: Line, metric: str) -> Estimate:
    """A method's metric with its 95 % confidence interval over compounds."""
    scores = scored.scores[line]
    low, high = interval(scores.samples[metric])
    # Centred bootstrap samples can leave the range of the metric.
    largest = math.inf if metric == "log_loss" else 1.0
    return Estimate(scores.estimate[metric], max(low, 0.0), min(high, largest))


def difference(scored: ScoredSplit, line: Line, other: Line, metric: str) -> Estimate:
    """A method's metric minus another one's, with the paired 95 % confidence interval."""
    found = paired_difference(scored.scores[line], scored.scores[other], metric)
    return Estimate(found.estimate, found.low, found.high)


def main_table(scored: ScoredSplit) -> Table:
    """All methods with their metrics and the difference from the comparator."""
    columns = (
        "method",
        "family",
        "seeds",
        "macro AUPRC",
        "difference from comparator",
        "p-value",
        "SD over seeds",
        "micro AUPRC",
        "macro AUROC",
        "top-1 accuracy",
        "top-5 accuracy",
        "top-10 accuracy",
        "log loss",
        "Brier score",
        "validation macro AUPRC",
    )
    rows = [_main_row(scored, line) for line in scored.clean]
    return Table(
        columns,
        rows,
        caption=(
            f"{scored.results.name}: out-of-fold predictions for "
            f"{len(scored.results.compounds)} compounds, pooled by compound, with 95 % confidence "
            f"intervals from {scored.num_resamples} bootstrap resamples of the compounds. The "
            f"difference in macro AUPRC is paired; the comparator is {scored.comparator.name}."
        ),
        sort_by="macro AUPRC",
    )


def _main_row(scored: ScoredSplit, line: Line) -> tuple[Cell, ...]:
    values = scored.scores[line].estimate
    against = paired_difference(
        scored.scores[line], scored.scores[scored.comparator], "macro_auprc"
    )
    per_seed = [macro_auprc(probs, scored.results.labels) for probs in scored.results.probs(line)]
    is_comparator = line == scored.comparator
    return (
        line.name,
        family_of(line.method),
        len(per_seed),
        estimate(scored, line, "macro_auprc"),
        "comparator" if is_comparator else Estimate(against.estimate, against.low, against.high),
        float("nan") if is_comparator else against.p_value,
        float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else float("nan"),
        values["micro_auprc"],
        values["macro_auroc"],
        estimate(scored, line, "top1"),
        values["top5"],
        values["top10"],
        values["log_loss"],
        values["brier"],
        scored.validation[line],
    )


def headline_section(scored: ScoredSplit) -> Section:
    """The main table."""
    return Section(
        title=f"{scored.results.name}: main results",
        text=(
            f"Hyperparameters were chosen among at most {BUDGET} settings per method on the "
            "validation compounds of each fold. Unless the configuration names one, the comparator "
            "is the baseline without a neural network that has the best mean validation score."
        ),
        parts=(main_table(scored),),
    )


def moa_section(scored: ScoredSplit) -> Section:
    """Average precision for each MoA, and the MoAs that differ from the comparator."""
    labels, moas = scored.results.labels, scored.results.moas
    lines = scored.clean
    values = np.stack([mean_precision(scored, line) for line in lines], axis=1)
    counts = (labels > 0).sum(axis=0).astype(int)
    order = np.argsort(-np.nan_to_num(values.max(axis=1)), kind="stable")
    heat_map = HeatMap(
        [f"{moas[row]} ({counts[row]})" for row in order],
        [line.name for line in lines],
        values[order],
        caption="Average precision for each MoA (number of compounds), mean over seeds.",
        low=0.0,
        high=1.0,
        corner="MoA",
    )
    return Section(
        title=f"{scored.results.name}: results by MoA", parts=(heat_map, _moa_table(scored))
    )


def mean_precision(scored: ScoredSplit, line: Line) -> Float[np.ndarray, " moa"]:
    """Average precision for each MoA, mean over the seeds of a method."""
    labels = scored.results.labels
    return np.mean([average_precision(p, labels) for p in scored.results.probs(line)], axis=0)


def _moa_table(scored: ScoredSplit) -> Table:
    """The MoAs for which each featured method is better or worse than the comparator."""
    comparator = np.stack(scored.results.probs(scored.comparator))
    rows = []
    for line in scored.featured():
        if line == scored.comparator:
            continue
        table = per_moa_differences(
            np.stack(scored.results.probs(line)),
            comparator,
            scored.results.labels,
            scored.results.moas,
            num_resamples=scored.num_resamples,
            seed=scored.seed,
        )
        found = table[table["q_value"] <= FALSE_DISCOVERY_RATE]
        better, worse = found[found["difference"] > 0], found[found["difference"] < 0]
        rows.append(
            (
                line.name,
                len(better),
                len(worse),
                ", ".join(better["moa"]) or "none",
                ", ".join(worse["moa"]) or "none",
            )
        )
    return Table(
        ("method", "MoAs better", "MoAs worse", "better for", "worse for"),
        rows,
        caption=(
            f"MoAs whose average precision differs from that of {scored.comparator.name} at a "
            f"false discovery rate of {FALSE_DISCOVERY_RATE:g} (paired randomisation test, "
            "Benjamini-Hochberg); the best method of each family."
        ),
    )
