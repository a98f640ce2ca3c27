"""Whether explanations are faithful to the model, stable, and recover known or planted biology.

    python -m experiments.explanation_audit.run --data=data/lincs2020 --out=runs/audit
    python -m experiments.explanation_audit.run --mechanism=default --out=runs/audit_simulated
    python -m experiments.explanation_audit.run --mechanism=network \
        --config=configs/network_kernel.py --out=runs/audit_network

trains the model on folds of the compound split (kept in OUT/runs and not trained again) and audits
explanations of its answers for the test compounds. The first command uses a prepared folder and
compares explanations with known targets and pathways; the others make a simulated release and
compare them with the planted truth. `--rewired` gives the model and the explanations a graph with
rewired interactions. Writes tables.md and CSV files into OUT; the names of those of a simulated
release begin with `simulated_`.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from configs.data import simulated_network
from experiments.explanation_audit import faithful, flat, real, simulated, stable
from experiments.explanation_audit.folds import (
    ScoredSignatures,
    first_rows,
    signatures_of_run,
    trained_run,
)
from experiments.explanation_audit.ground_truth import PlantedTruth, read_truth
from moa_jax.command_line import load_config
from moa_jax.data.preparation.embedded_release import ensure_release, simulated_config
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.storage.prepared_folder import read_prepared, write_prepared
from moa_jax.knowledge.controls import rewire_interactions
from moa_jax.predictions.result_tables import file_name, markdown_table, write_csv
from moa_jax.progress import say
from moa_jax.training.fusion.task import make_graph_arrays

Rows = list[dict[str, Any]]
# Method -> contributions of genes.
Rankings = dict[str, Float[np.ndarray, "example 1 gene"]]
MECHANISMS = {"default": simulated_config, "network": simulated_network.get_config}


@dataclasses.dataclass
class Report:
    """The tables of an audit."""

    folder: pathlib.Path
    release: str
    text: list[str] = dataclasses.field(default_factory=list)

    def add(self, title: str, rows: Rows) -> None:
        """Adds a table to the text."""
        self.text += [f"## {title}", "", markdown_table(rows), ""]
        say(title)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes a full table as CSV."""
        write_csv(self.folder / file_name(f"{name}.csv", self.release), table)

    def write(self, heading: list[str]) -> None:
        """Writes the text."""
        path = self.folder / file_name("tables.md", self.release)
        lines = [f"# Release: {self.release}", "", *heading, "", *self.text]
        path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def prepared_folder(
    settings: argparse.Namespace, out: pathlib.Path
) -> tuple[pathlib.Path, PlantedTruth | None]:
    """The prepared folder and the truth of a simulated release, which are made if missing."""
    truth = None
    folder = pathlib.Path(settings.data)
    if not settings.data:
        config = MECHANISMS[settings.mechanism]()
        release = ensure_release(config, out / "simulated")
        truth, folder = read_truth(release / "truth"), out / "simulated" / "prepared"
        if not folder.is_dir():
            config.raw_dir = str(release)
            write_prepared(folder, prepare(config))
    if settings.rewired:
        right, folder = folder, out / "rewired"
        if not folder.is_dir():
            dataset = read_prepared(right)
            graph = rewire_interactions(dataset.graph, seed=settings.seed)
            write_prepared(folder, dataclasses.replace(dataset, graph=graph))
    return folder, truth


def audit_faithfulness(
    report: Report,
    some: list[ScoredSignatures],
    rankings: list[Rankings],
    settings: argparse.Namespace,
) -> None:
    """Deletion against controls, and the cascade of random weights in the first fold."""
    curves = []
    for scored, of_fold in zip(some, rankings, strict=True):
        curves.append(faithful.deletion_of_fold(scored, of_fold, settings.seed))
        say("deletion curves of a fold")
    groups = [group for scored in some for group in scored.examples.groups]
    against, means = faithful.deletion_tables(curves, groups)
    report.write_table("deletion", against)
    report.write_table("deletion_means", means)
    report.add("Measures of deletion and insertion curves, means over compounds", _records(means))
    report.add(
        "Gains in deletion and insertion over controls, positive where the method is better",
        faithful.gains(against, ("deletion_auc", "insertion_auc")),
    )
    cascade = faithful.cascade(some[0], rankings[0][faithful.INTEGRATED], settings.seed)
    report.add("Random weights: agreement with the explanation of the trained model", cascade)


def audit_stability(
    report: Report,
    folds: list[ScoredSignatures],
    values: list[Float[np.ndarray, "example 1 gene"]],
    other_splits: list[ScoredSignatures],
    settings: argparse.Namespace,
) -> None:
    """Agreement over replicates, cell lines and models."""
    rows = stable.within_compounds(folds, values)
    if len(folds) > 1:
        rows += stable.between_folds(folds, settings.per_compound, settings.seed)
    rows += stable.between_splits(folds, other_splits, settings.per_compound, settings.seed)
    report.write_table("stability", pd.DataFrame(rows))
    report.add("Agreement of explanations", rows)


