"""Known pharmacology in real data: distance to known targets, and the mechanism's pathway."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from experiments.explanation_audit.faithful import integrated
from experiments.explanation_audit.folds import ScoredSignatures, compound_means, first_rows
from moa_jax.data.storage.graph_folder import read_gene_sets
from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.explanation.attribution.network_attribution import (
    adjoint_node_attribution,
    smoothed_node_attribution,
)
from moa_jax.explanation.evidence.enrichment import enrichment, residuals
from moa_jax.explanation.evidence.gene_sets import listed_sets
from moa_jax.explanation.evidence.target_proximity import proximity_table

MOA_SETS = pathlib.Path(__file__).with_name("moa_sets.tsv")
MIN_SET, MAX_SET = 5, 200
# Explanation -> control over the same candidates.
CONTROL_OF = {
    "genes by integrated gradients": "genes by |z|",
    "nodes by adjoint of the propagation": "nodes by smoothed |z|",
    "nodes by smoothed contributions": "nodes by smoothed |z|",
}

Ranked = dict[str, Float[np.ndarray, "compound node"]]


def gene_and_node_rankings(
    scored: ScoredSignatures, contributions: Float[np.ndarray, "example 1 gene"]
) -> Ranked:
    """Importance of genes and of nodes for each compound, means over its signatures."""
    propagation = np.asarray(scored.predictor.graph.propagation)
    num_genes = scored.graph.num_genes
    groups = scored.examples.groups
    mean = compound_means(contributions[:, 0], groups).astype(np.float32)
    change = scored.encoded.expression - scored.zero[:, 0]
    mean_z = np.abs(compound_means(scored.examples.expression, groups)).astype(np.float32)
    adjoint = compound_means(
        adjoint_node_attribution(contributions, change, propagation)[:, 0], groups
    )
    return {
        "genes by integrated gradients": np.abs(mean),
        "genes by |z|": mean_z,
        "nodes by adjoint of the propagation": np.abs(adjoint[:, :num_genes]),
        "nodes by smoothed contributions": smoothed_node_attribution(
            np.abs(mean)[:, None], propagation
        )[:, 0, :num_genes],
        "nodes by smoothed |z|": (mean_z @ propagation)[:, :num_genes],
        "nodes by smoothed ones": (np.ones_like(mean_z) @ propagation)[:, :num_genes],
    }


def proximity_of_compounds(
    folds: Sequence[ScoredSignatures],
    values: Sequence[Float[np.ndarray, "example 1 gene"]],
    *,
    num_draws: int,
    seed: int,
) -> pd.DataFrame:
    """`proximity_table` of the test compounds of all folds, with q-values over all of them."""
    parts = []
    for scored, contributions in zip(folds, values, strict=True):
        ranked = gene_and_node_rankings(scored, contributions)
        examples = scored.examples
        first = first_rows(examples.groups)
        targets = {examples.groups[row]: examples.targets[row] for row in first}
        for kind, candidates in (
            ("genes", np.arange(scored.graph.num_landmarks)),
            ("nodes", np.arange(scored.graph.num_genes)),
        ):
            own = {
                name: values.astype(np.float64)
                for name, values in ranked.items()
                if name.startswith(kind)
            }
            parts.append(
                proximity_table(
                    own, targets, scored.graph, candidates, num_draws=num_draws, seed=seed
                )
            )
    table = pd.concat(parts, ignore_index=True)
    table["q_value"] = table.groupby("ranking")["p_value"].transform(
        lambda column: adjusted_p_values(column.to_numpy(np.float64))
    )
    return table


def proximity_summary(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Whether first genes are nearer to targets than degree-matched random genes, and than by |z|.

    One-sided signed-rank tests over compounds; q-values over all tests of the summary.
    """
    wide = table.pivot(index="compound", columns="ranking", values="distance")
    rows, p_values = [], []
    for ranking, part in table.groupby("ranking", sort=False):
        nearer = (part["expected"] - part["distance"]).to_numpy()
        control = CONTROL_OF.get(ranking)
        tests = [_signed_rank(nearer)]
        row = {
            "ranking": ranking,
            "compounds": len(part),
            "mean distance": float(part["distance"].mean()),
            "degree-matched random": float(part["expected"].mean()),
            "nearer than random, p": tests[0],
            "share p < 0.05": float((part["p_value"] < 0.05).mean()),
            "compounds q < 0.05": int((part["q_value"] < 0.05).sum()),
        }
        if control is not None:
            gain = (wide[control] - wide[ranking]).to_numpy()
            tests.append(_signed_rank(gain))
            row["nearer than by z, steps"] = float(gain.mean())
            row["nearer than by z, p"] = tests[1]
        rows.append(row)
        p_values.append(tests)
    adjusted = iter(adjusted_p_values(np.array([p for tests in p_values for p in tests])).tolist())
    for row, tests in zip(rows, p_values, strict=True):
        row["nearer than random, q"] = f"{next(adjusted):.1e}"
        row["nearer than random, p"] = f"{tests[0]:.1e}"
        if len(tests) > 1:
            row["nearer than by z, q"] = f"{next(adjusted):.1e}"
            row["nearer than by z, p"] = f"{tests[1]:.1e}"
    return rows


