"""Recovery of the planted truth of a simulated release, compound by compound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from experiments.explanation_audit.faithful import INTEGRATED, ROUGH_STEPS, integrated
from experiments.explanation_audit.folds import ScoredSignatures, compound_means, first_rows
from experiments.explanation_audit.ground_truth import PlantedTruth, recovery
from moa_jax.compounds.substructures import atoms_within
from moa_jax.evaluation.bootstrap import interval, resample_counts
from moa_jax.explanation.attribution.chunked_attribution import attribute
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.attribution.network_attribution import (
    adjoint_node_attribution,
    smoothed_node_attribution,
)
from moa_jax.explanation.attribution.occlusion import occlude_atoms, occlude_neighbourhoods
from moa_jax.explanation.audit.weight_randomisation import randomised
from moa_jax.explanation.evidence.gene_sets import term_sets
from moa_jax.knowledge.propagation import string_degree
from moa_jax.models.experts import EXPERTS

HITS = (1, 10, 50)
# Smallest effect of an affected gene, as a share of the mechanism's strongest gene.
MIN_EFFECTS = (0.1, 0.25)
SLOPE = "integrated gradients per unit of change"

# Ranking -> importance, one row per compound.
Rankings = dict[str, Float[np.ndarray, "compound item"]]


@dataclasses.dataclass(frozen=True)
class Recovered:
    """Recovery of one kind of item in one fold; one row per compound and ranking."""

    what: str
    table: pd.DataFrame


def recovered_in_fold(
    scored: ScoredSignatures,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    truth: PlantedTruth,
    rewired: Float[np.ndarray, "gene node"],
    *,
    seed: int,
) -> list[Recovered]:
    """Recovery of targets, affected genes, terms and atoms.

    Args:
      scored: the test signatures.
      genes: contributions of genes by every method.
      truth: the planted truth.
      rewired: the propagation over a rewired graph.
      seed: seed of random weights.
    """
    shuffled = dataclasses.replace(scored, predictor=randomised(scored.predictor, seed=seed))
    random_weights = integrated(shuffled, num_steps=ROUGH_STEPS).values
    genes = {**genes, SLOPE: per_unit(genes[INTEGRATED], scored)}
    first = first_rows(scored.examples.groups)
    pert_ids = [scored.examples.table["pert_id"].iloc[row] for row in first]
    moas = _true_moas(truth, pert_ids)
    symbols = list(scored.graph.genes["entrez_id"])
    nodes = _node_rankings(scored, genes, random_weights, rewired, seed)
    nodes |= _activity_rankings(scored, shuffled)
    ranked_genes = _gene_rankings(scored, genes, random_weights)
    num_genes, measured = scored.graph.num_genes, symbols[: scored.graph.num_landmarks]
    right = np.array(moas) == np.array(scored.predictor.features.moas)[scored.moas[first]]
    found = [
        _recovered(
            "targets among the graph's genes",
            {name: values[:, :num_genes] for name, values in nodes.items()},
            truth.targets_of_moas(moas, symbols),
            right,
        )
    ]
    for least in MIN_EFFECTS:
        planted = truth.genes_of_drugs(pert_ids, measured, least=least)
        found.append(
            _recovered(f"affected genes, effect > {least:g}", ranked_genes, planted, right)
        )
    terms = truth.terms_of_moas(moas, list(scored.graph.terms["go_id"]))
    found.append(_recovered("terms", _term_rankings(scored, ranked_genes, nodes), terms, right))
    # A release with network mechanisms has no planted substructures.
    if (truth.molecules["atoms"] != "").any():
        found.append(_recovered_atoms(scored, shuffled, truth, right))
    return found


def per_unit(
    contributions: Float[np.ndarray, "example 1 gene"], scored: ScoredSignatures
) -> Float[np.ndarray, "example 1 gene"]:
    """Contributions per unit of change."""
    change = (scored.encoded.expression - scored.zero[:, 0])[:, None]
    return np.divide(contributions, change, out=np.zeros_like(contributions), where=change != 0)


def _true_moas(truth: PlantedTruth, pert_ids: Sequence[str]) -> list[str]:
    rows = truth.molecules.drop_duplicates("pert_id").set_index("pert_id")
    return [rows.loc[pert_id, "moa"] for pert_id in pert_ids]


def _node_rankings(
    scored: ScoredSignatures,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    random_weights: Float[np.ndarray, "example 1 gene"],
    rewired: Float[np.ndarray, "gene node"],
    seed: int,
) -> Rankings:
    """Importance of graph nodes, propagated from genes."""
    groups = scored.examples.groups
    propagation = np.asarray(scored.predictor.graph.propagation)
    change = scored.encoded.expression - scored.zero[:, 0]

    def smoothed(values: np.ndarray, matrix: np.ndarray) -> Float[np.ndarray, "compound node"]:
        mean = np.abs(compound_means(values, groups)).astype(np.float32)
        return smoothed_node_attribution(mean[:, None], matrix)[:, 0]

    def adjoint(values: np.ndarray, matrix: np.ndarray) -> Float[np.ndarray, "compound node"]:
        nodes = adjoint_node_attribution(values, change, matrix)[:, 0]
        return np.abs(compound_means(nodes, groups))

    ranked = {f"{name}, smoothed": smoothed(own[:, 0], propagation) for name, own in genes.items()}
    usual = next(iter(genes.values()))
    ranked["integrated gradients, adjoint"] = adjoint(usual, propagation)
    ranked["|z|, smoothed"] = smoothed(scored.examples.expression, propagation)
    ranked["degree"] = _for_all(string_degree(scored.graph), scored, propagation.shape[1])
    ranked["random weights, smoothed"] = smoothed(random_weights[:, 0], propagation)
    slopes = per_unit(random_weights, scored)[:, 0]
    ranked["random weights, per unit of change, smoothed"] = smoothed(slopes, propagation)
    ranked["random weights, adjoint"] = adjoint(random_weights, propagation)
    ranked["rewired graph, smoothed"] = smoothed(usual[:, 0], rewired)
    ranked["rewired graph, adjoint"] = adjoint(usual, rewired)
    ranked["random"] = np.random.default_rng(seed).random(ranked["degree"].shape)
    return ranked


def _activity_rankings(scored: ScoredSignatures, shuffled: ScoredSignatures) -> Rankings:
    """Importance of graph nodes for a model that reads their activity; empty for others."""
    if not any(EXPERTS[name].reads_nodes for name in scored.predictor.task.model.experts):
        return {}
    return {
        "integrated gradients of nodes": _of_activity(scored),
        "random weights, integrated gradients of nodes": _of_activity(shuffled),
    }


def _of_activity(scored: ScoredSignatures) -> Float[np.ndarray, "compound node"]:
    """Integrated gradients of the activity of nodes, for a model that reads it."""
    found = attribute(
        scored.predictor,
        scored.encoded,
        dataclasses.replace(scored.attribution_target, input_name="activity"),
        scored.directions,
        IntegratedGradients(32),
        reference=scored.zero[:, 0],
    )
    return np.abs(compound_means(found.values[:, 0], scored.examples.groups))


def _for_all(
    values: Float[np.ndarray, " item"], scored: ScoredSignatures, length: int
) -> Float[np.ndarray, "compound item"]:
    """The same importance for every compound, padded with zeros."""
    padded = np.zeros(length)
    padded[: len(values)] = values
    return np.tile(padded, (len(set(scored.examples.groups)), 1))


def _gene_rankings(
    scored: ScoredSignatures,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    random_weights: Float[np.ndarray, "example 1 gene"],
) -> Rankings:
    """Importance of measured genes."""
    groups = scored.examples.groups
    ranked = {name: np.abs(compound_means(own[:, 0], groups)) for name, own in genes.items()}
    ranked["|z|"] = np.abs(compound_means(scored.examples.expression, groups))
    count = scored.graph.num_landmarks
    ranked["degree"] = _for_all(string_degree(scored.graph)[:count], scored, count)
    ranked["random weights"] = np.abs(compound_means(random_weights[:, 0], groups))
    slopes = per_unit(random_weights, scored)[:, 0]
    ranked["random weights, per unit of change"] = np.abs(compound_means(slopes, groups))
    return ranked


def _term_rankings(scored: ScoredSignatures, genes: Rankings, nodes: Rankings) -> Rankings:
    """Importance of terms: the mean over their measured genes, or that of their nodes."""
    members = term_sets(scored.graph).members.astype(float)
    size = np.maximum(members.sum(axis=1), 1)
    ranked = {f"{name}, mean of genes": own @ members.T / size for name, own in genes.items()}
    for name, own in nodes.items():
        if name not in ("degree", "random"):
            ranked[name] = own[:, scored.graph.num_genes :]
    ranked["number of genes"] = np.tile(members.sum(axis=1), (len(next(iter(genes.values()))), 1))
    return ranked


def _recovered_atoms(
    scored: ScoredSignatures,
    shuffled: ScoredSignatures,
    truth: PlantedTruth,
    right: Bool[np.ndarray, " compound"],
) -> Recovered:
    """Recovery of the planted substructure's atoms by occlusion."""
    first = first_rows(scored.examples.groups)
    known = np.array([scored.examples.smiles[row] is not None for row in first])
    first, right = first[known], right[known]
    pert_ids = [scored.examples.table["pert_id"].iloc[row] for row in first]
    smiles = [scored.examples.smiles[row] for row in first]
    planted = truth.atoms_of_drugs(pert_ids, smiles)
    single = [np.eye(len(atoms), dtype=bool) for atoms in planted]
    bonded = [atoms_within(text, 1) for text in smiles]
    ranked = {}
    for name, model, groups in (
        ("occlusion of atoms", scored, single),
        ("occlusion of atoms with their neighbours", scored, bonded),
        ("random weights, atoms", shuffled, single),
        ("random weights, atoms with their neighbours", shuffled, bonded),
    ):
        own = model.take(first)
        found = occlude_atoms(
            own.predictor,
            own.encoded,
            smiles,
            own.attribution_target,
            own.directions,
            groups=groups,
        )
        ranked[name] = [values[0] for values in found]
    for name, model in (("occlusion", scored), ("random weights", shuffled)):
        own = model.take(first)
        found = occlude_neighbourhoods(
            own.predictor, own.encoded, smiles, own.attribution_target, own.directions
        )
        ranked[f"{name}, mean over neighbourhoods"] = [values[0] for values in found]
    rng = np.random.default_rng(0)
    ranked["random"] = [rng.random(len(atoms)) for atoms in planted]
    longest = max(map(len, planted))
    candidates = _padded([np.ones(len(atoms), bool) for atoms in planted], longest)
    return _recovered(
        "atoms of the substructure",
        {name: _padded(values, longest) for name, values in ranked.items()},
        _padded(planted, longest),
        right,
        candidates=candidates,
    )


