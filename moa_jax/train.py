"""Trains the fusion model and scores it beside the plain methods: the main job.

    python -m moa_jax.train --config=configs/fusion.py --workdir=runs/fusion

trains on the prepared folder `config.data`, or on the embedded simulated release where that is
empty, with the compounds of fold `config.split.fold` held out. The run's folder then holds
everything: config, split, checkpoints, metrics, plots, a model card, and the predictions for the
held-out compounds. A run that was stopped goes on where it was when it is started again.

`--config.split.rule=everything` holds nothing out, for a model that answers for compounds of your
own: what is scored then are the validation compounds, by the model before it learned from them.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
from jaxtyping import Float

from moa_jax import command_line
from moa_jax.baselines.fusion import Fusion
from moa_jax.baselines.registry import make_method
from moa_jax.data.division import divide
from moa_jax.data.embedded import open_dataset
from moa_jax.data.examples import Examples, build_examples, concatenate
from moa_jax.data.features import fit_features
from moa_jax.data.prepared import PreparedDataset
from moa_jax.data.split_request import num_validation_folds
from moa_jax.data.splits import judged_part
from moa_jax.evaluation.tables import Results, pool_results, results_markdown, write_results
from moa_jax.models.fusion import VIEWS
from moa_jax.progress import say
from moa_jax.schemas import KnowledgeGraph
from moa_jax.training.fusion_task import make_fusion_task
from moa_jax.training.kept_answers import (
    VALIDATION_FILE,
    write_held_out,
    write_validation_answers,
)
from moa_jax.training.metric_writer import METRICS_FILE, read_metrics
from moa_jax.training.model_card import write_model_card
from moa_jax.training.plots import plot_curves, plot_per_moa
from moa_jax.training.recipe import SELECTION, FusionFit, answer_unseen
from moa_jax.training.run_folder import start_run
from moa_jax.training.sharding import (
    is_first_process,
    join_processes,
    make_training_mesh,
    one_process_first,
)

# Subfolder of the models that answer for further parts; it goes when they have answered.
_JUDGING = "judging"

OPTIONS = (command_line.Option("workdir", "folder of the run", "runs/fusion"),)


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Results:
    """Trains one fold and scores its test part, or validation where nothing is held out.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      workdir: folder of the run.

    Returns:
      Pooled predictions of the fusion model's views and of `config.baselines` for that part.

    Raises:
      InputError: the configuration or the data cannot be used.
    """
    with one_process_first():
        dataset = open_dataset(config.data)
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    division = divide(config, dataset, examples)
    split, parts, unlabelled = division.split, division.parts, division.unlabelled
    if division.crossing:
        counts = ", ".join(f"{count} {identity}" for identity, count in division.crossing.items())
        say(f"shared between parts, as the {split.rule} split allows: {counts}")
    measured = {name: int(part.has_expression.sum()) for name, part in parts.items()}
    say(", ".join(f"{name} {count} signatures" for name, count in measured.items()))
    judged = judged_part(parts)
    if config.further_structures:
        without = parts["train"].num_examples - measured["train"]
        say(f"train {without} labelled structures without signature, too")
    if unlabelled is not None:
        say(f"{unlabelled.num_examples} unlabelled signatures and structures may be learned from")

    # What can be refused is refused before the folder of the run is made.
    make_training_mesh(
        config.num_devices,
        config.training.batch_size,
        micro_batches=config.training.micro_batches,
    )
    graph = dataset.graph
    features = fit_features(parts["train"], graph.genes.iloc[: graph.num_landmarks])
    make_fusion_task(config, features, (graph.num_genes, graph.num_terms))
    fusion = Fusion(config, workdir, unlabelled=unlabelled)
    methods = [make_method(name) for name in config.baselines]
    with one_process_first():
        start_run(workdir, config, split, dataset)
    probs = _fusion_probs(fusion, parts, judged, graph)
    # Nobody where plain methods are judged by the validation part.
    choosing = parts["validation"] if judged == "test" else parts["test"]
    for method in methods:
        fitted = method.fit(parts["train"], choosing, graph, seed=config.seed)
        probs[method.name] = fitted.predict(parts[judged])
    if judged == "test" and is_first_process():
        write_held_out(workdir, parts["test"])
    if parts["validation"].num_examples:
        _keep_answers(
            config,
            dataset,
            examples,
            parts["validation"],
            fit=fusion.fits[workdir],
            workdir=workdir,
        )
    results = pool_results(probs, parts[judged], dataset.manifest["release"])
    if is_first_process():
        write_model_card(workdir, config, split, parts, results)
    return results


def _keep_answers(
    config: ml_collections.ConfigDict,
    dataset: PreparedDataset,
    examples: Examples,
    validation: Examples,
    *,
    fit: FusionFit,
    workdir: pathlib.Path,
) -> None:
    """Writes answers for compounds that were not learned from; a run that has them keeps them.

    To those for the validation part come those for further parts of what is not tested, each by
    a model that has learned from the rest.
    """
    if (workdir / VALIDATION_FILE).exists():
        return
    asked, answers = validation, fit.validation_probs
    num_folds = num_validation_folds(config.split.validation_fraction)
    for fold in range(1, min(config.split.judging_parts, num_folds)):
        division = divide(config, dataset, examples, validation_fold=fold)
        unseen = division.parts["validation"]
        if not unseen.num_examples:
            continue
        say(f"judging by {unseen.num_examples} signatures more")
        probs = answer_unseen(
            config,
            division.parts["train"],
            unseen,
            dataset.graph,
            workdir / _JUDGING / str(fold),
            scales=fit.choices["expert_scales"],
            unlabelled=division.unlabelled,
        )
        asked = concatenate(asked, unseen)
        answers = {view: np.concatenate([answers[view], probs[view]]) for view in VIEWS}
    if is_first_process():
        write_validation_answers(workdir, asked, answers)
        shutil.rmtree(workdir / _JUDGING, ignore_errors=True)


def _fusion_probs(
    fusion: Fusion, parts: Mapping[str, Examples], judged: str, graph: KnowledgeGraph
) -> dict[str, Float[np.ndarray, "example moa"]]:
    """Trains the fusion model; answers of its views for the part that it is judged by."""
    probs = {}
    for view in VIEWS:
        method = fusion.seen_as(view)
        seed = fusion.config.seed
        fitted = method.fit(parts["train"], parts["validation"], graph, seed=seed)
        if judged == "test":
            probs[method.name] = fitted.predict(parts["test"])
        else:
            probs[method.name] = fusion.fits[fusion.workdir].validation_probs[view]
    return probs


def write_run_results(workdir: pathlib.Path, results: Results) -> None:
    """Writes tables and plots of a run into its folder."""
    write_results(workdir, results)
    plots = workdir / "plots"
    runs = {"final": workdir / METRICS_FILE, "selection": workdir / SELECTION / METRICS_FILE}
    lines = {label: read_metrics(path) for label, path in runs.items() if path.exists()}
    plot_curves(plots / results.file_name("curves.png"), lines, title=results.release)
    plot_per_moa(
        plots / results.file_name("per_moa.png"),
        results.probs["fusion"],
        results.labels,
        results.moas,
        title=f"fusion, {results.release}",
    )


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Trains, scores, writes and prints.

    Raises:
      InputError: something the user gave cannot be used.
    """
    join_processes()
    folder = pathlib.Path(workdir)
    results = train(config, folder)
    if is_first_process():
        write_run_results(folder, results)
        print(f"\n{results_markdown(results)}\n")
        print(f"the run: {folder}  (checkpoints, metrics, plots, predictions)")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
