"""The proteins that each compound probably acts on: `targets.csv` of `predict`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.predictions.answered_examples import AnsweredExamples
from moa_jax.predictions.target_model import PooledTargets, TargetModel, pooled_targets
from moa_jax.schemas import ACTIVATES, INHIBITS, KnowledgeGraph

# Proteins of a compound that are listed: the most probable ones, from a least probability on.
NUM_LISTED, MIN_PROBABILITY = 20, 0.01
# Least probability of an action that is told.
MIN_ACTION = 0.6
TARGET_COLUMNS = (
    "pert_id",
    "compound",
    "rank",
    "symbol",
    "entrez_id",
    "probability",
    "action",
    "action_probability",
    "structure_share",
    "signature_share",
    "n_known_ligands",
    "is_measured",
    "z",
    "string_neighbours",
    "known",
)
# Value of `known` for a target that the training compound is known to have.
KNOWN_TARGET = "yes"


def target_table(model: TargetModel, answered: AnsweredExamples) -> pd.DataFrame:
    """The most probable targets of each compound that is answered from a calibrated view.

    Args:
      model: of the run.
      answered: the examples and their answers.

    Returns:
      `TARGET_COLUMNS`, compound by compound. `probability`: that the protein is a known target.
      `action`: missing where it cannot be told or is less than `MIN_ACTION` sure. The shares are
      those of structure and signatures in the evidence for it, missing where neither is for it.
      `n_known_ligands`: training compounds that are known to act on it; with 0 the protein is
      scored by the graph alone. `is_measured`: whether it is a landmark that was measured in the
      compound's signatures, and `z` its mean there. `string_neighbours`: other listed proteins of
      the compound with a STRING interaction with it, joined by `|`. `known`: `KNOWN_TARGET` if the
      compound is a training compound with that target, else empty.
    """
    rows: list[dict[str, Any]] = []
    for pooled in pooled_targets(model, answered):
        rows += _listed(model, answered, pooled)
    return pd.DataFrame(rows, columns=list(TARGET_COLUMNS))


def target_counts(model: TargetModel, table: pd.DataFrame) -> dict[str, Any]:
    """Numbers for the manifest of a prediction."""
    return {
        "compounds": int(table["pert_id"].nunique()),
        "listed": len(table),
        "by_graph_alone": int((table["n_known_ligands"] == 0).sum()),
        "least_probability": MIN_PROBABILITY,
        "proteins_with_ligands": len(model.predictor.features.proteins),
        "proteins": model.graph.num_genes,
        "calibrated_on_compounds": {
            view: own.num_compounds for view, own in sorted(model.calibrators.items())
        },
    }


def _listed(
    model: TargetModel,
    answered: AnsweredExamples,
    pooled: PooledTargets,
) -> Iterator[dict[str, Any]]:
    """The rows of one compound."""
    answer = answered.answers.table.iloc[pooled.place]
    known = model.targets_of.get(answered.training_groups[pooled.place], frozenset())
    order = np.lexsort((-pooled.scores, -pooled.probs))[:NUM_LISTED]
    order = order[pooled.probs[order] >= MIN_PROBABILITY]
    genes = model.graph.genes.iloc[order]
    symbols = genes["symbol"].tolist()
    neighbours = _neighbours(model.graph, order)
    z = _pooled_z(answered, pooled.rows)
    for rank, (gene, symbol) in enumerate(zip(order.tolist(), symbols, strict=True)):
        activates = float(pooled.activates[gene])
        surest = max(activates, 1.0 - activates)
        told = surest >= MIN_ACTION
        for_it = np.maximum(pooled.parts[:, gene], 0.0)
        shares = for_it / for_it.sum() if for_it.any() else np.full(2, np.nan)
        measured = gene < len(z) and bool(answered.examples.gene_mask[gene] & ~np.isnan(z[gene]))
        yield {
            "pert_id": answer["pert_id"],
            "compound": answer["compound"],
            "rank": rank + 1,
            "symbol": symbol,
            "entrez_id": genes["entrez_id"].iloc[rank],
            "probability": float(pooled.probs[gene]),
            "action": (ACTIVATES if activates >= 0.5 else INHIBITS) if told else None,
            "action_probability": surest if told else np.nan,
            "structure_share": float(shares[0]),
            "signature_share": float(shares[1]),
            "n_known_ligands": int(model.num_ligands[gene]),
            "is_measured": measured,
            "z": float(z[gene]) if measured else np.nan,
            "string_neighbours": "|".join(
                other for other, linked in zip(symbols, neighbours[rank], strict=True) if linked
            ),
            "known": KNOWN_TARGET if symbol in known else "",
        }


def _neighbours(
    graph: KnowledgeGraph, genes: Int[np.ndarray, " gene"]
) -> Bool[np.ndarray, "gene gene"]:
    """Which of some genes have a STRING interaction with each other."""
    place = np.full(graph.num_genes, -1)
    place[genes] = np.arange(len(genes))
    senders, receivers = place[graph.interacts.senders], place[graph.interacts.receivers]
    inside = (senders >= 0) & (receivers >= 0)
    linked = np.zeros((len(genes), len(genes)), bool)
    linked[senders[inside], receivers[inside]] = True
    return linked


def _pooled_z(
    answered: AnsweredExamples, rows: Int[np.ndarray, " row"]
) -> Float[np.ndarray, " landmark"]:
    """Mean z-score of each landmark in a compound's signatures, weighted as its answer."""
    weights = answered.answers.basis.weights[rows]
    if not weights.any():
        return np.full(answered.examples.expression.shape[1], np.nan)
    return weights @ answered.examples.expression[rows] / weights.sum()