def recovered_of_mechanisms(
    some: Sequence[ScoredSignatures],
    rankings: Sequence[Mapping[str, Float[np.ndarray, "example 1 gene"]]],
    truth: PlantedTruth,
) -> list[Recovered]:
    """Recovery by mean explanations over the compounds that truly have a mechanism.

    Signed contributions are averaged over signatures, then over compounds; genes are ranked by the
    size of the mean.
    """
    values: dict[str, list[np.ndarray]] = {}
    moas: list[str] = []
    for scored, of_fold in zip(some, rankings, strict=True):
        groups = scored.examples.groups
        pert_ids = scored.examples.table["pert_id"].iloc[first_rows(groups)]
        moas += _true_moas(truth, list(pert_ids))
        signed = {name: own[:, 0] for name, own in of_fold.items()}
        signed[SLOPE] = per_unit(of_fold[INTEGRATED], scored)[:, 0]
        signed["z"] = scored.examples.expression
        for name, own in signed.items():
            values.setdefault(name, []).append(compound_means(own, groups))
    names = sorted(set(moas))
    ranked = {
        name: np.abs(compound_means(np.concatenate(parts), moas)) for name, parts in values.items()
    }
    graph, propagation = some[0].graph, np.asarray(some[0].predictor.graph.propagation)
    symbols = list(graph.genes["entrez_id"])
    nodes = {
        f"{name}, smoothed": smoothed_node_attribution(
            own[:, None].astype(np.float32), propagation
        )[:, 0, : graph.num_genes]
        for name, own in ranked.items()
    }
    right = np.ones(len(names), bool)
    found = [_recovered("targets", nodes, truth.targets_of_moas(names, symbols), right)]
    for least in MIN_EFFECTS:
        planted = truth.genes_of_moas(names, symbols[: graph.num_landmarks], least=least)
        found.append(_recovered(f"affected genes, effect > {least:g}", ranked, planted, right))
    return found


