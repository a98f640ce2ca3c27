"""Tables of predicted targets: graphs, views, ligands, proteins and probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from experiments.main_result.confidence_tables import Row, mean_with_interval
from experiments.targets.folds import TRUE, FoldTargets
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


@dataclasses.dataclass(frozen=True)
class Arm:
    """The folds that were trained on the same kinds of compounds.

    Attributes:
      name: in the tables.
      folds: their answers.
    """

    name: str
    folds: tuple[FoldTargets, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Compound of each answer; one answer in each division."""
        return tuple(group for fold in self.folds for group in fold.groups)

    @property
    def rarest(self) -> Float[np.ndarray, " answer"]:
        """Training compounds of the rarest target of each answer."""
        own = [least_known(fold.is_target, fold.num_ligands) for fold in self.folds]
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
                for fold in self.folds
            ]
        )


def tables(arms: Sequence[Arm]) -> str:
    """All tables, as Markdown."""
    sections = [
        ("Graphs, both modalities", _graph_rows(arms)),
        ("Views, by the training compounds of the rarest target", _view_rows(arms)),
    ]
    if len(arms) > 1:
        sections.append(("What ligands add", _ligand_rows(arms)))
    for arm in arms:
        sections.append((f"Proteins with five test compounds or more, {arm.name}", _proteins(arm)))
        sections.append((f"Stated and observed, {arm.name}", _reliability_rows(arm)))
    counts = ", ".join(
        f"{arm.name}: {len(arm.folds)} folds, {len(arm.groups)} answers for "
        f"{len(set(arm.groups))} compounds"
        for arm in arms
    )
    parts = [
        f"{counts}; {len(arms[0].folds[0].symbols):,} proteins are ranked.",
        *map(_part, sections),
    ]
    return "\n\n".join(parts)


def _part(section: tuple[str, list[Row]]) -> str:
    return f"### {section[0]}\n\n{markdown_table(section[1])}"


def _graph_rows(arms: Sequence[Arm]) -> list[Row]:
    """Average precision by each graph, and what it lacks to the true one."""
    rows = []
    for arm in arms:
        true, rare = arm.precision(f"{TRUE}/fusion"), arm.rarest <= RARE
        for score in arm.folds[0].scores:
            graph, _, view = score.partition("/")
            if view != "fusion":
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


def _ligand_rows(arms: Sequence[Arm]) -> list[Row]:
    """The second arm minus the first, on the folds that both have."""
    first, second = arms[:2]
    precision = [
        pd.DataFrame(
            {
                "group": arm.groups,
                "answer": _occurrence(arm.groups),
                "ap": arm.precision(f"{TRUE}/fusion"),
                "rarest": arm.rarest,
            }
        )
        for arm in (first, second)
    ]
    both = precision[0].merge(precision[1], on=["group", "answer"])
    gain = (both["ap_y"] - both["ap_x"]).to_numpy()
    row: Row = {"": f"{second.name} minus {first.name}"}
    for name, inside in (
        ("all", np.ones(len(both), bool)),
        ("rare", (both["rarest_x"] <= RARE).to_numpy()),
    ):
        row[name] = mean_with_interval(gain[inside], tuple(both["group"][inside]))
    return [row]


def _occurrence(groups: Sequence[str]) -> list[int]:
    """How often each compound was answered before."""
    return pd.Series(list(groups)).groupby(list(groups)).cumcount().tolist()


def _proteins(arm: Arm) -> list[Row]:
    """Mean over proteins, with the compounds of all folds ranked together.

    Scores are calibrated probabilities, which are comparable between folds; a compound counts
    once in each division.
    """
    rows = []
    for view in VIEWS:
        folds = [fold for fold in arm.folds if view in fold.probs]
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
    """Bins of the probability in the view `fusion`, proteins with ligands and others apart.

    Others are here those that some compound of the data is known to act on, which has none in
    training: they are more often targets than genes without any known ligand.
    """
    folds = [fold for fold in arm.folds if "fusion" in fold.probs]
    rows = []
    for name, wanted in (("with ligands", True), ("by the graph alone", False)):
        pairs = [
            (
                fold.probs["fusion"][:, fold.has_ligands == wanted].ravel(),
                fold.is_target[:, fold.has_ligands == wanted].ravel(),
            )
            for fold in folds
        ]
        if not pairs:
            continue
        probs, is_target = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        bins = reliability_of_pairs(probs.astype(float), is_target)
        rows += [{"proteins": name, **row} for row in bins.to_dict(orient="records")]
    return rows
