"""What probabilities are worth: calibration, label sets, and the risk of the answers given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.benchmark.collect import Fold, Line
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.evaluation.calibration import (
    fit_beta_calibration,
    fit_temperature,
    reliability_curve,
    top_answers,
    top_label_ece,
)
from moa_jax.evaluation.conformal import calibrate_label_sets, set_quality
from moa_jax.evaluation.metrics import brier, log_loss
from moa_jax.evaluation.risk_coverage import (
    COVERAGES,
    accuracy_at_coverage,
    aurc,
    risk_coverage_curve,
)
from moa_jax.report.parts import LineChart, Section, Series, Table

# Shares of compounds whose label sets may miss a true MoA.
ERROR_RATES = (0.1, 0.2)

Pooled = Float[np.ndarray, "compound moa"]


@dataclasses.dataclass(frozen=True)
class CalibratedRun:
    """One seed of a line, calibrated fold by fold on the validation compounds.

    Attributes:
      raw: answers as they are.
      temperature: after temperature scaling.
      beta: after beta calibration.
      temperatures: the temperature of each fold.
      sets: label sets for each of `ERROR_RATES`.
    """

    raw: Pooled
    temperature: Pooled
    beta: Pooled
    temperatures: tuple[float, ...]
    sets: tuple[Bool[np.ndarray, "compound moa"], ...]


def calibrate_run(scored: ScoredSplit, folds: Sequence[Fold]) -> CalibratedRun:
    """Calibrates one seed of a line."""
    results = scored.results

    def joined(answer: Callable[[Fold], Pooled]) -> Pooled:
        return results.joined([answer(fold) for fold in folds], folds)

    scalings = [fit_temperature(fold.validation_probs, fold.validation_labels) for fold in folds]
    by_fold = {id(fold): scaling for fold, scaling in zip(folds, scalings, strict=True)}
    label_sets = {
        id(fold): calibrate_label_sets(
            by_fold[id(fold)](fold.validation_probs), fold.validation_labels
        )
        for fold in folds
    }
    return CalibratedRun(
        raw=joined(lambda fold: fold.probs),
        temperature=joined(lambda fold: by_fold[id(fold)](fold.probs)),
        beta=joined(
            lambda fold: fit_beta_calibration(fold.validation_probs, fold.validation_labels)(
                fold.probs
            )
        ),
        temperatures=tuple(scaling.temperature for scaling in scalings),
        sets=tuple(
            joined(
                lambda fold, rate=rate: (
                    label_sets[id(fold)].predict(by_fold[id(fold)](fold.probs), rate).astype(float)
                )
            )
            > 0
            for rate in ERROR_RATES
        ),
    )


def calibrated_runs(scored: ScoredSplit, line: Line) -> tuple[CalibratedRun, ...]:
    """All seeds of a line; none where it has no answers for validation compounds."""
    runs = scored.results.lines[line].values()
    if any(not len(fold.validation_labels) for folds in runs for fold in folds):
        return ()
    return tuple(calibrate_run(scored, folds) for folds in runs)


def confidence_section(scored: ScoredSplit) -> Section | None:
    """Calibration of every clean line, label sets, and curves of the featured ones."""
    runs = {line: calibrated_runs(scored, line) for line in scored.clean}
    runs = {line: some for line, some in runs.items() if some}
    if not runs:
        return None
    labels = scored.results.labels
    featured = [line for line in scored.featured() if line in runs]
    return Section(
        title=f"{scored.results.name}: confidence",
        text=(
            "Temperature and beta calibration and the label sets are fitted to the validation "
            "compounds of each fold. Calibration errors are those of the most probable MoA, in "
            "15 bins of equal width. Answers are given in the order of the calibrated "
            "probability of the most probable MoA."
        ),
        parts=(
            _calibration_table(runs, labels),
            _selective_table(runs, labels),
            _risk_chart(runs, featured, labels),
            _reliability_chart(runs, featured, labels, "raw"),
            _reliability_chart(runs, featured, labels, "temperature"),
        ),
    )


def _mean(runs: Sequence[CalibratedRun], measure: Callable[[CalibratedRun], float]) -> float:
    return float(np.mean([measure(run) for run in runs]))


def _calibration_table(runs: dict[Line, tuple[CalibratedRun, ...]], labels: Pooled) -> Table:
    rows = [
        (
            line.name,
            _mean(some, lambda run: float(np.mean(run.temperatures))),
            *(
                _mean(
                    some,
                    lambda run, kind=kind, measure=measure: measure(getattr(run, kind), labels),
                )
                for measure in (top_label_ece, log_loss, brier)
                for kind in ("raw", "temperature", "beta")
            ),
        )
        for line, some in runs.items()
    ]
    kinds = ("raw", "temperature", "beta")
    names = [f"{measure} {kind}" for measure in ("ECE", "log loss", "Brier") for kind in kinds]
    return Table(("method", "temperature", *names), rows, caption="Calibration.")


def _selective_table(runs: dict[Line, tuple[CalibratedRun, ...]], labels: Pooled) -> Table:
    columns = [f"accuracy at {100 * coverage:g} %" for coverage in COVERAGES]
    for rate in ERROR_RATES:
        columns += [f"{100 * (1 - rate):g} % sets: coverage", "size"]
    rows = []
    for line, some in runs.items():
        row: list[str | float] = [
            line.name,
            _mean(some, lambda run: aurc(*top_answers(run.temperature, labels))),
        ]
        row += [
            _mean(
                some,
                lambda run, coverage=coverage: accuracy_at_coverage(
                    *top_answers(run.temperature, labels), coverage
                ),
            )
            for coverage in COVERAGES
        ]
        for place in range(len(ERROR_RATES)):
            for name in ("coverage", "mean_size"):
                row.append(
                    _mean(
                        some,
                        lambda run, place=place, name=name: set_quality(run.sets[place], labels)[
                            name
                        ],
                    )
                )
        rows.append(row)
    return Table(
        ("method", "AURC", *columns),
        rows,
        caption=(
            "Selective answers and label sets (a set covers a compound when it holds all of its "
            "MoAs)."
        ),
    )


def _risk_chart(
    runs: dict[Line, tuple[CalibratedRun, ...]], lines: Sequence[Line], labels: Pooled
) -> LineChart:
    series = []
    for line in lines:
        coverage, risk = risk_coverage_curve(*top_answers(runs[line][0].temperature, labels))
        series.append(Series(line.name, coverage, risk))
    return LineChart(
        series,
        x_label="coverage",
        y_label="share of wrong answers",
        caption="Risk-coverage curves: the best line of each family.",
        x_range=(0, 1),
    )


def _reliability_chart(
    runs: dict[Line, tuple[CalibratedRun, ...]], lines: Sequence[Line], labels: Pooled, kind: str
) -> LineChart:
    series = []
    for line in lines:
        curve = reliability_curve(*top_answers(getattr(runs[line][0], kind), labels))
        series.append(
            Series(line.name, curve["confidence"].to_numpy(), curve["accuracy"].to_numpy())
        )
    return LineChart(
        series,
        x_label="stated probability",
        y_label="share of right answers",
        caption=f"Reliability: {'as answered' if kind == 'raw' else 'after temperature scaling'}.",
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal=True,
    )