def _padded(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    return np.stack([np.pad(row, (0, length - len(row))) for row in rows])


def _recovered(
    what: str,
    rankings: Rankings,
    planted: Bool[np.ndarray, "compound item"],
    right: Bool[np.ndarray, " compound"],
    *,
    candidates: Bool[np.ndarray, "compound item"] | None = None,
) -> Recovered:
    parts = [
        recovery(importance, planted, hits=HITS, candidates=candidates).assign(
            ranking=name, compound=np.arange(len(planted)), right=right
        )
        for name, importance in rankings.items()
    ]
    return Recovered(what, pd.concat(parts, ignore_index=True))


def recovery_rows(
    folds: Sequence[Sequence[Recovered]], units: str = "compounds"
) -> list[dict[str, Any]]:
    """Means over the units of all folds with 95 % intervals, also for right answers only."""
    rows = []
    for place, one in enumerate(folds[0]):
        table = pd.concat([fold[place].table for fold in folds], ignore_index=True)
        for ranking, part in table.dropna().groupby("ranking", sort=False):
            values = part["auroc"].to_numpy()
            counts = resample_counts(len(values), num_resamples=2000, seed=0)
            low, high = interval((counts @ values / len(values))[1:])
            rows.append(
                {
                    "planted": one.what,
                    "ranking": ranking,
                    units: len(part),
                    "mean number planted": float(part["num_planted"].mean()),
                    "AUROC": f"{values.mean():.3f} [{low:.3f}, {high:.3f}]",
                    "AUROC, right answers": float(part.loc[part["right"], "auroc"].mean()),
                    "AUPRC": float(part["auprc"].mean()),
                    **{f"hit@{k}": float(part[f"hit@{k}"].mean()) for k in HITS},
                }
            )
    return rows
