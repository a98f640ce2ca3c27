"""The tables of one compound's explanation, from arrays over its signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.calibration.calibration_store import CalibrationAnswers
from moa_jax.calibration.calibrator import CalibratedAnswers
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.evaluation.label_audit import suspicious_labels
from moa_jax.explanation.attribution.modality_shares import MODALITIES
from moa_jax.explanation.evidence.enrichment import distinct_sets, enrichment, residuals
from moa_jax.explanation.evidence.gene_sets import GeneSets
from moa_jax.explanation.evidence.label_evidence import nearest_labelled, with_evidence
from moa_jax.explanation.evidence.similar_compounds import KernelEvidence, compound_evidence
from moa_jax.explanation.evidence.target_proximity import proximity, target_distances
from moa_jax.knowledge.propagation import string_degree
from moa_jax.models.experts import SIGNATURE_KERNEL
from moa_jax.models.kernel_experts import reference_signatures
from moa_jax.predictions.answer_basis import training_basis
from moa_jax.predictions.compound_answers import label_set
from moa_jax.schemas import Examples, KnowledgeGraph

# First genes whose distance to the known targets is measured.
NUM_NAMED_GENES = 50
# Residuals from which the correlation of genes is estimated.
_MAX_RESIDUALS = 512


def moa_table(
    moas: Sequence[str],
    probs: Float[np.ndarray, " moa"],
    calibrated: CalibratedAnswers | None,
    labels: Float[np.ndarray, " moa"],
    num_compounds: Int[np.ndarray, " moa"],
) -> pd.DataFrame:
    """All MoAs, the most probable first.

    `rank`, `moa`, `probability` (calibrated), `model_probability`, `p_value`, `in_set`
    (`compound_answers.label_set`), `is_label`, `training_compounds`, `basis`
    (`answer_basis.training_basis`). Without `calibrated` only the model's probabilities are known.
    """
    order = np.argsort(-(probs if calibrated is None else calibrated.probs[0]), kind="stable")
    unknown = np.full(len(probs), np.nan)
    in_set = np.zeros(len(probs), bool) if calibrated is None else label_set(calibrated)
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "moa": [moas[place] for place in order],
            "probability": unknown if calibrated is None else calibrated.probs[0, order],
            "model_probability": probs[order],
            "p_value": unknown if calibrated is None else calibrated.p_values[0, order],
            "in_set": in_set[order],
            "is_label": labels[order] > 0,
            "training_compounds": num_compounds[order],
            "basis": [training_basis(count) for count in num_compounds[order].tolist()],
        }
    )


def modality_table(
    shares: Float[np.ndarray, "signature 2 modality"], *, has_runner_up: bool
) -> pd.DataFrame:
    """Shapley values, means over signatures: `modality`, `contribution`, `contrast`."""
    mean = shares.mean(axis=0).astype(np.float64)
    contrast = mean[1] if has_runner_up else np.full(len(MODALITIES), np.nan)
    return pd.DataFrame({"modality": MODALITIES, "contribution": mean[0], "contrast": contrast})


def expert_table(
    experts: Sequence[str], shares: Float[np.ndarray, "signature 2 expert"], *, has_runner_up: bool
) -> pd.DataFrame:
    """Parts of the score by expert, means over signatures: `expert`, `contribution`, `contrast`.

    The contributions sum to the logit of the MoA, the contrasts to it minus the runner-up's.
    """
    mean = shares.mean(axis=0).astype(np.float64)
    contrast = mean[1] if has_runner_up else np.full(len(experts), np.nan)
    return pd.DataFrame({"expert": experts, "contribution": mean[0], "contrast": contrast})


def gene_table(
    features: FeatureSpec,
    own: Examples,
    contributions: Float[np.ndarray, "signature 2 gene"],
    *,
    has_runner_up: bool,
) -> pd.DataFrame:
    """Measured genes, the largest contribution first.

    `rank`, `entrez_id`, `symbol`, `contribution` (mean over signatures), `lowest` and `highest`
    (over signatures), `contrast` (to the MoA's score minus its runner-up's), `mean_z`.
    """
    mean = contributions.mean(axis=0).astype(np.float64)
    contrast = mean[1] if has_runner_up else np.full(mean.shape[1], np.nan)
    table = pd.DataFrame(
        {
            "entrez_id": features.genes,
            "symbol": features.gene_symbols,
            "contribution": mean[0],
            "lowest": contributions[:, 0].min(axis=0).astype(np.float64),
            "highest": contributions[:, 0].max(axis=0).astype(np.float64),
            "contrast": contrast,
            "mean_z": own.expression.mean(axis=0).astype(np.float64),
        }
    )[own.gene_mask]
    order = np.argsort(-table["contribution"].abs().to_numpy(), kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def reference_residuals(
    params: Mapping, references: pd.DataFrame
) -> Float[np.ndarray, "residual gene"] | None:
    """Reference signatures minus the mean of their compound, in standard deviations.

    None if the model has no signature kernel.
    """
    kernel = params.get(SIGNATURE_KERNEL)
    own = references[references["expert"] == SIGNATURE_KERNEL]
    if kernel is None or not len(own):
        return None
    moved = np.asarray(reference_signatures(kernel))[: len(own)] / np.asarray(kernel["gene_scale"])
    rows = residuals(moved.astype(np.float64), list(own["group"]))
    every = max(1, -(-len(rows) // _MAX_RESIDUALS))
    return rows[::every] if len(rows) > 1 else None


def pathway_table(
    sets: GeneSets,
    contributions: Float[np.ndarray, "signature gene"],
    slope: Float[np.ndarray, "signature gene"],
    reference: Float[np.ndarray, "residual gene"] | None,
    symbols: Sequence[str],
) -> pd.DataFrame:
    """Enrichment of gene sets in the mean contributions, the smallest p-value first.

    Args:
      sets: sets over the same genes.
      contributions: of genes.
      slope: contribution per unit of change. Correlations of genes are estimated from the
        contributions of `reference` with these slopes.
      reference: `reference_residuals`.
      symbols: names of the genes.

    Returns:
      The table of `enrichment` with `is_distinct` (selected by `distinct_sets`) and `telling_genes`
      (the leading genes of these sets, separated by `|`).
    """
    scores = contributions.mean(axis=0).astype(np.float64)
    mean_slope = slope.mean(axis=0).astype(np.float64)
    table = enrichment(
        scores, sets, reference=None if reference is None else reference * mean_slope
    )
    distinct = distinct_sets(scores, sets, table)
    table["is_distinct"] = np.isin(table.index, distinct.index)
    leading = {
        row: "|".join(symbols[gene] for gene in genes[:8])
        for row, genes in zip(distinct.index, distinct["genes"], strict=True)
    }
    table["telling_genes"] = [leading.get(row, "") for row in table.index]
    return table.sort_values(["p_value", "collection", "set_id"], ignore_index=True)


def node_table(
    graph: KnowledgeGraph, scores: Float[np.ndarray, " node"], targets: Sequence[str]
) -> pd.DataFrame:
    """Genes and terms of the graph, the largest score first.

    `kind` (`gene` or `term`), `id`, `name`, `score`, `is_measured`, `is_known_target`.
    """
    genes, terms = graph.genes, graph.terms
    count = graph.num_genes
    table = pd.DataFrame(
        {
            "kind": ["gene"] * count + ["term"] * graph.num_terms,
            "id": [*genes["entrez_id"], *terms["go_id"]],
            "name": [*genes["symbol"], *terms["name"]],
            "score": scores.astype(np.float64),
            "is_measured": np.arange(len(scores)) < graph.num_landmarks,
            "is_known_target": [
                *genes["symbol"].isin(set(targets)),
                *np.zeros(graph.num_terms, bool),
            ],
        }
    )
    order = np.argsort(-table["score"].abs().to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def evidence_table(
    evidence: Mapping[str, KernelEvidence],
    rows: Int[np.ndarray, " signature"],
    moa: int,
    runner_up: int | None,
) -> pd.DataFrame:
    """Training compounds and their contributions, means over signatures; see `compound_evidence`.

    With `contrast`: `from_similarity` for the MoA minus that for the runner-up.
    """
    table = _mean_evidence(evidence, rows, moa)
    if runner_up is None or not len(table):
        return table.assign(contrast=np.nan)
    other = _mean_evidence(evidence, rows, runner_up).set_index(["expert", "group"])
    keys = pd.MultiIndex.from_frame(table[["expert", "group"]])
    theirs = other["from_similarity"].reindex(keys).to_numpy()
    return table.assign(contrast=table["from_similarity"] - theirs)


def _mean_evidence(
    evidence: Mapping[str, KernelEvidence], rows: Int[np.ndarray, " signature"], moa: int
) -> pd.DataFrame:
    tables = [compound_evidence(evidence, int(row), moa) for row in rows]
    keys = ["expert", "group"]
    together = pd.concat(tables, ignore_index=True).groupby(keys, sort=True)
    means = dict.fromkeys(("contribution", "from_similarity", "from_proteins"), "mean")
    columns = {"similarity": "max", **means}
    numbers = together[list(columns)].agg(columns)
    table = tables[0].drop(columns=list(columns)).join(numbers, on=keys)
    return table.sort_values(["from_similarity", *keys], ascending=[False, True, True]).reset_index(
        drop=True
    )


def proximity_table(
    graph: KnowledgeGraph,
    contributions: Float[np.ndarray, " gene"],
    own: Examples,
    targets: Sequence[str],
    *,
    seed: int,
) -> pd.DataFrame:
    """`proximity` of the first genes to the known targets in STRING.

    One row per ranking, `explanation` and `absolute z`: `ranking`, `num_targets`, `num_named`,
    `distance`, `expected`, `p_value`. Empty if the graph has none of the targets.
    """
    columns = ["ranking", "num_targets", "num_named", "distance", "expected", "p_value"]
    distances = target_distances(graph, list(targets))[: graph.num_landmarks]
    if np.isnan(distances).any():
        return pd.DataFrame(columns=columns)
    degree = string_degree(graph)[: graph.num_landmarks]
    k = max(1, min(NUM_NAMED_GENES, graph.num_landmarks // 4))
    rows = []
    change = np.abs(own.expression.mean(axis=0))
    known = len(set(targets) & set(graph.genes["symbol"]))
    rankings = {"explanation": np.abs(contributions), "absolute z": change}
    for name, importance in rankings.items():
        found = proximity(importance.astype(np.float64), distances, degree, k=k, seed=seed)
        rows.append((name, known, k, found.distance, found.expected, found.p_value))
    return pd.DataFrame(rows, columns=columns)


def signature_table(
    own: Examples,
    probs: Float[np.ndarray, "signature moa"],
    weights: Float[np.ndarray, " signature"],
    moas: Sequence[str],
    moa: int,
) -> pd.DataFrame:
    """The compound's signatures and the prediction for each.

    `sig_id`, `pert_id`, `cell_line`, `dose_um`, `time_h`, `weight` in the pooled answer,
    `top_moa`, uncalibrated `probability` of the explained MoA.
    """
    table = own.table[["sig_id", "pert_id", "cell_line", "dose_um", "time_h"]].copy()
    table["weight"] = weights
    table["top_moa"] = [moas[place] for place in probs.argmax(axis=1)]
    table["probability"] = probs[:, moa]
    return table.reset_index(drop=True)


def label_notes(
    held_out: CalibrationAnswers,
    probs: Float[np.ndarray, " moa"],
    labels: Float[np.ndarray, " moa"],
    *,
    moas: Sequence[str],
    neighbours: pd.DataFrame,
) -> pd.DataFrame:
    """Labels of the compound that the model contradicts, with the evidence for and against them.

    Thresholds of confident learning are fitted to the run's held-out compounds and this one.

    Args:
      held_out: answers for held-out compounds, in the view of the compound's answer.
      probs: the model's probabilities for the compound.
      labels: its labels; if there are none, the table is empty.
      moas: name of each MoA.
      neighbours: the compound's `evidence_table`.

    Returns:
      The compound's rows of `suspicious_labels`, with those of `label_evidence.with_evidence`.
    """
    table = suspicious_labels(
        np.concatenate([held_out.probs, probs[None]]),
        np.concatenate([held_out.labels, labels[None]]).astype(np.float64),
        # No group has an empty name.
        [*held_out.groups, ""],
        list(moas),
        of=np.arange(len(held_out.probs) + 1) == (len(held_out.probs) if labels.any() else -1),
    )
    table = table.drop(columns="compound").reset_index(drop=True)
    return with_evidence(table, nearest_labelled(neighbours), moas[int(probs.argmax())])
