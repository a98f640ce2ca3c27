"""Scores methods side by side on the same folds: out-of-fold predictions, pooled per compound.

    python -m moa_jax.evaluate --config=configs/main_result.py --workdir=runs/main_result

fits every method of `config.methods` once per fold of the prepared folder `config.data` (the
embedded simulated release where that is empty) and writes `metrics.json`, `per_moa.csv`,
`compound_predictions.csv`, `table.md` and the folds' manifests into the workdir. Fusion models
keep their runs there too: an evaluation that was stopped goes on with the fold it was in.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence

import ml_collections

from moa_jax import command_line
from moa_jax.baselines.cross_validation import out_of_fold_probs
from moa_jax.baselines.fusion import Fusion
from moa_jax.baselines.interface import Method
from moa_jax.baselines.registry import METHODS, make_method
from moa_jax.data.embedded import open_dataset
from moa_jax.data.examples import build_examples
from moa_jax.data.splits import compound_split, write_split
from moa_jax.evaluation.tables import Results, pool_results, results_markdown, write_results
from moa_jax.files import atomic_path
from moa_jax.schemas import InputError
from moa_jax.training.predictor import VIEWS

OPTIONS = (command_line.Option("workdir", "folder of the evaluation", "runs/main_result"),)


def evaluate(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Results:
    """Out-of-fold results of every method of a configuration.

    Args:
      config: see `configs/main_result.py`.
      workdir: folder of the evaluation.

    Returns:
      Pooled predictions of every method.

    Raises:
      InputError: the configuration or the data cannot be used, or a compound is on two sides.
    """
    makers = method_makers(config, workdir)
    dataset = open_dataset(config.data)
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    split = config.split.to_dict()
    for fold in range(config.split.num_folds):
        manifest = compound_split(examples, fold=fold, **split)
        write_split(workdir / "splits" / f"fold_{fold}.json", manifest)
    probs = {
        name: out_of_fold_probs(
            method_of, examples, dataset.graph, method_seed=config.seed, **split
        )
        for name, method_of in makers.items()
    }
    return pool_results(probs, examples, dataset.manifest["release"])


def method_makers(
    config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, Callable[[int], Method]]:
    """For every method of a configuration a function from fold to method.

    Raises:
      InputError: there is no such method, or the fusion configuration cannot be read.
    """
    views = {Fusion.name_of(view): view for view in VIEWS}
    unknown = [name for name in config.methods if name not in {*views, *METHODS}]
    if unknown:
        known = ", ".join([*views, *METHODS])
        raise InputError(f"there is no method {unknown[0]!r}; the methods are {known}.")
    makers: dict[str, Callable[[int], Method]] = {}
    fusion = command_line.load_config(config.fusion) if views.keys() & set(config.methods) else None
    # One model per fold, whatever views of it are asked for.
    models: dict[int, Fusion] = {}
    for name in config.methods:
        if name in views:
            makers[name] = lambda fold, view=views[name]: models.setdefault(
                fold, Fusion(fusion, workdir / "fusion" / f"fold_{fold}")
            ).seen_as(view)
        else:
            makers[name] = lambda fold, name=name: make_method(name)
    return makers


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Evaluates, writes and prints.

    Raises:
      InputError: something the user gave cannot be used.
    """
    folder = pathlib.Path(workdir)
    results = evaluate(config, folder)
    write_results(folder, results)
    table = results_markdown(results)
    with atomic_path(folder / results.file_name("table.md")) as temporary:
        temporary.write_text(table + "\n")
    print(f"\n{table}\n\nthe evaluation: {folder}  (metrics, per MoA, predictions, splits)")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
