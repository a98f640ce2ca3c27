r"""Whether training lets false interactions planted into STRING fade more than true ones.

    python -m experiments.explanation_audit.planted --config=configs/fusion.py \
        --config.data=data/lincs2020 --workdir=runs/planted [--share=0.1]

plants false interactions into the graph, trains fold 0 of the model on it (kept in the workdir and
not trained again), and compares the trained factors of planted and true interactions
(`moa_jax.models.encoders.evidence`). Prints the table and writes it to tables.md.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time
from collections.abc import Sequence

import ml_collections
import numpy as np

from experiments.explanation_audit.folds import trained_run
from experiments.explanation_audit.planting import (
    factor_rows,
    pair_factors,
    plant_interactions,
    undirected,
)
from moa_jax import command_line
from moa_jax.command_line import Option
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.files import write_text
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.predictions.result_tables import file_name, markdown_table
from moa_jax.schemas import InputError
from moa_jax.training.runs.run_folder import open_run

OPTIONS = (
    Option("workdir", "folder of the planted data, the run and the table", required=True),
    Option("share", "false interactions, as a share of the true ones", "0.1"),
    Option("seed", "seed of the false interactions", "0"),
)


def main(config: ml_collections.ConfigDict, workdir: str, share: str, seed: str) -> None:
    """Plants, trains, compares, writes and prints.

    Raises:
      InputError: an option or the data cannot be used, or the model has no protein network.
    """
    start = time.perf_counter(), time.process_time()
    if PROTEIN_NETWORK not in config.model.experts:
        raise InputError(
            f"config.model.experts lacks {PROTEIN_NETWORK}, whose factors are compared; use "
            "--config=configs/fusion.py."
        )
    dataset, folder = open_dataset(config.data), pathlib.Path(workdir)
    number, planted = int(_number("seed", seed)), folder / "planted"
    if not planted.is_dir():
        graph = plant_interactions(dataset.graph, share=_number("share", share), seed=number)
        write_prepared(planted, dataclasses.replace(dataset, graph=graph))
    config.data = str(planted)
    run = open_run(trained_run(config, folder / "runs", fold=0, seed=0), num_devices=1)
    factors = pair_factors(run.predictor, run.graph, dataset.graph, seed=number)
    degree = np.bincount(undirected(dataset.graph.interacts)[0].ravel())
    ends = [
        degree[factors.pairs[kind]].mean() for kind in (~factors.is_planted, factors.is_planted)
    ]
    release = dataset.manifest["release"]
    text = (
        f"# Release: {release}\n\n{markdown_table(factor_rows(factors, seed=number))}\n\n"
        f"Mean degree of the ends of true and planted interactions: {ends[0]:.0f} and "
        f"{ends[1]:.0f}. Fold 0, seed {number}; {time.perf_counter() - start[0]:.0f} s of "
        f"wall-clock time, {time.process_time() - start[1]:.0f} s of CPU time.\n"
    )
    write_text(folder / file_name("tables.md", release), text)
    print(text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{name}={text}: expected a number.") from None


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
