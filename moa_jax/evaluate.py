"""Compares methods on the same leak-free splits.

    python -m moa_jax.evaluate --config=configs/main_result.py --workdir=runs/main_result

trains every method of the configuration once per split, fold, seed and training perturbation on
the prepared folder `config.data` (the simulated release if it is empty), and writes tables, an
HTML report and the splits' manifests into the workdir. An interrupted evaluation is resumed; cells
that are finished are not run again.

    python -m moa_jax.evaluate --config=configs/benchmark.py \
        --predictions=mine.csv --splits=runs/benchmark/splits/compound_seed0

scores another program's predictions for the test parts of split manifests.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

import ml_collections

from moa_jax import command_line
from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.collect import SplitResults, collect
from moa_jax.benchmark.external_predictions import (
    external_results,
    read_manifests,
    read_predictions,
)
from moa_jax.benchmark.grid import run_grid
from moa_jax.benchmark.outputs import write_outputs
from moa_jax.benchmark.plan import plan
from moa_jax.benchmark.scored_split import score_split
from moa_jax.schemas import InputError

OPTIONS = (
    command_line.Option("workdir", "folder of the evaluation", "runs/benchmark"),
    command_line.Option(
        "predictions", "CSV file of another program's predictions to score instead"
    ),
    command_line.Option("splits", "split manifest of the predictions, or a folder of manifests"),
)


def evaluate(
    config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[BenchmarkData, tuple[SplitResults, ...]]:
    """Runs a benchmark and collects its predictions.

    Args:
      config: see `configs/benchmark.py`.
      workdir: folder of the benchmark.

    Raises:
      InputError: the configuration or the data cannot be used, or a split leaks.
    """
    cells = plan(config)
    benchmark_data = run_grid(config, command_line.load_config(config.fusion), cells, workdir)
    return benchmark_data, collect(cells, benchmark_data, workdir)


def score_predictions(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, predictions: str, splits: str
) -> tuple[BenchmarkData, tuple[SplitResults, ...]]:
    """Scores a file of predictions, with the prevalence in the training parts as a baseline.

    Raises:
      InputError: the file or a manifest cannot be used, or does not fit the data.
    """
    if not splits:
        raise InputError(
            "--predictions needs --splits: the split manifest of the predictions, or a folder."
        )
    benchmark_data = BenchmarkData(config, workdir)
    examples = benchmark_data.examples
    manifests = read_manifests(pathlib.Path(splits), examples)
    found = read_predictions(pathlib.Path(predictions), examples.moas)
    return benchmark_data, (external_results(found, manifests, examples),)


def main(config: ml_collections.ConfigDict, workdir: str, predictions: str, splits: str) -> None:
    """Runs the evaluation, writes its outputs and prints the main tables."""
    folder = pathlib.Path(workdir)
    if splits and not predictions:
        raise InputError("--splits goes with --predictions; give both or neither.")
    benchmark_data, results = (
        score_predictions(config, folder, predictions, splits)
        if predictions
        else evaluate(config, folder)
    )
    scored = [score_split(some, config.statistics) for some in results]
    table = write_outputs(folder, scored, benchmark_data)
    print(f"\n{table}\n\nevaluation written to {folder}  (report, tables, predictions, splits)")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
