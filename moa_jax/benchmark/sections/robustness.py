"""Robustness to noise and wrong labels, learning curves, and ablations of the inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.perturbations.perturbation import CLEAN, Perturbation
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.benchmark.sections.main_table import difference, estimate
from moa_jax.evaluation.bootstrap import interval
from moa_jax.evaluation.degradation import DegradationCurve, area_difference
from moa_jax.evaluation.metrics import prevalence
from moa_jax.report.parts import Estimate, LineChart, Section, Series, Table

# Learning curves are not degradation curves: a higher level is better.
COMPOUNDS = "compounds"


def perturbations_of(line: Line) -> tuple[Perturbation, Perturbation]:
    """The perturbations of training and of testing."""
    return line.training, line.test


def clean_line(line: Line) -> Line:
    """The same method, trained and tested on unchanged data."""
    return dataclasses.replace(line, training=CLEAN_TRAINING, test=CLEAN_TEST)


def changed_lines(scored: ScoredSplit) -> Mapping[str, Mapping[Line, tuple[Line, ...]]]:
    """Kind of perturbation -> clean line -> the lines under this kind alone, by ascending level."""
    kinds: dict[str, dict[Line, list[Line]]] = {}
    for line in scored.scores:
        changed = [one for one in perturbations_of(line) if one.kind != CLEAN]
        base = clean_line(line)
        if len(changed) == 1 and base in scored.scores:
            kinds.setdefault(changed[0].kind, {}).setdefault(base, []).append(line)
    return {
        kind: {base: tuple(sorted(lines, key=level_of)) for base, lines in by_line.items()}
        for kind, by_line in kinds.items()
    }


def level_of(line: Line) -> float:
    """Level of the one perturbation that is not clean."""
    return max(perturbation.level for perturbation in perturbations_of(line))


def degradation_section(scored: ScoredSplit) -> Section | None:
    """Macro AUPRC over the level of each kind of noise, and the area under each curve."""
    kinds = {
        kind: lines
        for kind, lines in changed_lines(scored).items()
        if kind != COMPOUNDS and any(level_of(line) for some in lines.values() for line in some)
    }
    if not kinds:
        return None
    # Macro AUPRC leaves out MoAs without a positive, and so does its chance level.
    share = prevalence(scored.results.labels)
    chance = float(share[share > 0].mean())
    parts: list[LineChart | Table] = []
    for kind, lines in kinds.items():
        curves = {base: _curve(scored, base, some, chance) for base, some in lines.items()}
        parts += [_chart(scored, kind, lines), _areas(kind, curves, scored)]
    return Section(
        title=f"{scored.results.name}: robustness to noise",
        text=(
            "Noise is added to the test signatures of models that were trained on clean data; "
            "wrong labels are given to training and validation compounds. The relative macro "
            f"AUPRC is (AUPRC - chance) / (clean AUPRC - chance), with a chance level of "
            f"{chance:.3f}; its mean over the levels is 1 if nothing is lost."
        ),
        parts=tuple(parts),
    )


def _curve(
    scored: ScoredSplit, base: Line, lines: Iterable[Line], chance: float
) -> DegradationCurve:
    """Macro AUPRC over the level: the estimate first, then the bootstrap resamples."""
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
    # The split's comparator, or the line of this kind with the best validation score.
    first = max(curves, key=lambda line: np.nan_to_num(scored.validation[line], nan=-1.0))
    compared = scored.comparator if scored.comparator in curves else first
    comparator = curves[compared]
    # Methods may have been run at different levels.
    levels = sorted({level for curve in curves.values() for level in curve.levels[1:].tolist()})
    rows = []
    for line, curve in curves.items():
        against: Estimate | str = "n/a"
        if line == compared:
            against = "comparator"
        elif np.array_equal(comparator.levels, curve.levels):
            areas = area_difference(curve, comparator)
            against = Estimate(float(areas[0]), *interval(areas[1:]))
        losses = [
            float(curve.loss_at(level)[0]) if level in curve.levels else "n/a" for level in levels
        ]
        area = Estimate(float(curve.area[0]), *interval(curve.area[1:]))
        rows.append((line.name, float(curve.scores[0, 0]), area, against, *losses))
    return Table(
        (
            "method",
            "clean macro AUPRC",
            "mean relative macro AUPRC",
            "difference from comparator",
            *(f"relative loss at {level:g}" for level in levels),
        ),
        rows,
        caption=(
            f"{kind}: macro AUPRC on clean data, relative macro AUPRC averaged over the levels "
            "(area under the curve, by trapezoids), and the share of the clean score that is lost "
            "at each level."
        ),
    )


def learning_section(scored: ScoredSplit) -> Section | None:
    """Macro AUPRC over the number of training compounds."""
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
        x_label="fraction of the training compounds",
        y_label="macro AUPRC",
        caption="Learning curves.",
    )
    return Section(title=f"{scored.results.name}: learning curves", parts=(chart,))


def contribution_section(scored: ScoredSplit) -> Section | None:
    """Perturbations without levels: a modality damaged or removed, the graph randomised."""
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
            "ablation",
            "applied in",
            "macro AUPRC",
            "macro AUPRC under ablation",
            "change in macro AUPRC",
            "change in top-1 accuracy",
        ),
        rows,
        caption=(
            "Contribution of each modality and of the knowledge graph, with paired 95 % "
            "confidence intervals: where the interval of the change includes 0, no contribution "
            "was detected."
        ),
    )
    return Section(title=f"{scored.results.name}: ablations", parts=(table,))
