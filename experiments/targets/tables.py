"""Tables of predicted targets: graphs, views, ligands, proteins and probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from experiments.main_result.confidence_tables import Row, mean_with_interval
from experiments.targets.folds import BY_GRAPH, TRUE, FoldTargets
from moa_jax.evaluation.target_metrics import (
    least_known,
    ligand_strata,
    per_protein_table,
    reliability_of_pairs,
    target_precision,
)
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table

# Compounds whose rarest target has at most so many training compounds.
RARE = 2
FREQUENCY = "frequency"
_ROUNDED = ("low", "high", "stated", "observed")


@dataclasses.dataclass(frozen=True)
class Arm:
    """The folds that were trained on the same kinds of compounds.

    Attributes:
      name: in the tables.
      folds: split and fold -> the answers.
    """

    name: str
    folds: Mapping[str, FoldTargets]

    def common(self, other: Arm) -> Arm:
        """The folds that another arm has, too; the compounds and their order are the same."""
        return Arm(self.name, {key: own for key, own in self.folds.items() if key in other.folds})

    @property
    def groups(self) -> tuple[str, ...]:
        """Compound of each answer; one answer in each division."""
        return tuple(group for fold in self.folds.values() for group in fold.groups)

    @property
    def rarest(self) -> Float[np.ndarray, " answer"]:
        """Training compounds of the rarest target of each answer."""
        own = [least_known(fold.is_target, fold.num_ligands) for fold in self.folds.values()]
        return np.concatenate(own).astype(float)

    def precision(self, name: str) -> Float[np.ndarray, " answer"]:
        """Average precision of each answer by one of the scores, or by `FREQUENCY`."""
        return np.concatenate(
            [
                target_precision(
                    np.tile(fold.num_ligands.astype(float), (len(fold.groups), 1))
                    if name == FREQUENCY
                    else fold.scores[name],
                    fold.is_target,
                )
                for fold in self.folds.values()
            ]
        )


def tables(arms: Sequence[Arm]) -> str:
    """All tables, as Markdown."""
    sections = [
        ("Graphs, both modalities", _graph_rows(arms, "fusion")),
        ("Graphs, without the ligands of each protein", _graph_rows(arms, BY_GRAPH)),
        ("Views, by the training compounds of the rarest target", _view_rows(arms)),
    ]
    if len(arms) > 1:
        sections.append(("What ligands add", _ligand_rows(arms[0], arms[1])))
    for arm in arms:
        sections.append((f"Proteins with five test compounds or more, {arm.name}", _proteins(arm)))
        sections.append((f"Stated and observed, {arm.name}", _reliability_rows(arm)))
    counts = ", ".join(
        f"{arm.name}: {len(arm.folds)} folds, {len(arm.groups)} answers for "
        f"{len(set(arm.groups))} compounds"
        for arm in arms
    )
    parts = [
        f"{counts}; {len(next(iter(arms[0].folds.values())).symbols):,} proteins are ranked.",
        *map(_part, sections),
    ]
    return "\n\n".join(parts)


def _part(section: tuple[str, list[Row]]) -> str:
    return f"### {section[0]}\n\n{markdown_table(section[1])}"


def _graph_rows(arms: Sequence[Arm], view: str) -> list[Row]:
    """Average precision by each graph in a view, and what it lacks to the true one."""
    rows = []
    for arm in arms:
        true, rare = arm.precision(f"{TRUE}/{view}"), arm.rarest <= RARE
        for score in next(iter(arm.folds.values())).scores:
            graph, _, of_score = score.partition("/")
            if of_score != view:
                continue
            own, row = arm.precision(score), {"training": arm.name, "graph": graph}
            for name, inside in (("all", np.ones(len(own), bool)), ("rare", rare)):
                row[name] = _mean(own, inside, arm)
                row[f"true minus this, {name}"] = (
                    None if graph == TRUE else _mean(true - own, inside, arm)
                )
            rows.append(row)
    return rows


def _mean(
    values: Float[np.ndarray, " answer"], inside: Bool[np.ndarray, " answer"], arm: Arm
) -> str:
    return mean_with_interval(values[inside], tuple(np.asarray(arm.groups, object)[inside]))


def _view_rows(arms: Sequence[Arm]) -> list[Row]:
    """Average precision of each view by the true graph, and of the baseline, by strata."""
    rows = []
    for arm in arms:
        strata = ligand_strata(arm.rarest.astype(int))
        for view in (*VIEWS, FREQUENCY):
            own = arm.precision(view if view == FREQUENCY else f"{TRUE}/{view}")
            row = {"training": arm.name, "view": view, "all": _mean(own, own >= 0, arm)}
            for stratum in strata.categories:
                inside = np.asarray(strata == stratum)
                row[f"{stratum} ({inside.sum()})"] = _mean(own, inside, arm)
            rows.append(row)
    return rows


def _ligand_rows(first: Arm, second: Arm) -> list[Row]:
    """The second arm minus the first, on the folds that both have."""
    first, second = first.common(second), second.common(first)
    row: Row = {"": f"{second.name} minus {first.name}", "folds": len(first.folds)}
    for score in (f"{TRUE}/{view}" for view in VIEWS):
        gain = second.precision(score) - first.precision(score)
        view = score.partition("/")[2]
        row[f"{view}, all"] = _mean(gain, gain > -2, first)
        row[f"{view}, rare"] = _mean(gain, first.rarest <= RARE, first)
    return [row]


def _proteins(arm: Arm) -> list[Row]:
    """Mean over proteins, with the compounds of all folds ranked together.

    Scores are calibrated probabilities, which are comparable between folds; a compound counts
    once in each division.
    """
    rows = []
    for view in VIEWS:
        folds = [fold for fold in arm.folds.values() if view in fold.probs]
        if not folds:
            continue
        table = per_protein_table(
            np.concatenate([fold.probs[view] for fold in folds]),
            np.concatenate([fold.is_target for fold in folds]),
            folds[0].num_ligands,
            folds[0].symbols,
        )
        means = table[["auprc", "prevalence", "auroc"]].mean()
        rows.append({"view": view, "proteins": len(table), **means.to_dict()})
    return rows


def _reliability_rows(arm: Arm) -> list[Row]:
    """Bins of the probability in the view `fusion`: ranked proteins with ligands, and all genes
    without.
    """
    folds = [fold for fold in arm.folds.values() if "fusion" in fold.probs]
    pairs = {
        "with ligands": [
            (fold.probs["fusion"][:, fold.has_ligands], fold.is_target[:, fold.has_ligands])
            for fold in folds
        ],
        "by the graph alone": [(fold.by_graph, fold.is_new_target) for fold in folds],
    }
    rows = []
    for name, own in pairs.items():
        probs = np.concatenate([part.ravel() for part, _ in own]).astype(float)
        bins = reliability_of_pairs(probs, np.concatenate([part.ravel() for _, part in own]))
        rows += [{"proteins": name, **row} for row in bins.to_dict(orient="records")]
    return [{**row, **{name: f"{row[name]:.2g}" for name in _ROUNDED}} for row in rows]
