"""Calibration, label sets and selective prediction of each method.

Calibration is fitted to the validation predictions of a fold, by a model that was not trained on
the validation compounds, and applied to the test compounds of the same fold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.benchmark.collect import Fold, Line, SplitResults
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.calibration.conformal_sets import calibrate_label_sets, set_quality
from moa_jax.calibration.probability_calibration import (
    fit_beta_calibration,
    fit_temperature,
    reliability_curve,
    top_answers,
    top_label_ece,
)
from moa_jax.evaluation.metrics import brier, log_loss
from moa_jax.evaluation.risk_coverage import (
    COVERAGES,
    accuracy_at_coverage,
    aurc,
    risk_coverage_curve,
)
from moa_jax.report.parts import LineChart, Section, Series, Table

# Shares of compounds whose label set may miss one of their MoAs.
ERROR_RATES = (0.1, 0.2)

UNCALIBRATED = "uncalibrated"
TEMPERATURE_SCALED = "temperature-scaled"
BETA_CALIBRATED = "beta-calibrated"

Pooled = Float[np.ndarray, "compound moa"]


@dataclasses.dataclass(frozen=True)
class CalibratedLine:
    """One seed of a method, calibrated fold by fold on the validation compounds.

    Attributes:
      probs: `UNCALIBRATED`, `TEMPERATURE_SCALED` and `BETA_CALIBRATED` probabilities.
      temperatures: the temperature of each fold.
      label_sets: the label sets at each of `ERROR_RATES`.
    """

    probs: Mapping[str, Pooled]
    temperatures: tuple[float, ...]
    label_sets: tuple[Bool[np.ndarray, "compound moa"], ...]


Runs = Mapping[Line, tuple[CalibratedLine, ...]]


def calibrate_line(results: SplitResults, folds: Sequence[Fold]) -> CalibratedLine:
    """Calibrates one seed of a method.

    A compound in several test parts gets the mean of its probabilities and the union of its label
    sets.
    """
    validation = [(fold.validation_probs, fold.validation_labels) for fold in folds]
    scalings = [fit_temperature(probs, labels) for probs, labels in validation]
    betas = [fit_beta_calibration(probs, labels) for probs, labels in validation]
    scaled = [scaling(fold.probs) for scaling, fold in zip(scalings, folds, strict=True)]
    predictors = [
        calibrate_label_sets(scaling(probs), labels)
        for scaling, (probs, labels) in zip(scalings, validation, strict=True)
    ]
    by_fold = {
        UNCALIBRATED: [fold.probs for fold in folds],
        TEMPERATURE_SCALED: scaled,
        BETA_CALIBRATED: [beta(fold.probs) for beta, fold in zip(betas, folds, strict=True)],
    }
    return CalibratedLine(
        probs={kind: results.joined(probs, folds) for kind, probs in by_fold.items()},
        temperatures=tuple(scaling.temperature for scaling in scalings),
        label_sets=tuple(
            results.joined(
                [
                    predictor.predict(probs, rate).astype(float)
                    for predictor, probs in zip(predictors, scaled, strict=True)
                ],
                folds,
            )
            > 0
            for rate in ERROR_RATES
        ),
    )


def calibrated_lines(results: SplitResults, line: Line) -> tuple[CalibratedLine, ...]:
    """All seeds of a method; none where it has no validation predictions."""
    runs = results.lines[line].values()
    if any(not len(fold.validation_labels) for folds in runs for fold in folds):
        return ()
    return tuple(calibrate_line(results, folds) for folds in runs)


def confidence_section(scored: ScoredSplit) -> Section | None:
    """Calibration and selective accuracy of all methods, and curves of the featured ones."""
    calibrated = {line: calibrated_lines(scored.results, line) for line in scored.clean}
    runs = {line: some for line, some in calibrated.items() if some}
    if not runs:
        return None
    labels = scored.results.labels
    featured = {line: runs[line][0] for line in scored.featured() if line in runs}
    return Section(
        title=f"{scored.results.name}: calibration",
        text=(
            "Temperature scaling, beta calibration and the conformal label sets are fitted to "
            "the validation compounds of each fold. The expected calibration error (ECE) is that "
            "of the top prediction, in 15 bins of equal width. Selective predictions are ranked "
            "by the temperature-scaled probability of the top prediction. Means over seeds."
        ),
        parts=(
            _calibration_table(runs, labels),
            _selective_table(runs, labels),
            _risk_chart(featured, labels),
            _reliability_chart(featured, labels, UNCALIBRATED),
            _reliability_chart(featured, labels, TEMPERATURE_SCALED),
        ),
    )


def _calibration_table(runs: Runs, labels: Pooled) -> Table:
    kinds = (UNCALIBRATED, TEMPERATURE_SCALED, BETA_CALIBRATED)
    measures = {"ECE": top_label_ece, "log loss": log_loss, "Brier score": brier}
    rows = []
    for line, some in runs.items():
        errors = [
            float(np.mean([measure(run.probs[kind], labels) for run in some]))
            for measure in measures.values()
            for kind in kinds
        ]
        temperature = float(np.mean([run.temperatures for run in some]))
        rows.append((line.name, temperature, *errors))
    return Table(
        ("method", "temperature", *(f"{name}, {kind}" for name in measures for kind in kinds)),
        rows,
        caption="Calibration errors, and the mean temperature over folds.",
    )


def _selective_table(runs: Runs, labels: Pooled) -> Table:
    columns = ["method", "AURC"]
    columns += [f"accuracy at {100 * coverage:g} % coverage" for coverage in COVERAGES]
    for rate in ERROR_RATES:
        sets = f"{100 * (1 - rate):g} % label sets"
        columns += [f"coverage of {sets}", f"mean size of {sets}"]
    rows = []
    for line, some in runs.items():
        top = [top_answers(run.probs[TEMPERATURE_SCALED], labels) for run in some]
        quality = [[set_quality(sets, labels) for sets in run.label_sets] for run in some]
        row = [line.name, float(np.mean([aurc(*answers) for answers in top]))]
        row += [
            float(np.mean([accuracy_at_coverage(*answers, coverage) for answers in top]))
            for coverage in COVERAGES
        ]
        row += [
            float(np.mean([of_run[place][name] for of_run in quality]))
            for place in range(len(ERROR_RATES))
            for name in ("coverage", "mean_size")
        ]
        rows.append(row)
    return Table(
        columns,
        rows,
        caption=(
            "Selective prediction: area under the risk-coverage curve (AURC) and accuracy of the "
            "most confident predictions. Conformal label sets: a set covers a compound if it "
            "contains all of its MoAs."
        ),
    )


def _risk_chart(runs: Mapping[Line, CalibratedLine], labels: Pooled) -> LineChart:
    series = []
    for line, run in runs.items():
        coverage, risk = risk_coverage_curve(*top_answers(run.probs[TEMPERATURE_SCALED], labels))
        series.append(Series(line.name, coverage, risk))
    return LineChart(
        series,
        x_label="coverage",
        y_label="selective risk",
        caption=(
            "Risk-coverage curves of the best method of each family (first seed): error rate "
            "among the most confident predictions."
        ),
        x_range=(0, 1),
    )


def _reliability_chart(runs: Mapping[Line, CalibratedLine], labels: Pooled, kind: str) -> LineChart:
    series = []
    for line, run in runs.items():
        curve = reliability_curve(*top_answers(run.probs[kind], labels))
        series.append(
            Series(line.name, curve["confidence"].to_numpy(), curve["accuracy"].to_numpy())
        )
    return LineChart(
        series,
        x_label="mean confidence",
        y_label="accuracy",
        caption=f"Reliability diagram, {kind} probabilities (first seed).",
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal=True,
    )
