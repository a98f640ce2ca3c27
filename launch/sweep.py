r"""Searches for settings of the fusion model: Optuna, validation compounds only.

    python -m launch.sweep --config=configs/kernels.py --space=configs/sweeps/kernels.py \
      --study=kernels --trials=50 --workdir=runs/sweep

The test part of the config's split is dropped first. The rest is split by the same rule into
1 / config.split.validation_fraction folds. A trial trains on all folds but one and is scored on
that one by macro AUPRC over compounds, averaged over folds; it is pruned if half of the finished
trials were better at that point. The first trial is the unchanged config.

Processes with the same study share it: start one per device, on several machines with a server
database (--storage=postgresql://...). A restarted study continues; a killed process loses only its
current trial. At the end, or at once with --report, each process writes trials.csv, trials.md and
best_config.py (a config for `moa_jax.train`) into the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np
import optuna

from launch.sweep_report import FOLD_SCORES, best_trials, write_report
from launch.sweep_space import Parameter, read_space, values_in, with_values
from launch.sweep_study import num_finished, open_study
from moa_jax import command_line
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.splits.partition import (
    examples_of,
    partition_by_rule,
    partition_examples,
    split_by_config,
)
from moa_jax.data.splits.request import num_validation_folds
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.progress import say
from moa_jax.schemas import Examples, InputError, KnowledgeGraph, Split
from moa_jax.training.fusion_fit import fit_fusion
from moa_jax.training.sharding import make_training_mesh

OPTIONS = (
    command_line.Option("space", "search space; see launch/sweep_space.py", required=True),
    command_line.Option("study", "name of the study", required=True),
    command_line.Option("storage", "URL of Optuna's database", "sqlite:///runs/sweep/study.db"),
    command_line.Option("trials", "number of finished trials at which the study ends", "20"),
    command_line.Option("folds", "number of folds that score a trial (default: all)"),
    command_line.Option("seed", "seed of the sampler", "0"),
    command_line.Option("workdir", "folder of the report", "runs/sweep"),
    command_line.Option("report", "only write the report; takes no value"),
)
# Rule of a split -> rule of the folds within its training part, if different: validation MoAs must
# have been trained on.
_RULE_WITHIN = {"unseen_moa": "compound"}
# Config keys that may differ between machines that share a study (the data themselves must not).
_MACHINE_KEYS = ("data", "num_devices")


@dataclasses.dataclass(frozen=True)
class Search:
    """Inputs of all trials of a study.

    Attributes:
      config: the base configuration.
      parameters: the settings that are varied.
      folds: training and validation examples of each fold, without the test part.
      graph: the knowledge graph.
      workdir: folder for the temporary runs of a trial.
    """

    config: ml_collections.ConfigDict
    parameters: tuple[Parameter, ...]
    folds: tuple[tuple[Examples, Examples], ...]
    graph: KnowledgeGraph
    workdir: pathlib.Path

    def run_trial(self, trial: optuna.Trial) -> float:
        """Trains and scores the settings of a trial.

        Returns:
          Validation macro AUPRC, the mean over the folds.

        Raises:
          optuna.TrialPruned: other trials are better, or the loss is not finite.
        """
        values = {parameter.path: parameter.suggest(trial) for parameter in self.parameters}
        config = with_values(self.config, values)
        scores: list[float] = []
        with tempfile.TemporaryDirectory(prefix=f"trial-{trial.number}-", dir=self.workdir) as runs:
            for fold in range(len(self.folds)):
                try:
                    scores.append(self._score(config, fold, pathlib.Path(runs) / f"fold-{fold}"))
                except FloatingPointError as error:
                    # Counts as a score of 0, so that the sampler avoids such settings.
                    trial.report(sum(scores), fold)
                    say(f"trial {trial.number}, fold {fold}: {error}")
                    raise optuna.TrialPruned from error
                trial.set_user_attr(FOLD_SCORES, scores)
                # The pruner compares the best value reported by a trial. Sums of scores never
                # decrease, so that this is the latest value, even if a later fold is harder.
                trial.report(sum(scores), fold)
                say(
                    f"trial {trial.number}, fold {fold + 1} of {len(self.folds)}: validation "
                    f"macro AUPRC {scores[-1]:.3f}, mean {np.mean(scores):.3f}"
                )
                if fold + 1 < len(self.folds) and trial.should_prune():
                    raise optuna.TrialPruned
        return float(np.mean(scores))

    def _score(self, config: ml_collections.ConfigDict, fold: int, folder: pathlib.Path) -> float:
        train, validation = self.folds[fold]
        fit = fit_fusion(config, train, validation, self.graph, folder)
        probs, labels, _ = pool_by_compound(
            fit.validation_probs["fusion"], validation.labels, validation.groups
        )
        return macro_auprc(probs, labels)


def folds_without_test(
    examples: Examples, split: Split, config: ml_collections.ConfigDict, num_used: int | None
) -> tuple[tuple[Examples, Examples], ...]:
    """Training and validation examples of the folds within the training part of a split.

    Args:
      examples: all examples.
      split: a split without validation part; its test part is dropped.
      config: its `split` determines the folds.
      num_used: number of folds to use; None for all.

    Raises:
      InputError: the config has no validation part, there are fewer folds, or the training part
        has too few compounds for them.
    """
    if not config.split.validation_fraction:
        raise InputError("config.split.validation_fraction is 0, so nothing can score a trial.")
    num_folds = num_validation_folds(config.split.validation_fraction)
    num_used = num_folds if num_used is None else num_used
    if not 0 < num_used <= num_folds:
        raise InputError(
            f"--folds is {num_used}, expected 1 to {num_folds} as config.split."
            f"validation_fraction is {config.split.validation_fraction}."
        )
    parts = partition_examples(split, examples)
    tested = set(parts["test"].table["sig_id"])
    folds = []
    for fold in range(num_used):
        inner = partition_by_rule(
            _RULE_WITHIN.get(split.rule, split.rule),
            parts["train"],
            fold=fold,
            num_folds=num_folds,
            seed=config.split.seed,
            validation_fraction=0.0,
        )
        train, validation = inner["train"], inner["test"]
        for part in (train, validation):
            assert tested.isdisjoint(part.table["sig_id"]), "a test signature is in a fold"
        folds.append((train, validation))
    return tuple(folds)


def main(
    config: ml_collections.ConfigDict,
    *,
    space: str,
    study: str,
    storage: str,
    trials: str,
    folds: str,
    seed: str,
    workdir: str,
    report: str,
) -> None:
    """Runs trials until the study has enough of them, then writes the report.

    Raises:
      InputError: an option, the config or the data cannot be used.
    """
    num_trials, sampler_seed = _whole_number("trials", trials), _whole_number("seed", seed)
    if not re.fullmatch(r"[\w.-]+", study):
        raise InputError(f'--study is "{study}"; a name has letters, digits, ".", "_" and "-".')
    parameters = read_space(space, config)
    dataset = open_dataset(config.data)
    examples = examples_of(config, dataset)
    num_used = _whole_number("folds", folds) if folds else None
    split = split_by_config(config, examples, validation_fraction=0.0)
    parts = folds_without_test(examples, split, config, num_used)
    make_training_mesh(
        config.num_devices,
        config.training.batch_size,
        micro_batches=config.training.get("micro_batches", 1),
    )
    about = {
        "config": {k: v for k, v in config.to_dict().items() if k not in _MACHINE_KEYS},
        "space": {parameter.path: [parameter.kind, *parameter.values] for parameter in parameters},
        "folds": len(parts),
        "data": {
            "release": dataset.manifest["release"],
            "sha256": hashlib.sha256(
                json.dumps(dataset.manifest, sort_keys=True).encode()
            ).hexdigest(),
        },
    }
    shared = open_study(
        storage,
        study,
        about=about,
        first=values_in(config, parameters),
        seed=sampler_seed,
        create=not report,
    )
    folder = pathlib.Path(workdir)
    if not report:
        folder.mkdir(parents=True, exist_ok=True)
        search = Search(config, parameters, parts, dataset.graph, folder)
        _run_trials(shared, search, num_trials)
    print(write_report(folder, shared, config, parameters, dataset.manifest["release"]))


def _run_trials(study: optuna.Study, search: Search, num_trials: int) -> None:
    """Runs trials until `num_trials` are finished, including those of other processes."""
    before = num_finished(study)
    say(f"the study {study.study_name} has {before} of {num_trials} trials")
    if before >= num_trials:
        return
    start, own = time.monotonic(), 0

    def after_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal own
        own += 1
        finished = num_finished(study)
        best = best_trials(study)[:1]
        seconds = (time.monotonic() - start) / own * max(num_trials - finished, 0)
        say(
            f"trial {trial.number} {trial.state.name.lower()}; {finished}/{num_trials}, best "
            + (f"{best[0].value:.3f} of trial {best[0].number}" if best else "none")
            + f", {seconds / 60:.0f} min left with this process only"
        )
        if finished >= num_trials:
            study.stop()
        # Compiled programs are not reused by the next trial.
        jax.clear_caches()

    study.optimize(search.run_trial, callbacks=[after_trial])


def _whole_number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f'--{name} is "{text}", expected a whole number.')
    return int(text)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    argv = sys.argv[1:] if argv is None else argv
    # The only option without value.
    argv = ["--report=only" if argument == "--report" else argument for argument in argv]
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
