"""Recovery of what a simulated release planted, compound by compound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from experiments.explanation_audit.faithful import INTEGRATED, ROUGH_STEPS, integrated
from experiments.explanation_audit.folds import Asked, compound_means, first_rows
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
from moa_jax.explanation.audit.deletion import string_degree
from moa_jax.explanation.audit.weight_randomisation import randomised
from moa_jax.explanation.evidence.gene_sets import term_sets
from moa_jax.models.experts import EXPERTS

HITS = (1, 10, 50)
# Effects from which a gene counts as affected, as share of the mechanism's strongest gene.
MIN_EFFECTS = (0.1, 0.25)
SLOPE = "integrated gradients per unit of change"

# Ranking -> importance, one row per compound.
Rankings = dict[str, Float[np.ndarray, "compound item"]]


@dataclasses.dataclass(frozen=True)
class Recovered:
    """What was found of one kind of item in one fold; one row per compound and ranking."""

    what: str
    table: pd.DataFrame


def recovered_in_fold(
    asked: Asked,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    truth: PlantedTruth,
    rewired: Float[np.ndarray, "gene node"],
    *,
    seed: int,
) -> list[Recovered]:
    """Recovery of targets, affected genes, terms and atoms.

    Args:
      asked: the test signatures.
      genes: contributions of genes by every method.
      truth: what was planted.
      rewired: the propagation over a rewired graph.
      seed: seed of random weights.
    """
    shuffled = dataclasses.replace(asked, predictor=randomised(asked.predictor, seed=seed))
    random_weights = integrated(shuffled, num_steps=ROUGH_STEPS).values
    genes = {**genes, SLOPE: per_unit(genes[INTEGRATED], asked)}
    first = first_rows(asked.examples.groups)
    pert_ids = [asked.examples.table["pert_id"].iloc[row] for row in first]
    moas = _true_moas(truth, pert_ids)
    symbols = list(asked.graph.genes["entrez_id"])
    nodes = _node_rankings(asked, genes, random_weights, rewired, seed)
    nodes |= _activity_rankings(asked, shuffled)
    ranked_genes = _gene_rankings(asked, genes, random_weights)
    num_genes, measured = asked.graph.num_genes, symbols[: asked.graph.num_landmarks]
    right = np.array(moas) == np.array(asked.predictor.features.moas)[asked.moas[first]]
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
    terms = truth.terms_of_moas(moas, list(asked.graph.terms["go_id"]))
    found.append(_recovered("terms", _term_rankings(asked, ranked_genes, nodes), terms, right))
    # A release whose mechanisms run through the network plants no substructure.
    if (truth.molecules["atoms"] != "").any():
        found.append(_recovered_atoms(asked, shuffled, truth, right))
    return found


def per_unit(
    contributions: Float[np.ndarray, "example 1 gene"], asked: Asked
) -> Float[np.ndarray, "example 1 gene"]:
    """Contributions per unit of change: what the model makes of a gene, whatever it did."""
    change = (asked.encoded.expression - asked.zero[:, 0])[:, None]
    return np.divide(contributions, change, out=np.zeros_like(contributions), where=change != 0)


def _true_moas(truth: PlantedTruth, pert_ids: Sequence[str]) -> list[str]:
    rows = truth.molecules.drop_duplicates("pert_id").set_index("pert_id")
    return [rows.loc[pert_id, "moa"] for pert_id in pert_ids]


def _node_rankings(
    asked: Asked,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    random_weights: Float[np.ndarray, "example 1 gene"],
    rewired: Float[np.ndarray, "gene node"],
    seed: int,
) -> Rankings:
    """Importance of graph nodes, carried there from genes."""
    groups = asked.examples.groups
    propagation = np.asarray(asked.predictor.graph.propagation)
    change = asked.encoded.expression - asked.zero[:, 0]

    def smoothed(values: np.ndarray, matrix: np.ndarray) -> Float[np.ndarray, "compound node"]:
        mean = np.abs(compound_means(values, groups)).astype(np.float32)
        return smoothed_node_attribution(mean[:, None], matrix)[:, 0]

    def adjoint(values: np.ndarray, matrix: np.ndarray) -> Float[np.ndarray, "compound node"]:
        nodes = adjoint_node_attribution(values, change, matrix)[:, 0]
        return np.abs(compound_means(nodes, groups))

    ranked = {f"{name}, smoothed": smoothed(own[:, 0], propagation) for name, own in genes.items()}
    usual = next(iter(genes.values()))
    ranked["integrated gradients, adjoint"] = adjoint(usual, propagation)
    ranked["|z|, smoothed"] = smoothed(asked.examples.expression, propagation)
    ranked["degree"] = _for_all(string_degree(asked.graph), asked, propagation.shape[1])
    ranked["random weights, smoothed"] = smoothed(random_weights[:, 0], propagation)
    slopes = per_unit(random_weights, asked)[:, 0]
    ranked["random weights, per unit of change, smoothed"] = smoothed(slopes, propagation)
    ranked["random weights, adjoint"] = adjoint(random_weights, propagation)
    ranked["rewired graph, smoothed"] = smoothed(usual[:, 0], rewired)
    ranked["rewired graph, adjoint"] = adjoint(usual, rewired)
    ranked["random"] = np.random.default_rng(seed).random(ranked["degree"].shape)
    return ranked


def _activity_rankings(asked: Asked, shuffled: Asked) -> Rankings:
    """Importance of graph nodes to a model that reads their activity; of other models none."""
    if not any(EXPERTS[name].reads_nodes for name in asked.predictor.task.model.experts):
        return {}
    return {
        "integrated gradients of nodes": _of_activity(asked),
        "random weights, integrated gradients of nodes": _of_activity(shuffled),
    }


def _of_activity(asked: Asked) -> Float[np.ndarray, "compound node"]:
    """Integrated gradients of the activity of nodes, for a model that reads it."""
    found = attribute(
        asked.predictor,
        asked.encoded,
        dataclasses.replace(asked.attribution_target, input_name="activity"),
        asked.directions,
        IntegratedGradients(32),
        reference=asked.zero[:, 0],
    )
    return np.abs(compound_means(found.values[:, 0], asked.examples.groups))


def _for_all(
    values: Float[np.ndarray, " item"], asked: Asked, length: int
) -> Float[np.ndarray, "compound item"]:
    """The same importance for every compound; items beyond the given ones have none."""
    padded = np.zeros(length)
    padded[: len(values)] = values
    return np.tile(padded, (len(set(asked.examples.groups)), 1))


def _gene_rankings(
    asked: Asked,
    genes: Mapping[str, Float[np.ndarray, "example 1 gene"]],
    random_weights: Float[np.ndarray, "example 1 gene"],
) -> Rankings:
    """Importance of measured genes."""
    groups = asked.examples.groups
    ranked = {name: np.abs(compound_means(own[:, 0], groups)) for name, own in genes.items()}
    ranked["|z|"] = np.abs(compound_means(asked.examples.expression, groups))
    count = asked.graph.num_landmarks
    ranked["degree"] = _for_all(string_degree(asked.graph)[:count], asked, count)
    ranked["random weights"] = np.abs(compound_means(random_weights[:, 0], groups))
    slopes = per_unit(random_weights, asked)[:, 0]
    ranked["random weights, per unit of change"] = np.abs(compound_means(slopes, groups))
    return ranked


def _term_rankings(asked: Asked, genes: Rankings, nodes: Rankings) -> Rankings:
    """Importance of terms: of their measured genes in the mean, or of themselves as nodes."""
    members = term_sets(asked.graph).members.astype(float)
    size = np.maximum(members.sum(axis=1), 1)
    ranked = {f"{name}, mean of genes": own @ members.T / size for name, own in genes.items()}
    for name, own in nodes.items():
        if name not in ("degree", "random"):
            ranked[name] = own[:, asked.graph.num_genes :]
    ranked["number of genes"] = np.tile(members.sum(axis=1), (len(next(iter(genes.values()))), 1))
    return ranked


def _recovered_atoms(
    asked: Asked, shuffled: Asked, truth: PlantedTruth, right: Bool[np.ndarray, " compound"]
) -> Recovered:
    """Recovery of the planted substructure's atoms by occlusion."""
    first = first_rows(asked.examples.groups)
    known = np.array([asked.examples.smiles[row] is not None for row in first])
    first, right = first[known], right[known]
    pert_ids = [asked.examples.table["pert_id"].iloc[row] for row in first]
    smiles = [asked.examples.smiles[row] for row in first]
    planted = truth.atoms_of_drugs(pert_ids, smiles)
    single = [np.eye(len(atoms), dtype=bool) for atoms in planted]
    bonded = [atoms_within(text, 1) for text in smiles]
    ranked = {}
    for name, model, groups in (
        ("occlusion of atoms", asked, single),
        ("occlusion of atoms with their neighbours", asked, bonded),
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
    for name, model in (("occlusion", asked), ("random weights", shuffled)):
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
    some: Sequence[Asked],
    rankings: Sequence[Mapping[str, Float[np.ndarray, "example 1 gene"]]],
    truth: PlantedTruth,
) -> list[Recovered]:
    """Recovery by explanations of a mechanism: means over the compounds that truly have it.

    Signed contributions are averaged, over signatures, then over compounds, before their size
    ranks the genes.
    """
    values: dict[str, list[np.ndarray]] = {}
    moas: list[str] = []
    for asked, of_fold in zip(some, rankings, strict=True):
        groups = asked.examples.groups
        pert_ids = asked.examples.table["pert_id"].iloc[first_rows(groups)]
        moas += _true_moas(truth, list(pert_ids))
        signed = {name: own[:, 0] for name, own in of_fold.items()}
        signed[SLOPE] = per_unit(of_fold[INTEGRATED], asked)[:, 0]
        signed["z"] = asked.examples.expression
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
    """Means over the units of all folds with 95 % intervals; of right answers alone, too."""
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
