"""The audits of explanations: each computes on folds and adds its tables to a report."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any

import ml_collections
import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.explanation_audit import faithful, real, simulated, stable
from experiments.explanation_audit.folds import ScoredSignatures, first_rows
from experiments.explanation_audit.ground_truth import PlantedTruth
from moa_jax.knowledge.controls import randomised_graph, rewire_interactions
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.predictions.result_tables import file_name, markdown_table, write_csv
from moa_jax.progress import say
from moa_jax.training.fusion.task import make_graph_arrays

Rows = list[dict[str, Any]]
# Method -> contributions of genes.
Rankings = dict[str, Float[np.ndarray, "example 1 gene"]]


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


def audit_faithfulness(
    report: Report,
    some: list[ScoredSignatures],
    rankings: list[Rankings],
    settings: argparse.Namespace,
    config: ml_collections.ConfigDict,
) -> None:
    """Deletion against controls; a rewired graph and random weights in the first fold."""
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
    report.add("Deletion curves by compound, integrated gradients", faithful.wins(curves, groups))
    rewired = None
    if PROTEIN_NETWORK in config.model.experts:
        rewired = make_graph_arrays(config, randomised_graph(some[0].graph, seed=settings.seed))
    cascade = faithful.cascade(
        some[0], rankings[0][faithful.INTEGRATED], settings.seed, rewired=rewired
    )
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
