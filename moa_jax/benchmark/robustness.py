"""How scores fall under noise and wrong labels, rise with compounds, and depend on modalities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.conditions import CLEAN, Condition
from moa_jax.benchmark.headline import difference, estimate
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.evaluation.bootstrap import interval
from moa_jax.evaluation.degradation import DegradationCurve, area_difference
from moa_jax.evaluation.metrics import prevalence
from moa_jax.report.parts import Estimate, LineChart, Section, Series, Table

# The learning curve is not a kind of noise: more of it is better.
COMPOUNDS = "compounds"


def conditions_of(line: Line) -> tuple[Condition, Condition]:
    """The two ways in which a line can differ from a clean one."""
    return line.training, line.test


def clean_line(line: Line) -> Line:
    """The same method, trained and tested without any change."""
    return dataclasses.replace(line, training=CLEAN_TRAINING, test=CLEAN_TEST)


def changed_lines(scored: ScoredSplit) -> Mapping[str, Mapping[Line, tuple[Line, ...]]]:
    """Kind of condition -> clean line -> the lines under that kind, by level."""
    kinds: dict[str, dict[Line, list[Line]]] = {}
    for line in scored.scores:
        changed = [condition for condition in conditions_of(line) if condition.kind != CLEAN]
        base = clean_line(line)
        if len(changed) == 1 and base in scored.scores:
            kinds.setdefault(changed[0].kind, {}).setdefault(base, []).append(line)
    return {
        kind: {base: tuple(sorted(lines, key=level_of)) for base, lines in by_line.items()}
        for kind, by_line in kinds.items()
    }


def level_of(line: Line) -> float:
    """Level of the one condition under which a line is not clean."""
    return max(condition.level for condition in conditions_of(line))


def degradation_section(scored: ScoredSplit) -> Section | None:
    """Curves over the level of each kind of noise, and the areas under them."""
    kinds = {
        kind: lines
        for kind, lines in changed_lines(scored).items()
        if kind != COMPOUNDS and any(level_of(line) for some in lines.values() for line in some)
    }
    if not kinds:
        return None
    chance = float(np.nanmean(prevalence(scored.results.labels)))
    parts: list[LineChart | Table] = []
    for kind, lines in kinds.items():
        curves = {base: _curve(scored, base, some, chance) for base, some in lines.items()}
        parts += [_chart(scored, kind, lines), _areas(kind, curves, scored)]
    return Section(
        title=f"{scored.results.name}: degradation",
        text=(
            "The area under the curve of what is left of the clean macro AUPRC, both above "
            "chance: 1 means no loss. Noise is added to test signatures of models trained on "
            "clean data; wrong labels are given to training and validation compounds."
        ),
        parts=tuple(parts),
    )


def _curve(
    scored: ScoredSplit, base: Line, lines: Iterable[Line], chance: float
) -> DegradationCurve:
    """Macro AUPRC over the level; the first repetition is the estimate, the others resamples."""
    points = [base, *lines]
    scores = [
        np.concatenate(
            [
                [scored.scores[line].estimate["macro_auprc"]],
                scored.scores[line].samples["macro_auprc"],
            ]
        )
        for line in points
    ]
    levels = np.array([0.0, *map(level_of, points[1:])])
    return DegradationCurve(levels, np.stack(scores, axis=-1), chance)


def _chart(scored: ScoredSplit, kind: str, lines: Mapping[Line, tuple[Line, ...]]) -> LineChart:
    series = []
    for base, some in lines.items():
        points = [base, *some]
        values = [estimate(scored, line, "macro_auprc") for line in points]
        series.append(
            Series(
                base.name,
                [0.0, *map(level_of, some)],
                [value.value for value in values],
                [value.low for value in values],
                [value.high for value in values],
            )
        )
    return LineChart(series, x_label=f"level of {kind}", y_label="macro AUPRC", caption=kind)


def _areas(kind: str, curves: Mapping[Line, DegradationCurve], scored: ScoredSplit) -> Table:
    # The split's reference, or the best on validation of the lines that this kind was tried on.
    first = max(curves, key=lambda line: np.nan_to_num(scored.validation[line], nan=-1.0))
    compared = scored.reference if scored.reference in curves else first
    reference = curves[compared]
    # Lines may have been tried at other levels.
    levels = sorted({level for curve in curves.values() for level in curve.levels[1:].tolist()})
    rows = []
    for line, curve in curves.items():
        against: Estimate | str = "n/a"
        if line == compared:
            against = "reference"
        elif np.array_equal(reference.levels, curve.levels):
            areas = area_difference(curve, reference)
            against = Estimate(float(areas[0]), *interval(areas[1:]))
        losses = [
            float(curve.loss_at(level)[0]) if level in curve.levels else "n/a" for level in levels
        ]
        area = Estimate(float(curve.area[0]), *interval(curve.area[1:]))
        rows.append((line.name, float(curve.scores[0, 0]), area, against, *losses))
    return Table(
        (
            "method",
            "clean",
            "area",
            "difference in area",
            *(f"share lost at {level:g}" for level in levels),
        ),
        rows,
        caption=f"{kind}: macro AUPRC without it, area under the degradation curve, share lost.",
    )


def learning_section(scored: ScoredSplit) -> Section | None:
    """Macro AUPRC over the number of compounds that a method learned from."""
    lines = changed_lines(scored).get(COMPOUNDS)
    if not lines:
        return None
    series = []
    for base, some in lines.items():
        points = [*some, base]
        values = [estimate(scored, line, "macro_auprc") for line in points]
        series.append(
            Series(
                base.name,
                [*map(level_of, some), 1.0],
                [value.value for value in values],
                [value.low for value in values],
                [value.high for value in values],
            )
        )
    chart = LineChart(
        series,
        x_label="share of the training compounds",
        y_label="macro AUPRC",
        caption="Learning curves: what more compounds would bring.",
    )
    return Section(title=f"{scored.results.name}: number of compounds", parts=(chart,))


def contribution_section(scored: ScoredSplit) -> Section | None:
    """Controls without level: modalities damaged or left out, knowledge randomised."""
    rows = []
    for kind, lines in changed_lines(scored).items():
        for base, some in lines.items():
            rows += [
                (
                    base.name,
                    kind,
                    "training" if line.training.kind == kind else "test",
                    estimate(scored, base, "macro_auprc"),
                    estimate(scored, line, "macro_auprc"),
                    difference(scored, line, base, "macro_auprc"),
                    difference(scored, line, base, "top1"),
                )
                for line in some
                if not level_of(line)
            ]
    if not rows:
        return None
    table = Table(
        (
            "method",
            "control",
            "changed in",
            "macro AUPRC",
            "under the control",
            "change in macro AUPRC",
            "change in top-1",
        ),
        rows,
        caption=(
            "What each modality and the knowledge graph contribute: a change whose interval "
            "holds 0 says that the model did as well without."
        ),
    )
    return Section(title=f"{scored.results.name}: controls", parts=(table,))
