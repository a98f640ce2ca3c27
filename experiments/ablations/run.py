r"""Ablations: whether a part of the model improves it, one question per configuration.

    python -m experiments.ablations.run --config=configs/ablations/targets.py \
        --config.data=data/lincs2020 --workdir=runs/ablations/targets

Every arm is trained on the same folds and differs from the first by its configuration. Arms, folds
and seeds that are finished in the workdir are not trained again.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax import command_line
from moa_jax.baselines.fusion import FittedFusion, Fusion
from moa_jax.baselines.registry import make_method
from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.cell_files import Answers, read_answers, write_answers
from moa_jax.benchmark.perturbations.training_perturbations import (
    TrainingPerturbation,
    perturb_training,
)
from moa_jax.benchmark.plan import CLEAN_TRAINING, SplitKey
from moa_jax.command_line import Option, load_config
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.bootstrap import bootstrap_scores, interval, paired_difference
from moa_jax.evaluation.metrics import top_k_hits
from moa_jax.evaluation.risk_coverage import accuracy_at_coverage
from moa_jax.files import write_text
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.progress import say
from moa_jax.schemas import InputError

OPTIONS = (Option("workdir", "folder of the predictions", required=True),)

Probs = Float[np.ndarray, "seed compound moa"]
METRICS = ("macro_auprc", "top1")


def model_config(config: ml_collections.ConfigDict, arm: str) -> ml_collections.ConfigDict:
    """The fusion configuration of an arm.

    Raises:
      InputError: the arm sets a key that the model's configuration does not have.
    """
    file = config.arms[arm].model or config.model
    model = load_config(file).lock()
    for key, value in (*config.common, *config.arms[arm].changes):
        try:
            model.update_from_flattened_dict({key: value})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the arm {arm!r} sets {key} to {value!r}, which {file} does not allow."
            ) from error
    return model


def train_arms(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> BenchmarkData:
    """Trains the arms that are not finished."""
    benchmark_data = BenchmarkData(config, workdir)
    keys = [
        SplitKey(config.split.rule, seed, fold)
        for seed in config.split.seeds
        for fold in range(config.split.num_folds)
    ]
    benchmark_data.make_splits(keys)
    for key in keys:
        for arm in dict.fromkeys(trained_as(config, arm) for arm in config.order):
            path = answers_path(workdir, arm, key)
            if not path.exists():
                start = time.monotonic()
                write_answers(path, answer(config, arm, key, benchmark_data, workdir / "model"))
                say(f"seed {key.seed}, fold {key.fold}, {arm}: {time.monotonic() - start:.0f} s")
    return benchmark_data


def trained_as(config: ml_collections.ConfigDict, arm: str) -> str:
    """The first arm that trains the same model; its view may differ."""

    def training(name: str) -> dict[str, Any]:
        return {**config.arms[name].to_dict(), "view": None}

    return next(name for name in config.order if training(name) == training(arm))


def answers_path(workdir: pathlib.Path, arm: str, key: SplitKey) -> pathlib.Path:
    """Path of the predictions of an arm for one split."""
    return workdir / "answers" / key.name / f"fold{key.fold}" / f"{arm.replace(' ', '_')}.npz"


def answer(
    config: ml_collections.ConfigDict,
    arm: str,
    key: SplitKey,
    benchmark_data: BenchmarkData,
    folder: pathlib.Path,
) -> Answers:
    """Trains one arm on one split and predicts its test part in every view."""
    settings = config.arms[arm]
    parts = benchmark_data.parts(key, structure_only_compounds=settings.structure_only_compounds)
    condition = CLEAN_TRAINING
    if settings.training:
        condition = TrainingPerturbation(settings.training)
    train, validation, graph = perturb_training(
        condition, parts.train, parts.validation, benchmark_data.dataset.graph, seed=key.seed
    )
    shutil.rmtree(folder, ignore_errors=True)
    if settings.method:
        method = make_method(settings.method)
    else:
        model = model_config(config, arm)
        unlabelled = benchmark_data.unlabelled(
            key, model, structure_only_compounds=settings.structure_only_compounds
        )
        method = Fusion(model, folder, unlabelled)
    start = time.monotonic()
    fitted = method.fit(train, validation, graph, seed=key.seed)
    fit_s = time.monotonic() - start
    views = {settings.view: fitted}
    if isinstance(fitted, FittedFusion):
        views = {view: fitted.with_view(view) for view in VIEWS}
    answers = Answers(
        test_ids=tuple(parts.test.table["sig_id"]),
        probs={view: seen.predict(parts.test) for view, seen in views.items()},
        validation_ids=tuple(validation.table["sig_id"]),
        validation_probs=fitted.validation_probs,
        report=fitted.report,
        fit_s=fit_s,
    )
    shutil.rmtree(folder, ignore_errors=True)
    return answers


def pooled(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, benchmark_data: BenchmarkData
) -> tuple[dict[str, Probs], Float[np.ndarray, "compound moa"]]:
    """Out-of-fold probabilities of every arm, pooled per compound, and the labels."""
    examples = benchmark_data.examples
    place = {name: row for row, name in enumerate(examples.table["sig_id"])}
    probs, labels = {}, np.zeros(0)
    for arm in config.order:
        settings = config.arms[arm]
        of_seeds = []
        for seed in config.split.seeds:
            of_seed = np.zeros(examples.labels.shape)
            for fold in range(config.split.num_folds):
                key = SplitKey(config.split.rule, seed, fold)
                answers = read_answers(answers_path(workdir, trained_as(config, arm), key))
                rows = [place[name] for name in answers.test_ids]
                of_seed[rows] = answers.probs[settings.view]
            values, labels, _ = pool_by_compound(of_seed, examples.labels, examples.groups)
            of_seeds.append(values)
        probs[arm] = np.stack(of_seeds)
    return probs, labels


def rows_of(
    config: ml_collections.ConfigDict,
    probs: Mapping[str, Probs],
    labels: Float[np.ndarray, "compound moa"],
) -> list[dict[str, Any]]:
    """One row per arm: its metrics, and their differences from the first arm.

    Accuracy at 50 % coverage is a mean over the seeds.
    """
    scores = bootstrap_scores(
        probs, labels, num_resamples=config.statistics.num_resamples, seed=config.statistics.seed
    )
    first = config.order[0]
    rows = []
    for arm in config.order:
        row: dict[str, Any] = {"arm": arm}
        for metric in METRICS:
            own = scores[arm]
            low, high = interval(own.samples[metric])
            row[metric] = f"{own.estimate[metric]:.3f} [{low:.3f}, {high:.3f}]"
            difference = paired_difference(own, scores[first], metric)
            row[f"{metric} - first"] = (
                "reference"
                if arm == first
                else f"{difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
            )
        halves = [
            accuracy_at_coverage(of_seed.max(axis=1), top_k_hits(of_seed, labels, 1) > 0, 0.5)
            for of_seed in probs[arm]
        ]
        row["accuracy at 50 % coverage"] = float(np.mean(halves))
        rows.append(row)
    return rows


def run_ablation(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> str:
    """Trains, scores and writes the table of a question; returns it."""
    benchmark_data = train_arms(config, workdir)
    probs, labels = pooled(config, workdir, benchmark_data)
    release = benchmark_data.dataset.manifest["release"]
    table = markdown_table(rows_of(config, probs, labels))
    seeds = ", ".join(str(seed) for seed in config.split.seeds)
    text = (
        f"{config.question} ({release}; {config.split.rule} split, {config.split.num_folds} folds, "
        f"seeds {seeds}; {len(labels)} compounds)\n\n{table}\n"
    )
    write_text(workdir / "table.md", text)
    return text


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the ablation and prints its table."""
    print(run_ablation(config, pathlib.Path(workdir)))


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
