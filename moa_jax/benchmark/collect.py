"""Out-of-fold predictions of each method, one row per compound, from the files of the cells."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.cell_files import read_answers
from moa_jax.benchmark.grid import cell_path
from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.benchmark.plan import CLEAN_TEST, CLEAN_TRAINING, Cell, SplitKey
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the tables: a method, a training perturbation and an input perturbation."""

    method: str
    training: TrainingPerturbation = CLEAN_TRAINING
    structure_only_compounds: bool = False
    test: InputPerturbation = CLEAN_TEST

    @property
    def name(self) -> str:
        """The method and the perturbations that are not clean."""
        special = ["structure-only compounds"] if self.structure_only_compounds else []
        special += [self.training.name] if self.training != CLEAN_TRAINING else []
        special += [f"tested on {self.test.name}"] if self.test != CLEAN_TEST else []
        return self.method + (f" ({', '.join(special)})" if special else "")


@dataclasses.dataclass(frozen=True)
class Fold:
    """Predictions of one model for one fold, pooled by compound.

    Attributes:
      rows: rows of the test examples among all tested examples.
      example_probs: probabilities of the test examples.
      probs: probabilities of the test compounds.
      compounds: rows of these compounds in `SplitResults.compounds`.
      validation_probs: probabilities of the validation compounds by a model that was not trained
        on them.
      validation_labels: their MoAs.
      report: how the settings were chosen.
      fit_s: seconds of training.
    """

    rows: Int[np.ndarray, " test"]
    example_probs: Float[np.ndarray, "test moa"]
    probs: Float[np.ndarray, "compound moa"]
    compounds: Int[np.ndarray, " compound"]
    validation_probs: Float[np.ndarray, "validation moa"]
    validation_labels: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]
    fit_s: float


@dataclasses.dataclass(frozen=True)
class SplitResults:
    """All predictions for one split rule and one seed of its folds.

    Attributes:
      name: name of the rule with its seed and, if there is one, of the test release.
      keys: the partitions of the data, one per fold; none for external predictions.
      tested: the examples from which the test parts are taken.
      compounds: the test compound groups, sorted.
      labels: their MoAs.
      trained_moas: for each fold, the MoAs of its training and validation compounds.
      lines: line -> seed -> folds, in their order.
    """

    name: str
    keys: tuple[SplitKey, ...]
    tested: Examples
    compounds: tuple[str, ...]
    labels: Float[np.ndarray, "compound moa"]
    trained_moas: tuple[Bool[np.ndarray, " moa"], ...]
    lines: Mapping[Line, Mapping[int, tuple[Fold, ...]]]

    @property
    def moas(self) -> tuple[str, ...]:
        """The vocabulary: the columns of all probabilities."""
        return self.tested.moas

    def probs(self, line: Line) -> tuple[Float[np.ndarray, "compound moa"], ...]:
        """Out-of-fold probabilities of a line for all compounds, one array per seed.

        A compound in several test parts gets the mean of its probabilities.
        """
        return tuple(
            self.joined([fold.probs for fold in folds], folds)
            for folds in self.lines[line].values()
        )

    def joined(
        self, answers: Sequence[Float[np.ndarray, "_ moa"]], folds: Sequence[Fold]
    ) -> Float[np.ndarray, "all_compounds moa"]:
        """Values per fold in the order of `compounds`; the mean over folds of each compound."""
        total = np.zeros(self.labels.shape)
        count = np.zeros(len(self.compounds))
        for values, fold in zip(answers, folds, strict=True):
            total[fold.compounds] += values
            count[fold.compounds] += 1
        return total / count[:, None]


def collect(
    cells: Sequence[Cell], benchmark_data: BenchmarkData, workdir: pathlib.Path
) -> tuple[SplitResults, ...]:
    """Reads the cells, in the order of the plan, one result per rule, release and seed."""
    by_split: dict[str, list[Cell]] = {}
    for cell in cells:
        by_split.setdefault(cell.split.name, []).append(cell)
    return tuple(_collect_split(some, benchmark_data, workdir) for some in by_split.values())


