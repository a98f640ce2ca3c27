"""Trains the fusion model and scores it beside baselines: the main program.

    python -m moa_jax.train --config=configs/fusion.py --workdir=runs/fusion

trains on the prepared folder `config.data` (the embedded simulated release if empty) and holds out
the compounds of fold `config.split.fold`. The run's folder then holds everything: config, split,
checkpoints, metrics, plots, a model card, and the predictions for the held-out compounds. An
interrupted run resumes when it is started again.

`--config.split.rule=everything` holds nothing out, for a model to use on your own compounds; the
scores are then those of out-of-fold predictions for the validation compounds.

`config.vocabulary` is `open` (every mechanism of a training compound) or `frequent` (those of at
least `config.min_compounds` measured compounds, for comparison with other work).
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

import ml_collections

from moa_jax import command_line
from moa_jax.baselines.fusion import method_name
from moa_jax.baselines.registry import make_method
from moa_jax.calibration.calibration_store import write_calibration_store, write_held_out
from moa_jax.calibration.described_mechanisms import write_unseen
from moa_jax.calibration.target_calibration import write_target_calibration
from moa_jax.data.examples.build import of_other_groups
from moa_jax.data.examples.features import fit_features
from moa_jax.data.preparation.embedded_release import open_dataset
from moa_jax.data.splits.manifest import scored_part
from moa_jax.data.splits.partition import Partition, examples_of, make_partition
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.explanation.audit.target_ranking import audit_held_out, write_target_audit
from moa_jax.model_card.card import write_model_card
from moa_jax.model_card.plots import plot_curves, plot_per_moa
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import Results, pool_results, results_markdown, write_results
from moa_jax.predictions.target_evidence import pooled_scores, target_evidence
from moa_jax.predictions.target_model import read_target_model
from moa_jax.predictions.target_results import (
    TargetResults,
    target_results,
    write_target_results,
)
from moa_jax.progress import say
from moa_jax.schemas import Examples
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.fusion_fit import SELECTION, FusionFit, fit_fusion, is_solved
from moa_jax.training.runs.metric_writer import METRICS_FILE, read_metrics
from moa_jax.training.runs.run_folder import start_run
from moa_jax.training.sharding import (
    is_first_process,
    join_processes,
    make_training_mesh,
    one_process_first,
)

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
    # Data.
    with one_process_first():
        dataset = open_dataset(config.data)
    graph, examples = dataset.graph, examples_of(config, dataset)
    say(f"{len(examples.moas)} mechanisms ({config.vocabulary} vocabulary)")

    # Partition.
    partition = make_partition(config, dataset, examples)
    _say_partition(config, partition)
    parts, scored = partition.parts, scored_part(partition.parts)

    # Model. A config that cannot be used is refused before the run's folder is made.
    make_training_mesh(
        config.num_devices,
        config.training.batch_size,
        micro_batches=config.training.get("micro_batches", 1),
    )
    features = fit_features(parts["train"], graph.genes.iloc[: graph.num_landmarks])
    make_fusion_task(config, features, (graph.num_genes, graph.num_terms))
    baselines = [make_method(name) for name in config.baselines]
    with one_process_first():
        start_run(workdir, config, partition.split, dataset)

    # Fit: kernels in closed form, then networks in steps where there are any.
    fit = fit_fusion(
        config,
        parts["train"],
        parts["validation"],
        graph,
        workdir,
        unlabelled=partition.unlabelled,
    )

    # Calibration: new predictions will be calibrated on these out-of-fold answers.
    if is_first_process():
        if fit.out_of_fold:
            write_calibration_store(workdir, fit.out_of_fold)
        if fit.proteins is not None:
            write_target_calibration(workdir, fit.proteins.targets, graph.num_genes)
            write_unseen(workdir, fit.proteins.unseen)
        if scored == "test":
            write_held_out(workdir, parts["test"])

    # Scores.
    views = fit.predictor.predict(parts["test"]) if scored == "test" else fit.validation_probs
    probs = {method_name(view): views[view] for view in VIEWS}
    # Kernels predict each validation compound from all other compounds; baselines see the training
    # part alone, which would be no fair comparison.
    for method in () if scored == "validation" and is_solved(config) else baselines:
        # A scored validation part selects no settings.
        selection = parts["validation"] if scored == "test" else parts["test"]
        fitted = method.fit(parts["train"], selection, graph, seed=config.seed)
        probs[method.name] = fitted.predict(parts[scored])
    results = pool_results(probs, parts[scored], dataset.manifest["release"])

    # Targets of the test compounds, and the model card.
    if is_first_process():
        targets = None
        if scored == "test" and fit.proteins is not None:
            targets = _test_targets(config, fit, parts["test"], dataset, workdir)
        write_model_card(workdir, config, partition.split, parts, results, targets=targets)
    return results


def _test_targets(
    config: ml_collections.ConfigDict,
    fit: FusionFit,
    test: Examples,
    dataset: PreparedDataset,
    workdir: pathlib.Path,
) -> TargetResults | None:
    """Writes how well targets of test compounds are predicted, and if they may be explained by."""
    predictor = fit.predictor
    model = read_target_model(workdir, predictor, dataset.graph)
    if model is None:
        return None
    evidence = target_evidence(predictor, predictor.encode(test))
    audit = audit_held_out(config, model, evidence, test)
    if audit is not None:
        write_target_audit(workdir, audit)
    own = fit.proteins.params
    scores = pooled_scores(evidence, own["scales"], own["carry"], model.columns, test.groups)
    targets = target_results(model, scores, test, dataset.manifest["release"])
    if targets is not None:
        write_target_results(workdir, targets)
    return targets


def _say_partition(config: ml_collections.ConfigDict, partition: Partition) -> None:
    """Prints how many examples each part has, and which identities parts share."""
    parts, unlabelled = partition.parts, partition.unlabelled
    if partition.crossing:
        counts = ", ".join(f"{count} {identity}" for identity, count in partition.crossing.items())
        say(f"shared between parts, as allowed by the {partition.split.rule} split: {counts}")
    measured = {name: int(part.has_expression.sum()) for name, part in parts.items()}
    say(", ".join(f"{name} {count} signatures" for name, count in measured.items()))
    if config.structure_only_compounds:
        without = parts["train"].num_examples - measured["train"]
        say(f"train {without} labelled structures without a signature")
    if unlabelled is not None:
        unknown = of_other_groups(unlabelled, parts["train"]) & ~unlabelled.has_other_moas
        say(
            f"{int(unknown.sum())} signatures and structures without a known mechanism, used in "
            "training if their targets are known"
        )


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
        print(f"run: {folder}  (checkpoints, metrics, plots, predictions)")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return command_line.run(main, description=__doc__, options=OPTIONS, argv=argv)


if __name__ == "__main__":
    sys.exit(run())
