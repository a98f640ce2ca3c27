"""Faithfulness of attributions: completeness, deletion, weight randomisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.explanation_audit.faithfulness import MEASURES, faithfulness_table
from experiments.explanation_audit.folds import ScoredSignatures, compound_means
from moa_jax.explanation.attribution.chunked_attribution import Attribution, attribute
from moa_jax.explanation.attribution.gradients import (
    ExpectedGradients,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from moa_jax.explanation.attribution.occlusion import occlude_genes
from moa_jax.explanation.audit.deletion import Curves, control_importance, deletion_curves
from moa_jax.explanation.audit.stability import agreement_of_pairs
from moa_jax.explanation.audit.weight_randomisation import randomisation_cascade
from moa_jax.schemas import GraphArrays
from moa_jax.training.runs.predictor import Predictor

CONTROLS = ("random", "absolute_z", "degree")
INTEGRATED = "integrated gradients"
# Signatures times steps that are computed at once: a network keeps the states of all proteins.
MAX_ROWS = 256
# Steps where contributions need not be complete.
ROUGH_STEPS = 16

Rows = list[dict[str, Any]]


def integrated(scored: ScoredSignatures, *, num_steps: int = 64) -> Attribution:
    """Integrated gradients from no change."""
    return attribute(
        scored.predictor,
        scored.encoded,
        scored.attribution_target,
        scored.directions,
        IntegratedGradients(num_steps),
        baselines=scored.zero,
        max_rows=MAX_ROWS,
    )


def gene_rankings(
    scored: ScoredSignatures, *, seed: int, occlusion: bool, others: bool = True
) -> dict[str, Float[np.ndarray, "example 1 gene"]]:
    """Contributions of genes by every method.

    Args:
      scored: the signatures.
      seed: of random methods.
      occlusion: whether to occlude every gene by itself.
      others: whether to use other gradients than integrated ones.
    """
    given = scored.predictor, scored.encoded, scored.attribution_target, scored.directions
    methods = {
        "expected gradients": (ExpectedGradients(), scored.draws(seed)),
        "input x gradient": (InputXGradient(), scored.zero),
        "SmoothGrad": (SmoothGrad(), scored.zero),
    }
    found = {INTEGRATED: integrated(scored).values}
    for name, (method, baselines) in methods.items() if others else ():
        found[name] = attribute(*given, method, baselines=baselines, seed=seed).values
    if occlusion:
        found["occlusion"] = occlude_genes(*given, replacement=scored.zero[:, 0])
    return found


def deletion_of_fold(
    scored: ScoredSignatures, rankings: Mapping[str, Float[np.ndarray, "example 1 gene"]], seed: int
) -> dict[str, dict[str, Curves]]:
    """Replacement -> ranking -> curves."""
    controls = control_importance(
        scored.encoded, scored.predictor.features, scored.graph, num_targets=1, seed=seed
    )
    return {
        replacement: {
            name: deletion_curves(
                scored.predictor,
                scored.encoded,
                scored.attribution_target,
                scored.directions,
                importance=importance,
                replacement=values,
            )
            for name, importance in {**rankings, **controls}.items()
        }
        for replacement, values in scored.replacements().items()
    }


def joined_curves(parts: Sequence[Mapping[str, Curves]]) -> dict[str, Curves]:
    """Curves of the signatures of all folds."""
    return {
        name: Curves(
            parts[0][name].fractions,
            np.concatenate([part[name].deletion for part in parts]),
            np.concatenate([part[name].insertion for part in parts]),
        )
        for name in parts[0]
    }


def deletion_tables(
    folds: Sequence[Mapping[str, Mapping[str, Curves]]], groups: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every method against every control with every replacement, and mean measures of all.

    Q-values are over all rows of one replacement.
    """
    against, means = [], []
    for replacement in folds[0]:
        curves = joined_curves([fold[replacement] for fold in folds])
        table = faithfulness_table(curves, CONTROLS, groups)
        table.insert(0, "replacement", replacement)
        against.append(table)
        for name, of_one in curves.items():
            measured = {
                measure: float(compound_means(getattr(of_one, measure), groups).mean())
                for measure in MEASURES
            }
            means.append({"replacement": replacement, "ranking": name, **measured})
    return pd.concat(against, ignore_index=True), pd.DataFrame(means)


