"""What the encoders learn from pretraining without labels, and whether the networks gain from it.

    python -m experiments.pretraining.run --data=data/lincs2020 --part=warm_start

Parts: `warm_start` (validation macro AUPRC with and without pretraining), `response` (signatures of
unseen compounds), `links` (held-out edges) and `augmentation` (for a release with replicate
correlations). Finished cells are kept in `--out` and not computed again.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
import pandas as pd

from configs import pretraining
from experiments.pretraining.links import link_rows
from experiments.pretraining.response import augmentation_rows, response_rows
from moa_jax.data.examples.build import build_examples
from moa_jax.data.splits.partition import partition_examples
from moa_jax.data.splits.rules import make_split
from moa_jax.data.splits.unlabelled import LABELLED_SOURCES, unlabelled_part
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.progress import say
from moa_jax.schemas import Examples, KnowledgeGraph
from moa_jax.training.fit import validation_curve
from moa_jax.training.pretraining.objectives import OBJECTIVES
from moa_jax.training.recipe import Recipe

Rows = list[dict[str, Any]]
# Objectives of each variant.
VARIANTS = {
    "none": (),
    "all": tuple(OBJECTIVES),
    "signatures": ("masked_genes", "compound_contrast"),
    "molecules": ("elements", "descriptors"),
    "signatures and structures": ("alignment", "response"),
    "links": ("links",),
    "mix-up": (),
}
MIX_UP_ALPHA = 0.4
MEASURES = {"response": response_rows, "links": link_rows, "augmentation": augmentation_rows}


def reduced_config() -> ml_collections.ConfigDict:
    """`configs/pretraining.py` at a size that trains a fold in about a minute."""
    config = pretraining.get_config()
    config.num_devices = 1
    config.model.update(
        {
            "features": 32,
            "hidden": 128,
            "knowledge_features": 16,
            "knowledge_layers": 1,
            "atom_features": 32,
            "molecule_layers": 2,
        }
    )
    config.training.update(
        {"batch_size": 128, "num_steps": 120, "eval_every": 30, "patience": 100, "log_every": 30}
    )
    config.pretraining.num_steps = 120
    return config


def config_of(variant: str) -> ml_collections.ConfigDict:
    """The reduced configuration of a variant."""
    config = reduced_config()
    if variant == "mix-up":
        config.training.mix_up_alpha = MIX_UP_ALPHA
    if not VARIANTS[variant]:
        with config.unlocked():
            del config.pretraining
        return config
    for objective in OBJECTIVES:
        if objective not in VARIANTS[variant]:
            config.pretraining.objectives[objective] = 0.0
    return config


@dataclasses.dataclass(frozen=True)
class Fold:
    """Training, validation and unlabelled examples of a fold of the compound split."""

    train: Examples
    validation: Examples
    unlabelled: Examples


def make_fold(dataset: PreparedDataset, fold: int) -> Fold:
    """A fold, without its test part."""
    examples = build_examples(dataset)
    split = make_split(
        "compound", examples, fold=fold, num_folds=5, seed=0, validation_fraction=0.2
    )
    parts = partition_examples(split, examples)
    return Fold(
        parts["train"],
        parts["validation"],
        unlabelled_part(dataset, split, examples, sources=LABELLED_SOURCES, transductive=False),
    )


def warm_start_rows(graph: KnowledgeGraph, fold: Fold, variant: str, seed: int) -> Rows:
    """Validation macro AUPRC of each view: at the first, the last and the best evaluation."""
    config, start = config_of(variant), time.process_time()
    config.seed = seed
    unlabelled = fold.unlabelled if "pretraining" in config else None
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder)
        Recipe(config, graph, unlabelled).run(fold.train, fold.validation, workdir).train()
        curves = {view: [value for _, value in validation_curve(workdir, view)] for view in VIEWS}
    cpu_s = time.process_time() - start
    say(f"{variant}, seed {seed}: {cpu_s:.0f} s of CPU time")
    return [
        {"variant": variant, "seed": seed, "view": view, "cpu_s": cpu_s}
        | {"first": curve[0], "last": curve[-1], "best": max(curve)}
        for view, curve in curves.items()
    ]


def kept(path: pathlib.Path, make: Callable[[], Rows]) -> Rows:
    """Rows of a cell, from its file if it is finished."""
    if not path.exists():
        rows = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return json.loads(path.read_text())


def warm_start_table(rows: Rows) -> str:
    """Mean over folds and seeds of each variant, and its difference from `none`."""
    found = pd.DataFrame(rows)
    cells = found.set_index(["view", "variant", "fold", "seed"]).sort_index()
    lines = []
    for view in VIEWS:
        plain = cells.loc[view, "none"]
        for variant in found["variant"].unique():
            ours = cells.loc[view, variant]
            gap = (ours["last"] - plain["last"]).dropna()
            lines.append(
                {"view": view, "pretraining": variant, "runs": len(gap)}
                | {
                    f"{step} step": f"{ours.loc[gap.index, step].mean():.3f}"
                    for step in ("first", "last", "best")
                }
                | {"last step minus none": f"{gap.mean():+.3f} ± {gap.std():.3f}"}
            )
    return markdown_table(lines)


def mean_table(rows: Rows) -> str:
    """Mean over the seeds of all measures, one line per method."""
    found = pd.DataFrame(rows)
    numbers = [
        name
        for name in found.columns
        if name != "seed" and pd.api.types.is_numeric_dtype(found[name])
    ]
    lines = []
    for method, of_method in found.groupby("method", sort=False):
        values = {name: of_method[name].to_numpy(float) for name in numbers}
        lines.append(
            {"method": method, "runs": len(of_method)}
            | {
                name: f"{np.mean(each):.3f}"
                + (f" ± {np.std(each):.3f}" if len(of_method) > 1 else "")
                for name, each in values.items()
            }
        )
    return markdown_table(lines)


def main() -> None:
    """Measures one part and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--part", required=True, choices=["warm_start", *MEASURES])
    parser.add_argument("--out", default="runs/pretraining", help="folder of finished cells")
    parser.add_argument(
        "--variants", default="none,all", help="variants of warm_start, separated by commas"
    )
    parser.add_argument("--folds", type=int, default=2, help="number of folds, from 0 on")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    settings = parser.parse_args()
    dataset = read_prepared(settings.data)
    out, start = pathlib.Path(settings.out), (time.perf_counter(), time.process_time())
    rows: Rows = []
    if settings.part == "warm_start":
        fold_of = functools.cache(functools.partial(make_fold, dataset))
        variants = settings.variants.split(",")
        for seed, fold in itertools.product(range(settings.seeds), range(settings.folds)):
            for variant in variants:
                path = out / f"warm_start_{variant.replace(' ', '_')}_{fold}_{seed}.json"
                found = kept(
                    path,
                    lambda fold=fold, variant=variant, seed=seed: warm_start_rows(
                        dataset.graph, fold_of(fold), variant, seed
                    ),
                )
                rows += [{"fold": fold, **row} for row in found]
    else:
        for seed in range(settings.seeds):
            measure = functools.partial(MEASURES[settings.part], dataset, reduced_config(), seed)
            rows += kept(out / f"{settings.part}_{seed}.json", measure)
    table = warm_start_table(rows) if settings.part == "warm_start" else mean_table(rows)
    print(f"Release: {dataset.manifest['release']}\n\n{table}")
    say(
        f"{time.perf_counter() - start[0]:.0f} s of wall-clock time, "
        f"{time.process_time() - start[1]:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
