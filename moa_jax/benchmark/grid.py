"""Runs the cells of a benchmark in parallel processes; finished cells are not run again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import ml_collections

from moa_jax.baselines.fusion import Fusion
from moa_jax.baselines.interface import Method
from moa_jax.baselines.registry import make_method
from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.cell_files import Answers, perturbations_in, write_answers
from moa_jax.benchmark.perturbations.input_perturbations import perturb
from moa_jax.benchmark.perturbations.training_perturbations import perturb_training
from moa_jax.benchmark.plan import FUSION_VIEWS, Cell
from moa_jax.files import read_json, write_json
from moa_jax.progress import say, track
from moa_jax.training.runs.run_fingerprint import refuse_other_config

# Cells that share one trained model.
Job = tuple[Cell, ...]

_CELLS = "cells"
_MODELS = "models"


def cell_path(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Path of the file with the predictions of a cell."""
    return workdir / _CELLS / cell.path


def run_grid(
    config: ml_collections.ConfigDict,
    fusion: ml_collections.ConfigDict,
    cells: Sequence[Cell],
    workdir: pathlib.Path,
) -> BenchmarkData:
    """Runs every cell that is not finished: its file is missing or lacks a input perturbation.

    Args:
      config: see `configs/benchmark.py`.
      fusion: configuration of the fusion model; see `configs/fusion.py`.
      cells: the cells of the benchmark.
      workdir: folder of the benchmark.

    Returns:
      The data of the benchmark.

    Raises:
      InputError: the configuration or the data cannot be used, or the folder holds a benchmark
        with other data or settings.
    """
    benchmark_data = BenchmarkData(config, workdir)
    _start(config, fusion, cells, benchmark_data, workdir)
    benchmark_data.make_splits(cell.split for cell in cells)
    by_model: dict[object, list[Cell]] = {}
    for cell in cells:
        if not _is_done(workdir, cell):
            by_model.setdefault(cell.model, []).append(cell)
    jobs = [tuple(job) for job in by_model.values()]
    num_cells = sum(map(len, jobs))
    say(f"{len(cells)} cells, {len(cells) - num_cells} of them already finished")
    with _workers(config, fusion, workdir, benchmark_data, num_jobs=len(jobs)) as finished:
        for _ in track(finished(jobs), "cells", total=len(jobs)):
            pass
    return benchmark_data


def _is_done(workdir: pathlib.Path, cell: Cell) -> bool:
    return {test.name for test in cell.tests} <= perturbations_in(cell_path(workdir, cell))


def _start(
    config: ml_collections.ConfigDict,
    fusion: ml_collections.ConfigDict,
    cells: Sequence[Cell],
    benchmark_data: BenchmarkData,
    workdir: pathlib.Path,
) -> None:
    """Stores the settings that determine all predictions, or compares them with the stored ones."""
    settings = {
        "vocabulary": config.vocabulary,
        "min_compounds": config.min_compounds,
        "split": config.split.to_dict(),
        "data": benchmark_data.dataset.manifest,
    }
    if any(cell.method in FUSION_VIEWS for cell in cells):
        settings["fusion"] = fusion.to_dict()
    path = workdir / "benchmark.json"
    if path.exists():
        stored = read_json(path)
        common = stored.keys() & settings.keys()
        current = json.loads(json.dumps({key: settings[key] for key in common}))
        refuse_other_config({key: stored[key] for key in common}, current, workdir)
        settings = {**stored, **settings}
    write_json(path, settings)


class _Worker:
    """The data and settings with which a process runs jobs."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        fusion: ml_collections.ConfigDict,
        workdir: pathlib.Path,
        benchmark_data: BenchmarkData,
    ) -> None:
        self._config = config
        self._fusion = fusion
        self._workdir = workdir
        self._data = benchmark_data

    def run(self, job: Job) -> None:
        """Trains the model of a job and writes the predictions of each of its cells."""
        first = job[0]
        parts = self._data.parts(
            first.split, structure_only_compounds=first.structure_only_compounds
        )
        train, validation, graph = perturb_training(
            first.training,
            parts.train,
            parts.validation,
            self._data.dataset.graph,
            seed=first.seed,
        )
        genes = self._data.dataset.signatures.genes
        tested = perturb(first.training.tested_under, parts.test, genes, seed=first.seed)
        folder = self._workdir / _MODELS / first.folder / f"{first.trained_as}_seed{first.seed}"
        start = time.monotonic()
        model = self._method(first, folder).fit(train, validation, graph, seed=first.seed)
        fit_s = time.monotonic() - start
        for cell in job:
            fitted = model
            if cell.method in FUSION_VIEWS:
                fitted = model.with_view(FUSION_VIEWS[cell.method])
            probs = {
                test.name: fitted.predict(perturb(test, tested, genes, seed=cell.seed))
                for test in cell.tests
            }
            answers = Answers(
                test_ids=tuple(parts.test.table["sig_id"]),
                probs=probs,
                validation_ids=tuple(validation.table["sig_id"]),
                validation_probs=fitted.validation_probs,
                report=fitted.report,
                fit_s=fit_s,
            )
            write_answers(cell_path(self._workdir, cell), answers)
        if not self._config.keep_models:
            shutil.rmtree(folder, ignore_errors=True)

    def _method(self, cell: Cell, folder: pathlib.Path) -> Method:
        """The method of a cell; the fusion model for each of its views."""
        if cell.method not in FUSION_VIEWS:
            return make_method(cell.method, folder)
        unlabelled = self._data.unlabelled(
            cell.split, self._fusion, structure_only_compounds=cell.structure_only_compounds
        )
        return Fusion(self._fusion, folder, unlabelled)


_worker: _Worker


def _start_worker(
    config: ml_collections.ConfigDict, fusion: ml_collections.ConfigDict, workdir: pathlib.Path
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A global, since a job that is sent to the process has no other way to find its worker.
    global _worker  # noqa: PLW0603
    _worker = _Worker(config, fusion, workdir, BenchmarkData(config, workdir))


def _end_with_parent() -> None:
    """Ends this process when its parent is killed and cannot shut it down."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: Job) -> None:
    _worker.run(job)


@contextlib.contextmanager
def _workers(
    config: ml_collections.ConfigDict,
    fusion: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    benchmark_data: BenchmarkData,
    *,
    num_jobs: int,
) -> Iterator[Callable[[Sequence[Job]], Iterator[None]]]:
    """Yields a function that runs jobs and yields once for each finished job."""
    num_processes = min(config.num_processes, num_jobs)
    if num_processes <= 1:
        worker = _Worker(config, fusion, workdir, benchmark_data)
        yield lambda jobs: map(worker.run, jobs)
        return
    # A process that is forked after JAX has started can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(config, fusion, workdir),
    ) as pool:

        def finished(jobs: Sequence[Job]) -> Iterator[None]:
            futures = [pool.submit(_work, job) for job in jobs]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()

        try:
            yield finished
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
