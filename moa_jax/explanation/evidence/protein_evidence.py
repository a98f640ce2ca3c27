"""The proteins behind an answer: evidence that a compound acts on them, and what it adds.

An expert through proteins is linear in the evidence of a kernel expert: its logits are `evidence @
prototypes`. So the contribution of each action on each protein to the model's logit is exact,
`scale * evidence * prototype`; only proteins that known compounds of the mechanism act on
contribute. Proteins are ranked by their logits as targets (`models.protein_answers`), which are
sums over the modalities: those that training compounds act on, for which the ranking is tested
(`audit.target_ranking`).

Known targets of the compound itself are never an input of the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.models.experts import EXPERTS
from moa_jax.models.protein_answers import PROTEINS
from moa_jax.predictions.target_evidence import target_evidence
from moa_jax.schemas import ACTIONS, KnowledgeGraph
from moa_jax.training.runs.predictor import Predictor

# Proteins with the largest scores among which neighbours in STRING are looked up.
NUM_TOP = 20
TABLE_COLUMNS = (
    "rank",
    "entrez_id",
    "symbol",
    "action",
    "score",
    "from_signature",
    "from_structure",
    *(f"contribution_{action}" for action in ACTIONS),
    "contribution",
    "contribution_network",
    "is_target_of_mechanism",
    "num_ligands",
    "neighbours",
    "is_known_target",
)


@dataclasses.dataclass(frozen=True)
class ProteinEvidence:
    """Evidence for what examples do to each protein, scaled; 0 where a modality is missing.

    Attributes:
      proteins: gene symbols of the proteins that training compounds act on.
      genes: gene node of each.
      for_mechanisms: expert through proteins -> its evidence, times the scale of its logits.
      for_targets: kernel expert -> its evidence, times the scale of its evidence for targets.
      prototypes: the mechanisms as pairs of action and protein.
      carry: from these proteins to each other (`kernels.protein_carry`).
    """

    proteins: tuple[str, ...]
    genes: Int[np.ndarray, " protein"]
    for_mechanisms: Mapping[str, Float[np.ndarray, "example action_protein"]]
    for_targets: Mapping[str, Float[np.ndarray, "example action_protein"]]
    prototypes: Float[np.ndarray, "action_protein moa"]
    carry: Float[np.ndarray, "protein protein"]

    def contributions(
        self, rows: Int[np.ndarray, " row"], moa: int
    ) -> Float[np.ndarray, "action protein"]:
        """Contributions to the logit of a MoA, means over examples.

        They sum to the scaled logits of all experts through proteins.
        """
        weighted = sum(values[rows].mean(axis=0) for values in self.for_mechanisms.values())
        found = weighted.astype(np.float64) * self.prototypes[:, moa]
        return found.reshape(len(ACTIONS), -1)

    def target_logits(
        self, rows: Int[np.ndarray, " row"]
    ) -> dict[str, Float[np.ndarray, "action protein"]]:
        """Kernel expert -> its part of the logits of each action on each protein, means."""
        return {
            expert: values[rows].mean(axis=0).reshape(len(ACTIONS), -1) @ self.carry
            for expert, values in self.for_targets.items()
        }

    def targets_of(self, moa: int) -> set[str]:
        """The proteins that training compounds with a MoA are known to act on."""
        known = self.prototypes[:, moa].reshape(len(ACTIONS), -1).any(axis=0)
        return {self.proteins[place] for place in np.flatnonzero(known)}


def protein_evidence(
    predictor: Predictor, examples: EncodedExamples, graph: KnowledgeGraph
) -> ProteinEvidence | None:
    """The evidence of a model; None if it does not answer through proteins.

    Args:
      predictor: a fusion model.
      examples: examples to explain.
      graph: the knowledge graph that it was trained with.
    """
    params = predictor.params
    if PROTEINS not in params:
        return None
    evidence, experts = target_evidence(predictor, examples), predictor.task.model.experts
    of_logits, of_targets = (
        np.asarray(jax.device_get(scales))
        for scales in (params["expert_scales"], params[PROTEINS]["scales"])
    )
    proteins = predictor.features.proteins
    genes = gene_rows(graph, proteins)
    return ProteinEvidence(
        proteins=proteins,
        genes=genes,
        for_mechanisms={
            name: evidence.scaled(EXPERTS[name].through_proteins, of_logits[:, column])
            for column, name in enumerate(experts)
            if EXPERTS[name].through_proteins
        },
        for_targets={
            name: evidence.scaled(name, of_targets[:, column])
            for column, name in enumerate(evidence.of_expert)
        },
        prototypes=np.asarray(params["mechanism_prototypes"], np.float64),
        carry=np.asarray(params[PROTEINS]["carry"])[:, genes],
    )


def protein_table(
    evidence: ProteinEvidence,
    rows: Int[np.ndarray, " row"],
    moa: int,
    *,
    network: Float[np.ndarray, " protein"],
    graph: KnowledgeGraph,
    ligands: Int[np.ndarray, " protein"],
    targets: Sequence[str],
) -> pd.DataFrame:
    """Proteins by their score as targets of a compound, the largest first.

    Args:
      evidence: of `protein_evidence`.
      rows: the compound's examples; values are means over them.
      moa: column of the MoA that contributions are to.
      network: contributions of the evidence for each protein to what the protein network adds.
      graph: the knowledge graph.
      ligands: number of training compounds that act on each protein (`count_ligands`).
      targets: the compound's known targets, which are compared with the answer.

    Returns:
      `TABLE_COLUMNS` of `ProteinEvidence.proteins`: `action` with the larger logit (empty where
      they are equal), `score` as a target (the sum of `from_signature` and `from_structure`),
      contributions by action and their sum, those of `network`, `is_target_of_mechanism` (of a
      training compound with the MoA), `num_ligands`, `neighbours` in STRING among the `NUM_TOP`
      first (separated by `|`), `is_known_target` (of this compound).
      Contributions sum to those of the experts through proteins.
    """
    symbols, count = np.array(evidence.proteins, str), len(evidence.proteins)
    by_modality = {shown: np.zeros((len(ACTIONS), count)) for shown in (True, False)}
    for expert, logits in evidence.target_logits(rows).items():
        by_modality[EXPERTS[expert].reads_expression] += logits
    by_action = by_modality[True] + by_modality[False]
    score = by_action.sum(axis=0)
    order = np.argsort(-score, kind="stable")
    contributions = evidence.contributions(rows, moa)
    table = pd.DataFrame(
        {
            "entrez_id": graph.genes["entrez_id"].to_numpy()[evidence.genes],
            "symbol": symbols,
            "action": _larger(by_action),
            "score": score,
            "from_signature": by_modality[True].sum(axis=0),
            "from_structure": by_modality[False].sum(axis=0),
            **{f"contribution_{action}": contributions[row] for row, action in enumerate(ACTIONS)},
            "contribution": contributions.sum(axis=0),
            "contribution_network": network,
            "is_target_of_mechanism": np.isin(symbols, sorted(evidence.targets_of(moa))),
            "num_ligands": ligands,
            "neighbours": _neighbours(graph, evidence.genes, order[:NUM_TOP]),
            "is_known_target": np.isin(symbols, sorted(set(targets))),
        }
    ).iloc[order]
    table.insert(0, "rank", np.arange(1, count + 1))
    return table[list(TABLE_COLUMNS)].reset_index(drop=True)


def _larger(by_action: Float[np.ndarray, "action protein"]) -> list[str]:
    """The action with the larger logit; empty where both are equal but for rounding."""
    equal = np.isclose(by_action[0], by_action[1], rtol=1e-4, atol=1e-6)
    larger = by_action.argmax(axis=0)
    return ["" if same else ACTIONS[place] for same, place in zip(equal, larger, strict=True)]


def _neighbours(
    graph: KnowledgeGraph, genes: Int[np.ndarray, " protein"], top: Int[np.ndarray, " top"]
) -> list[str]:
    """Symbols of each top protein's neighbours among them; empty for the others."""
    symbols, edges = graph.genes["symbol"].to_numpy(str), graph.interacts
    found, first = [""] * len(genes), genes[top]
    within = np.isin(edges.senders, first) & np.isin(edges.receivers, first)
    senders, receivers = edges.senders[within], edges.receivers[within]
    for place in top.tolist():
        linked = receivers[senders == genes[place]]
        found[place] = "|".join(symbols[gene] for gene in first.tolist() if gene in linked)
    return found
