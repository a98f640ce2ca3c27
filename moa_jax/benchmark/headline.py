"""The main table of a split, its MoAs one by one, and the strata of compounds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.plan import family_of
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.evaluation.bootstrap import interval, paired_difference
from moa_jax.evaluation.metrics import average_precision, macro_auprc
from moa_jax.evaluation.multiple_testing import per_moa_differences
from moa_jax.report.parts import Cell, Estimate, HeatMap, Section, Table

# False discovery rate at which an MoA counts as better or worse.
FALSE_DISCOVERY_RATE = 0.05


def estimate(scored: ScoredSplit, line: Line, metric: str) -> Estimate:
    """A line's metric with its 95 % interval over compounds."""
    scores = scored.scores[line]
    low, high = interval(scores.samples[metric])
    # No metric is below 0, but samples that were centred on a small one can be.
    return Estimate(scores.estimate[metric], max(low, 0.0), high)


def difference(scored: ScoredSplit, line: Line, other: Line, metric: str) -> Estimate:
    """A line's metric less that of another one, with the paired 95 % interval."""
    found = paired_difference(scored.scores[line], scored.scores[other], metric)
    return Estimate(found.estimate, found.low, found.high)


def main_table(scored: ScoredSplit) -> Table:
    """All clean lines with headline metrics and the difference from the reference."""
    columns = (
        "method",
        "family",
        "seeds",
        "macro AUPRC",
        "difference",
        "p",
        "SD over seeds",
        "micro AUPRC",
        "macro AUROC",
        "top-1",
        "top-5",
        "top-10",
        "log loss",
        "Brier",
        "validation macro AUPRC",
    )
    rows = [_main_row(scored, line) for line in scored.clean]
    return Table(
        columns,
        rows,
        caption=(
            f"{scored.results.name}: {len(scored.results.compounds)} compounds, out of fold, "
            f"pooled per compound; 95 % intervals from {scored.num_resamples} resamples of "
            f"compounds; differences in macro AUPRC from {scored.reference.name}, paired."
        ),
        sort_by="macro AUPRC",
    )


def _main_row(scored: ScoredSplit, line: Line) -> tuple[Cell, ...]:
    values = scored.scores[line].estimate
    against = paired_difference(scored.scores[line], scored.scores[scored.reference], "macro_auprc")
    per_seed = [macro_auprc(probs, scored.results.labels) for probs in scored.results.probs(line)]
    is_reference = line == scored.reference
    return (
        line.name,
        family_of(line.method),
        len(per_seed),
        estimate(scored, line, "macro_auprc"),
        "reference" if is_reference else Estimate(against.estimate, against.low, against.high),
        float("nan") if is_reference else against.p_value,
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
        title=f"{scored.results.name}: all methods",
        text=(
            "Settings were chosen on the validation part of each fold, with at most four tries "
            "for every method. The reference is the plain method with the best mean validation "
            "score, not the best on the compounds that are scored here."
        ),
        parts=(main_table(scored),),
    )


def moa_section(scored: ScoredSplit) -> Section:
    """Average precision of every MoA, and the MoAs that differ from the reference's."""
    labels, moas = scored.results.labels, scored.results.moas
    lines = scored.clean
    values = np.stack([mean_precision(scored, line) for line in lines], axis=1)
    counts = (labels > 0).sum(axis=0).astype(int)
    order = np.argsort(-np.nan_to_num(values.max(axis=1)), kind="stable")
    heat_map = HeatMap(
        [f"{moas[row]} ({counts[row]})" for row in order],
        [line.name for line in lines],
        values[order],
        caption="Average precision of each MoA (number of compounds), mean over seeds.",
        low=0.0,
        high=1.0,
        corner="MoA",
    )
    return Section(title=f"{scored.results.name}: MoA by MoA", parts=(heat_map, _moa_table(scored)))


def mean_precision(scored: ScoredSplit, line: Line) -> Float[np.ndarray, " moa"]:
    """Average precision of each MoA, mean over the seeds of a line."""
    labels = scored.results.labels
    return np.mean([average_precision(p, labels) for p in scored.results.probs(line)], axis=0)


def _moa_table(scored: ScoredSplit) -> Table:
    """How many MoAs each featured line answers better or worse than the reference."""
    reference = np.stack(scored.results.probs(scored.reference))
    rows = []
    for line in scored.featured():
        if line == scored.reference:
            continue
        table = per_moa_differences(
            np.stack(scored.results.probs(line)),
            reference,
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
        ("method", "better", "worse", "better at", "worse at"),
        rows,
        caption=(
            f"MoAs whose average precision differs from that of {scored.reference.name} at a "
            f"false discovery rate of {FALSE_DISCOVERY_RATE:g} (Benjamini and Hochberg); the "
            "best line of each family."
        ),
    )
