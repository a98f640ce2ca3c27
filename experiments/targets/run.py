r"""Targets of measured compounds that were held out: what STRING and GO add, and what ligands do.

    python -m experiments.targets.run --config=configs/kernels.py --config.data=data/lincs2020 \
        --workdir=runs/targets [--seeds=0,1,2] [--folds=0,1,2,3,4] [--ligands=without,with]

Every fold is fitted once, with and without ligand tables, and answered by each graph. Folds that
are finished in the workdir are not fitted again; the tables are of all folds that are.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Sequence

import ml_collections

from experiments.targets.folds import answer_fold, kernels_of, read_fold, write_fold
from experiments.targets.tables import Arm, tables
from moa_jax import command_line
from moa_jax.command_line import Option
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.splits.partition import examples_of
from moa_jax.files import write_text
from moa_jax.progress import say
from moa_jax.schemas import InputError

WITHOUT, WITH = "without", "with"
TABLES_FILE = "tables.md"
OPTIONS = (
    Option("workdir", "folder of the answers and tables", required=True),
    Option("seeds", "seeds of the splits", "0,1,2"),
    Option("folds", "folds of each split", "0,1,2,3,4"),
    Option("ligands", "with or without the ligand tables, or both", f"{WITHOUT},{WITH}"),
)


def main(
    config: ml_collections.ConfigDict, workdir: str, seeds: str, folds: str, ligands: str
) -> None:
    """Fits the folds that are not finished, writes the tables and prints them.

    Raises:
      InputError: an option or the data cannot be used.
    """
    chosen = ligands.split(",")
    for name in chosen:
        if name not in (WITHOUT, WITH):
            raise InputError(f"--ligands={ligands}: expected {WITHOUT}, {WITH} or both.")
    dataset = open_dataset(config.data)
    examples, folder = examples_of(config, dataset), pathlib.Path(workdir)
    config.num_devices = 1
    for seed in _numbers("seeds", seeds):
        kernels = None
        for fold in _numbers("folds", folds):
            for name in chosen:
                path = folder / name / f"split{seed}_fold{fold}.npz"
                if path.exists():
                    continue
                kernels = kernels or kernels_of(config.proteins, dataset.graph, seed=seed)
                config.split.seed, config.split.fold = seed, fold
                config.ligands, start = name == WITH, time.monotonic()
                write_fold(path, answer_fold(config, dataset, examples, kernels))
                say(f"{name} ligands, split {seed}, fold {fold}: {time.monotonic() - start:.0f} s")
    arms = [
        Arm(f"{name} ligands", {path.stem: read_fold(path) for path in paths})
        for name in (WITHOUT, WITH)
        if (paths := sorted((folder / name).glob("split*_fold*.npz")))
    ]
    text = f"Release: {dataset.manifest['release']}\n\n{tables(arms)}\n"
    write_text(folder / TABLES_FILE, text)
    print(text)


def _numbers(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{name}={text}: expected whole numbers, separated by commas.") from None


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