def _collect_split(
    cells: Sequence[Cell], benchmark_data: BenchmarkData, workdir: pathlib.Path
) -> SplitResults:
    keys = sorted({cell.split for cell in cells}, key=lambda key: key.fold)
    tested = benchmark_data.tested(keys[0].test_data)
    parts = {key: benchmark_data.parts(key, structure_only_compounds=False) for key in keys}
    groups = sorted({group for part in parts.values() for group in part.test.groups})
    place = {group: row for row, group in enumerate(groups)}
    labels = np.zeros((len(groups), len(tested.moas)))
    for part in parts.values():
        np.maximum.at(labels, [place[group] for group in part.test.groups], part.test.labels)
    lines: dict[Line, dict[int, dict[int, Fold]]] = {}
    for cell in cells:
        answers = read_answers(cell_path(workdir, cell))
        validation = parts[cell.split].validation
        validation_rows = _rows_of(answers.validation_ids, validation)
        rows = _rows_of(answers.test_ids, tested)
        for test in cell.tests:
            line = Line(cell.method, cell.training, cell.structure_only_compounds, test)
            by_seed = lines.setdefault(line, {})
            by_seed.setdefault(cell.seed, {})[cell.split.fold] = pooled_fold(
                tested,
                rows,
                answers.probs[test.name],
                place,
                validation=validation.take(validation_rows),
                validation_probs=answers.validation_probs,
                report=answers.report,
                fit_s=answers.fit_s,
            )
    return SplitResults(
        name=keys[0].name,
        keys=tuple(keys),
        tested=tested,
        compounds=tuple(groups),
        labels=labels,
        trained_moas=tuple(
            part.train.labels.any(axis=0) | part.validation.labels.any(axis=0)
            for part in parts.values()
        ),
        lines={
            line: {
                seed: tuple(folds[key.fold] for key in keys)
                for seed, folds in sorted(by_seed.items())
            }
            for line, by_seed in lines.items()
        },
    )


def _rows_of(sig_ids: Sequence[str], examples: Examples) -> Int[np.ndarray, " signature"]:
    """Rows of the examples with these `sig_id`."""
    row_of = {sig_id: row for row, sig_id in enumerate(examples.table["sig_id"])}
    return np.array([row_of[sig_id] for sig_id in sig_ids], dtype=np.int64)


def pooled_fold(
    tested: Examples,
    rows: Int[np.ndarray, " test"],
    example_probs: Float[np.ndarray, "test moa"],
    place: Mapping[str, int],
    *,
    validation: Examples | None = None,
    validation_probs: Float[np.ndarray, "validation moa"] | None = None,
    report: Mapping[str, Any] | None = None,
    fit_s: float = 0.0,
) -> Fold:
    """Pools a model's probabilities by compound.

    Args:
      tested: the examples from which the test parts are taken.
      rows: rows of the test examples among them.
      example_probs: probabilities of the test examples.
      place: compound group -> row in `SplitResults.compounds`.
      validation: validation examples; None where there are no predictions for them.
      validation_probs: probabilities of the validation examples.
      report: how the settings were chosen.
      fit_s: seconds of training.
    """
    test_groups = [tested.groups[row] for row in rows]
    probs, _, compounds = pool_by_compound(example_probs, tested.labels[rows], test_groups)
    if validation is None or validation_probs is None:
        validation, validation_probs = tested.take(rows[:0]), example_probs[:0]
    pooled_validation, validation_labels, _ = pool_by_compound(
        validation_probs, validation.labels, validation.groups
    )
    return Fold(
        rows=rows,
        example_probs=example_probs,
        probs=probs,
        compounds=np.array([place[group] for group in compounds], dtype=np.int64),
        validation_probs=pooled_validation,
        validation_labels=validation_labels,
        report=report or {},
        fit_s=fit_s,
    )