def gains(against: pd.DataFrame, measures: Sequence[str]) -> Rows:
    """Gains over the controls with 95 % intervals, from `faithfulness_table`."""
    rows = []
    kept = against[against["measure"].isin(measures)]
    for key, part in kept.groupby(["replacement", "measure", "method"], sort=False):
        row = dict(zip(("replacement", "measure", "method"), key, strict=True))
        row["value"] = float(part["value"].iloc[0])
        for one in part.itertuples():
            row[f"gain over {one.control}"] = f"{one.gain:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"
        rows.append(row)
    return rows


def wins(folds: Sequence[Mapping[str, Mapping[str, Curves]]], groups: Sequence[str]) -> Rows:
    """How many compounds' deletion curves integrated gradients lower further than each control.

    Means of gains can hang on single compounds; medians and shares do not.
    """
    rows = []
    for replacement in folds[0]:
        curves = joined_curves([fold[replacement] for fold in folds])
        area = {
            name: compound_means(own.deletion_auc[:, 0], groups) for name, own in curves.items()
        }
        row: dict[str, Any] = {"replacement": replacement}
        for control in CONTROLS:
            gain = area[control] - area[INTEGRATED]
            row[f"better than {control}"] = f"{int((gain > 0).sum())} of {len(gain)}"
            row[f"median gain over {control}"] = float(np.median(gain))
        rows.append(row)
    return rows


def completeness(gaps: Sequence[Float[np.ndarray, "example 1"]], groups: Sequence[str]) -> Rows:
    """The completeness gap of integrated gradients with 64 steps, over compounds."""
    of_compounds = compound_means(np.concatenate(gaps)[:, 0], groups)
    return [
        {
            "compounds": len(of_compounds),
            "signatures": len(groups),
            "median gap": f"{np.median(of_compounds):.1e}",
            "95th percentile": f"{np.quantile(of_compounds, 0.95):.1e}",
            "largest": f"{of_compounds.max():.1e}",
        }
    ]


def cascade(
    scored: ScoredSignatures,
    usual: Float[np.ndarray, "example 1 gene"],
    seed: int,
    *,
    rewired: GraphArrays | None = None,
) -> Rows:
    """Agreement with the model's explanation during cascading randomisation.

    Args:
      scored: the signatures.
      usual: their integrated gradients.
      seed: of the shuffles.
      rewired: a graph with other edges, that the trained model is asked with first.
    """
    rows = []
    if rewired is not None:
        other = dataclasses.replace(scored.predictor, graph=rewired)
        rows.append(_agreement("no weights; rewired and shuffled graph", other, scored, usual))
    for name, model in randomisation_cascade(scored.predictor, seed=seed):
        rows.append(_agreement(name, model, scored, usual))
    return rows


def _agreement(
    name: str,
    model: Predictor,
    scored: ScoredSignatures,
    usual: Float[np.ndarray, "example 1 gene"],
) -> dict[str, Any]:
    """Explanations by another model of the same signatures and scores, against the usual ones."""
    other = dataclasses.replace(scored, predictor=model)
    found = integrated(other, num_steps=ROUGH_STEPS).values
    row: dict[str, Any] = {"randomised up to": name}
    for kind, by_size in (("signed", False), ("by size", True)):
        agreement = agreement_of_pairs(usual[:, 0], found[:, 0], by_size=by_size)
        row[f"Spearman, {kind}"] = _mean(agreement.spearman, scored)
        row[f"top-50 Jaccard, {kind}"] = _mean(agreement.jaccard, scored)
    return row


def _mean(values: Float[np.ndarray, " example"], scored: ScoredSignatures) -> float:
    """Over compounds; NaN where an explanation is constant everywhere."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    groups = [
        group for group, is_known in zip(scored.examples.groups, known, strict=True) if is_known
    ]
    return float(compound_means(values[known], groups).mean())
