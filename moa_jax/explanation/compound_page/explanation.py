"""The explanation of one compound: answer, evidence, attributions and their audit, as tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.calibration.calibrator import CANNOT_TELL, NONE_OF_THESE, Calibrator
from moa_jax.explanation.audit.checks import Check
from moa_jax.explanation.audit.deletion import Curves
from moa_jax.explanation.audit.target_ranking import TargetAudit
from moa_jax.explanation.compound_page.answers import CompoundAnswer, compound_answers
from moa_jax.explanation.compound_page.compound_audit import compound_checks
from moa_jax.explanation.compound_page.explained_run import ExplainedRun
from moa_jax.explanation.compound_page.protein_tables import ExplainedProteins, explain_proteins
from moa_jax.explanation.compound_page.signature_attributions import (
    SEED,
    SignatureAttributions,
    attribute_signatures,
)
from moa_jax.explanation.compound_page.tables import (
    evidence_table,
    expert_table,
    gene_table,
    label_notes,
    moa_table,
    modality_table,
    node_table,
    pathway_table,
    proximity_table,
    signature_table,
)
from moa_jax.explanation.evidence.similar_compounds import KernelEvidence, kernel_evidence
from moa_jax.explanation.evidence.substructure_scores import substructure_scores
from moa_jax.models.experts import EXPERTS
from moa_jax.predictions.answered_examples import AnsweredExamples
from moa_jax.predictions.known_compounds import known_sentence
from moa_jax.progress import track
from moa_jax.schemas import Examples, InputError

# Tables about signatures and their genes.
_OF_SIGNATURES = ("genes", "pathways", "nodes", "proximity", "signatures")


@dataclasses.dataclass(frozen=True)
class CompoundExplanation:
    """The explanation of one compound.

    Attributes:
      name: name of the compound.
      group: its compound group.
      smiles: its structure, None if unknown.
      targets: its known targets.
      moa: the MoA that is explained: the most probable one.
      runner_up: the second MoA; None if the model knows no other.
      confidence: probability that `moa` is right; NaN without calibration.
      none_of_these: probability that the model was not trained on the compound's mechanism; NaN
        without calibration.
      answer: a mechanism, "none of these" or "cannot tell".
      broader: the narrowest class of mechanisms that is sure, where `moa` is not; empty for none.
      broader_probability: of that class; NaN for none.
      reasons: why the answer is "cannot tell", and what to do.
      answered_from: `answer_basis.MODALITIES_OF`; empty if there is nothing to answer from.
      notes: notes on the answer.
      known: `KNOWN`, `ANALOGUE` or `NEW`: whether the compound is in the training data.
      known_sentence: `known` as a sentence.
      calibrator: the calibration of its view.
      nodes_are_read: see `SignatureAttributions`.
      tables: `moas`, `modalities`, `experts`, `genes`, `pathways`, `substructures`, `nodes`,
        `evidence`, `proximity`, `labels`, `signatures`; those about genes and signatures are empty
        if the compound has no signature. With experts through proteins also `proteins`, `edges` and
        `edge_sums`, and with mechanisms that a user described `described_mechanisms`.
      target_audit: see `ExplainedRun`.
      node_scores: of all gene nodes.
      atom_scores: of all atoms, for `moa`; None without structure.
      curves: replacement -> ranking -> deletion curves.
      checks: the audit.
    """

    name: str
    group: str
    smiles: str | None
    targets: tuple[str, ...]
    moa: str
    runner_up: str | None
    confidence: float
    none_of_these: float
    answer: str
    broader: str
    broader_probability: float
    reasons: str
    answered_from: str
    notes: str
    known: str
    known_sentence: str
    calibrator: Calibrator
    nodes_are_read: bool
    tables: Mapping[str, pd.DataFrame]
    target_audit: TargetAudit | None
    node_scores: Float[np.ndarray, " gene_node"]
    atom_scores: Float[np.ndarray, " atom"] | None
    curves: Mapping[str, Mapping[str, Curves]]
    checks: Sequence[Check]

    @property
    def is_answered(self) -> bool:
        """Whether the answer is a mechanism."""
        return self.answer not in (CANNOT_TELL, NONE_OF_THESE)

    @property
    def has_signatures(self) -> bool:
        """Whether the answer rests on signatures, not on the structure alone."""
        return len(self.tables["signatures"]) > 0


def explain_compounds(
    explained: ExplainedRun,
    answered: AnsweredExamples,
    described: pd.DataFrame | None = None,
) -> list[CompoundExplanation]:
    """Explains the answer for each compound by the signatures or structure that it rests on.

    A compound without an answer, whose signatures failed the quality gates and whose structure is
    unknown, is explained by those signatures.

    Args:
      explained: the run.
      answered: signatures, or rows of compounds with a structure only, and the run's answers.
        Labels and targets are compared with the answer, and do not affect it.
      described: `described_answers` for these compounds, and perhaps others.

    Returns:
      One explanation per compound group, in the order of the groups.

    Raises:
      InputError: there is nothing to explain.
    """
    examples = answered.examples
    is_known = examples.has_expression | examples.has_structure
    if not examples.num_examples or not is_known.all():
        raise InputError(
            f"{int(is_known.sum())} of {examples.num_examples} rows have a signature or structure; "
            "expected at least one row, and all to have one."
        )
    run = explained.run
    examples, encoded, answers = compound_answers(answered)
    place = np.zeros(examples.num_examples, int)
    for number, answer in enumerate(answers):
        place[answer.rows] = number
    moas = np.array([answer.moa for answer in answers])
    runners_up = np.array([answer.runner_up for answer in answers])
    attributions = attribute_signatures(
        run.predictor,
        encoded,
        examples.smiles,
        run.graph,
        moas=moas[place],
        runners_up=runners_up[place],
    )
    evidence = kernel_evidence(run.predictor, encoded, explained.references)
    proteins = explain_proteins(run.predictor, encoded, run.graph, explained.carried, moas[place])
    return [
        _explanation(
            explained,
            answer,
            examples.take(answer.rows),
            attributions,
            evidence=evidence,
            proteins=proteins,
            described=described,
        )
        for answer in track(answers, "compounds")
    ]


def _explanation(
    explained: ExplainedRun,
    answer: CompoundAnswer,
    own: Examples,
    found: SignatureAttributions,
    *,
    evidence: Mapping[str, KernelEvidence],
    proteins: ExplainedProteins | None,
    described: pd.DataFrame | None,
) -> CompoundExplanation:
    """The explanation of one compound, whose signatures or structure are `own`."""
    moas, graph, rows = explained.run.predictor.features.moas, explained.run.graph, answer.rows
    smiles = own.smiles[0]
    targets = tuple(sorted({target for targets in own.targets for target in targets}))
    has_signatures = bool(own.has_expression.any())
    nodes = found.nodes[rows].mean(axis=0)
    atoms = None if smiles is None else np.mean([found.atoms[row][0] for row in rows], axis=0)
    tables = {
        **_answer_tables(explained, answer, found, evidence),
        **_signature_tables(explained, answer, own, found, nodes=nodes, targets=targets),
    }
    if atoms is not None:
        tables["substructures"] = _substructures(smiles, atoms)
    if proteins is not None:
        tables |= proteins.tables(
            rows,
            answer.moa,
            moas=moas,
            graph=graph,
            ligands=explained.ligands,
            targets=targets,
        )
    if described is not None:
        of_compound = described[described["pert_id"] == answer.group]
        tables["described_mechanisms"] = of_compound.drop(columns="pert_id").reset_index(drop=True)
    if not has_signatures:
        tables |= {name: tables[name].iloc[:0] for name in _OF_SIGNATURES}
        of_structure = [not EXPERTS[name].reads_expression for name in tables["evidence"]["expert"]]
        tables["evidence"] = tables["evidence"][of_structure]
    calibrated = answer.calibrated
    row = {name: "" if pd.isna(value) else value for name, value in answer.row.items()}
    return CompoundExplanation(
        name=_name(own, answer.group),
        group=answer.group,
        smiles=smiles,
        targets=targets,
        moa=moas[answer.moa],
        runner_up=moas[answer.runner_up] if answer.has_runner_up else None,
        confidence=math.nan if calibrated is None else float(calibrated.confidence[0]),
        none_of_these=math.nan if calibrated is None else float(calibrated.none_of_these[0]),
        answer=row["answer"],
        broader=row["broader_mechanism"],
        broader_probability=float(row["broader_probability"] or math.nan),
        reasons=row["reasons"],
        answered_from=row["answered_from"],
        notes=row["notes"],
        known=row["known"],
        known_sentence=known_sentence(answer.row.to_dict()),
        calibrator=answer.calibrator,
        nodes_are_read=found.nodes_are_read,
        tables=tables,
        target_audit=explained.target_audit,
        node_scores=nodes[: graph.num_genes].astype(np.float64),
        atom_scores=None if atoms is None else atoms.astype(np.float64),
        curves={
            name: {ranking: curves.take(rows) for ranking, curves in of_one.items()}
            for name, of_one in found.curves.items()
            if has_signatures
        },
        checks=compound_checks(found, own, rows),
    )


def _answer_tables(
    explained: ExplainedRun,
    answer: CompoundAnswer,
    found: SignatureAttributions,
    evidence: Mapping[str, KernelEvidence],
) -> dict[str, pd.DataFrame]:
    """Tables that do not depend on signatures."""
    moas = explained.run.predictor.features.moas
    runner_up = answer.runner_up if answer.has_runner_up else None
    neighbours = evidence_table(evidence, answer.rows, answer.moa, runner_up)
    return {
        "moas": moa_table(
            moas, answer.probs, answer.calibrated, answer.labels, answer.num_compounds
        ),
        "modalities": modality_table(
            found.modalities[answer.rows], has_runner_up=answer.has_runner_up
        ),
        "experts": expert_table(
            explained.run.predictor.task.model.experts,
            found.experts[answer.rows],
            has_runner_up=answer.has_runner_up,
        ),
        "evidence": neighbours,
        "labels": label_notes(
            explained.calibration_store[answer.view],
            answer.probs,
            answer.labels,
            moas=moas,
            neighbours=neighbours,
        ),
    }


def _signature_tables(
    explained: ExplainedRun,
    answer: CompoundAnswer,
    own: Examples,
    found: SignatureAttributions,
    *,
    nodes: Float[np.ndarray, " node"],
    targets: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """The tables `_OF_SIGNATURES`."""
    features, graph = explained.run.predictor.features, explained.run.graph
    contributions = found.genes[answer.rows]
    first = contributions[:, 0]
    return {
        "genes": gene_table(features, own, contributions, has_runner_up=answer.has_runner_up),
        "pathways": pathway_table(
            explained.sets,
            first,
            found.slope[answer.rows],
            explained.residuals,
            features.gene_symbols,
        ),
        "nodes": node_table(graph, nodes, targets),
        "proximity": proximity_table(graph, first.mean(axis=0), own, targets, seed=SEED),
        "signatures": signature_table(
            own, answer.of_signatures, answer.weights, features.moas, answer.moa
        ),
    }


def _substructures(smiles: str, atoms: Float[np.ndarray, " atom"]) -> pd.DataFrame:
    table = substructure_scores(smiles, atoms.astype(np.float64), seed=SEED)
    largest = np.argsort(-table["sum"].abs().to_numpy(), kind="stable")
    return table.iloc[largest].reset_index(drop=True)


def _name(own: Examples, group: str) -> str:
    """The compound's first name, or its id."""
    names = sorted({str(name) for name in own.table["compound"].dropna() if str(name).strip()})
    return names[0] if names else str(own.table["pert_id"].iloc[0] or group)