def own_pathways(
    folds: Sequence[ScoredSignatures], runs: Sequence[pathlib.Path], *, num_steps: int
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Enrichment of each mechanism's gene set in the explanations of its logit.

    The logit of a compound's label is explained, whether the model's answer is right or not. The
    score of a gene is the mean absolute contribution over the mechanism's compounds.

    Returns:
      One row per mechanism and ranking, and a summary.
    """
    wanted = pd.read_csv(MOA_SETS, sep="\t", dtype=str)
    genes = list(folds[0].graph.genes["entrez_id"].iloc[: folds[0].graph.num_landmarks])
    sets = listed_sets(read_gene_sets(runs[0]), genes).of_size(MIN_SET, MAX_SET)
    place = {name: row for row, name in enumerate(sets.ids)}
    explained = _explained_labels(folds, num_steps)
    rows = []
    for moa, own in wanted.groupby("moa", sort=True):
        of_moa = explained["moa"] == moa
        groups = list(explained["groups"][of_moa])
        for ranking in ("integrated gradients", "|z|"):
            importance = explained[ranking][of_moa]
            values = compound_means(importance, groups).mean(axis=0)
            reference = residuals(importance, groups)
            table = enrichment(
                values,
                sets,
                reference=reference if len(reference) > 1 else None,
                alternative="greater",
            )
            order = table["p_value"].rank(method="min")
            for set_id in own["set_id"]:
                row = table.iloc[place[set_id]]
                rows.append(
                    {
                        "ranking": ranking,
                        "moa": moa,
                        "set": row["name"],
                        "genes": int(row["num_genes"]),
                        "statistic": float(row["statistic"]),
                        "p_value": float(row["p_value"]),
                        "rank": int(order.iloc[place[set_id]]),
                        "sets": sets.num_sets,
                    }
                )
    table = pd.DataFrame(rows)
    table["q_value"] = table.groupby("ranking")["p_value"].transform(
        lambda column: adjusted_p_values(column.to_numpy(np.float64))
    )
    return table, _pathway_summary(table)


def _pathway_summary(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for ranking, part in table.groupby("ranking", sort=False):
        share = (part["rank"] / part["sets"]).to_numpy()
        rows.append(
            {
                "ranking": ranking,
                "mechanisms": len(part),
                "p < 0.05": int((part["p_value"] < 0.05).sum()),
                "q < 0.05": int((part["q_value"] < 0.05).sum()),
                "median rank among all sets": f"{np.median(share):.0%}",
                "in the first tenth": int((share <= 0.1).sum()),
                "all together, p": f"{stats.combine_pvalues(part['p_value'])[1]:.1e}",
            }
        )
    return rows


def _explained_labels(folds: Sequence[ScoredSignatures], num_steps: int) -> dict[str, np.ndarray]:
    """Absolute contributions to every label of every signature, and absolute z-scores.

    One row per signature and label: `moa`, `groups`, `integrated gradients`, `|z|`.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for fold in folds:
        rows, columns = np.nonzero(fold.examples.labels > 0)
        scored = dataclasses.replace(fold.take(rows), moas=columns)
        contributions = integrated(scored, num_steps=num_steps).values[:, 0]
        for name, values in {
            "moa": np.array(fold.predictor.features.moas)[columns],
            "groups": np.array(scored.examples.groups),
            "integrated gradients": np.abs(contributions).astype(np.float64),
            "|z|": np.abs(scored.examples.expression).astype(np.float64),
        }.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _signed_rank(differences: Float[np.ndarray, " compound"]) -> float:
    """One-sided p-value that differences tend to be positive."""
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences, alternative="greater").pvalue)