def audit_known(
    report: Report,
    folds: list[ScoredSignatures],
    values: list[Float[np.ndarray, "example 1 gene"]],
    runs: list[pathlib.Path],
    settings: argparse.Namespace,
) -> None:
    """Known targets and pathways."""
    proximity = real.proximity_of_compounds(
        folds, values, num_draws=settings.num_draws, seed=settings.seed
    )
    report.write_table("proximity", proximity)
    report.add(
        "Distance in STRING from the first 50 genes or nodes to the known targets",
        real.proximity_summary(proximity),
    )
    pathways, summary = real.own_pathways(folds, runs, num_steps=faithful.ROUGH_STEPS)
    report.write_table("pathways", pathways)
    report.add("Enrichment of the mechanism's own pathway", summary)
    report.add("The same by mechanism, integrated gradients", _records(pathways, "integrated"))
    report.add("The same by mechanism, |z|", _records(pathways, "|z|"))


def audit_planted(
    report: Report,
    some: list[ScoredSignatures],
    rankings: list[Rankings],
    truth: PlantedTruth,
    *,
    config: ml_collections.ConfigDict,
    seed: int,
) -> None:
    """The planted truth of a simulated release."""
    rewired = rewire_interactions(some[0].graph, seed=seed + 1)
    propagation = np.asarray(make_graph_arrays(config, rewired).propagation)
    found = []
    for scored, of_fold in zip(some, rankings, strict=True):
        found.append(simulated.recovered_in_fold(scored, of_fold, truth, propagation, seed=seed))
        say("recovery in a fold")
    of_mechanisms = simulated.recovered_of_mechanisms(some, rankings, truth)
    for units, parts in (("compounds", found), ("mechanisms", [of_mechanisms])):
        rows = simulated.recovery_rows(parts, units)
        table = pd.DataFrame(rows)
        report.write_table(f"recovery_of_{units}", table)
        for what, own in table.groupby("planted", sort=False):
            title = f"Recovery by explanations of {units}: {what}"
            report.add(title, _records(own.drop(columns="planted")))


def _records(table: pd.DataFrame, ranking: str = "") -> Rows:
    if ranking:
        table = table[table["ranking"].str.startswith(ranking)].drop(columns="ranking")
    return [dict(row) for row in table.to_dict("records")]


def answers(folds: list[ScoredSignatures]) -> Rows:
    """Accuracy of the answers that are explained."""
    right = []
    for fold in folds:
        hit = fold.examples.labels[np.arange(len(fold.moas)), fold.moas] > 0
        right.append(hit[first_rows(fold.examples.groups)])
    found = np.concatenate(right)
    return [{"test compounds": len(found), "top-1": float(found.mean())}]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="prepared folder; empty for a simulated release")
    parser.add_argument("--mechanism", choices=sorted(MECHANISMS), default="default")
    parser.add_argument("--config", default="configs/frequent.py")
    parser.add_argument("--rewired", action="store_true", help="rewire the graph beforehand")
    parser.add_argument("--out", required=True)
    parser.add_argument("--num-folds", type=int, default=5, help="folds that are tested, of 5")
    parser.add_argument("--other-splits", type=int, default=1, help="other split seeds, fold 0")
    parser.add_argument(
        "--per-compound", type=int, default=2, help="signatures that every method explains"
    )
    parser.add_argument("--num-draws", type=int, default=500)
    parser.add_argument("--no-occlusion", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Trains, audits and writes."""
    settings = parse()
    start = time.perf_counter(), time.process_time()
    out = pathlib.Path(settings.out)
    folder, truth = prepared_folder(settings, out)
    config = load_config(settings.config)
    config.data = str(folder)
    runs = [
        trained_run(config, out / "runs", fold=fold, seed=0) for fold in range(settings.num_folds)
    ]
    others = [
        trained_run(config, out / "runs", fold=0, seed=1 + seed)
        for seed in range(settings.other_splits)
    ]
    folds, other_splits = list(map(signatures_of_run, runs)), list(map(signatures_of_run, others))
    report = Report(out, read_prepared(folder).manifest["release"])
    report.add("Answers that are explained", answers(folds))
    found = [faithful.integrated(fold) for fold in folds]
    gaps = [one.completeness_gap for one in found]
    values = [one.values for one in found]
    groups = [group for fold in folds for group in fold.examples.groups]
    report.add("Completeness gap at 64 steps, over compounds", faithful.completeness(gaps, groups))
    some = [fold.some_of_each(settings.per_compound, settings.seed) for fold in folds]
    rankings = [
        faithful.gene_rankings(one, seed=settings.seed, occlusion=not settings.no_occlusion)
        for one in some
    ]
    if truth is not None:
        audit_planted(report, some, rankings, truth, config=config, seed=settings.seed)
    else:
        audit_known(report, folds, values, runs, settings)
    audit_stability(report, folds, values, other_splits, settings)
    report.add(
        "Are explanations of signatures without effect flat?",
        flat.flat_rows(flat.flat_maps_of_folds(folds, values, seed=settings.seed)),
    )
    audit_faithfulness(report, some, rankings, settings)
    taken = time.perf_counter() - start[0], time.process_time() - start[1]
    report.write(
        [
            ("" if settings.data else f"Mechanism of the simulation: {settings.mechanism}. ")
            + f"Config {settings.config}, experts {', '.join(config.model.experts)}"
            + (", rewired interactions" if settings.rewired else "")
            + f"; {settings.num_folds} of 5 folds, at most {settings.per_compound} signatures per "
            f"compound for comparisons of methods; seed {settings.seed}; "
            f"{taken[0]:.0f} s of wall-clock time, {taken[1]:.0f} s of CPU time.",
        ]
    )
    print("\n".join(report.text))


if __name__ == "__main__":
    main()
