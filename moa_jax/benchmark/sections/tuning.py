"""The hyperparameters that each method selected, and the validation curves of networks."""

from __future__ import annotations

import collections

import numpy as np

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.report.parts import LineChart, Section, Series, Table


def tuning_section(scored: ScoredSplit) -> Section:
    """Selected settings, and validation curves of methods that are trained in steps."""
    rows = [(line.name, scored.validation[line], _chosen(scored, line)) for line in scored.clean]
    table = Table(
        ("method", "validation macro AUPRC", "selected settings (number of models)"),
        rows,
        caption="Settings selected by macro AUPRC on the validation compounds of each fold.",
    )
    curves = [series for line in scored.clean for series in _curve(scored, line)]
    chart = LineChart(
        curves,
        x_label="training step",
        y_label="validation macro AUPRC",
        caption="Validation curve of each network (first fold and seed).",
    )
    return Section(
        title=f"{scored.results.name}: hyperparameter selection",
        parts=(table, chart) if curves else (table,),
    )


def _chosen(scored: ScoredSplit, line: Line) -> str:
    """The selected settings with their number of models, the most frequent first."""
    reports = [fold.report for folds in scored.results.lines[line].values() for fold in folds]
    counts = collections.Counter(
        str(report["settings"]) for report in reports if "settings" in report
    )
    return "; ".join(f"{settings} ({count})" for settings, count in counts.most_common())


def _curve(scored: ScoredSplit, line: Line) -> list[Series]:
    report = next(iter(scored.results.lines[line].values()))[0].report
    points = np.array(report.get("validation_curve", []), dtype=float).reshape(-1, 2)
    return [Series(line.name, points[:, 0], points[:, 1])] if len(points) else []
