"""How each method came to its settings: what was chosen, and the validation curves of networks."""

from __future__ import annotations

import collections

import numpy as np

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.report.parts import LineChart, Section, Series, Table


def tuning_section(scored: ScoredSplit) -> Section:
    """Settings chosen in the folds, and validation curves where a method was trained in steps."""
    rows = [(line.name, scored.validation[line], _chosen(scored, line)) for line in scored.clean]
    table = Table(
        ("method", "validation macro AUPRC", "settings chosen (folds and seeds)"),
        rows,
        caption="Settings of each method, chosen by macro AUPRC on the validation parts.",
    )
    curves = [series for line in scored.clean for series in _curve(scored, line)]
    chart = LineChart(
        curves,
        x_label="training step",
        y_label="validation macro AUPRC",
        caption="Validation curves of the first fold and seed of each network.",
    )
    return Section(
        title=f"{scored.results.name}: tuning", parts=(table, chart) if curves else (table,)
    )


def _chosen(scored: ScoredSplit, line: Line) -> str:
    """The settings with the number of models that took them, the most frequent first."""
    reports = [fold.report for folds in scored.results.lines[line].values() for fold in folds]
    counts = collections.Counter(
        str(report["settings"]) for report in reports if "settings" in report
    )
    return "; ".join(f"{settings} ({count})" for settings, count in counts.most_common())


def _curve(scored: ScoredSplit, line: Line) -> list[Series]:
    report = next(iter(scored.results.lines[line].values()))[0].report
    points = np.array(report.get("validation_curve", []), dtype=float).reshape(-1, 2)
    return [Series(line.name, points[:, 0], points[:, 1])] if len(points) else []
