"""Predictions and explanations for the held-out compounds of one mechanism."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from experiments.case_studies.contrast import moa_summary
from experiments.explanation_audit.faithful import integrated
from experiments.explanation_audit.faithfulness import compound_difference
from experiments.explanation_audit.folds import ScoredSignatures, compound_means, first_rows
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.conformal_sets import calibrate_label_sets
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import average_precision
from moa_jax.explanation.attribution.modality_shares import modality_shares
from moa_jax.explanation.attribution.network_attribution import adjoint_node_attribution
from moa_jax.explanation.attribution.occlusion import occlude_neighbourhoods
from moa_jax.explanation.audit.deletion import control_importance, deletion_curves
from moa_jax.explanation.evidence.enrichment import enrichment, residuals
from moa_jax.explanation.evidence.gene_sets import GeneSets
from moa_jax.explanation.evidence.similar_compounds import compound_evidence, kernel_evidence
from moa_jax.explanation.evidence.substructure_scores import substructure_scores
from moa_jax.kernels.references import read_references
from moa_jax.schemas import KnowledgeGraph

ERROR_RATE = 0.1
CONTROLS = ("absolute_z", "random")
# Training compounds that are listed for each held-out one.
NUM_EVIDENCE = 5


@dataclasses.dataclass(frozen=True)
class Answers:
    """The model's answers for all held-out compounds, each by the fold that held it out.

    Attributes:
      views: view of the model -> pooled probabilities.
      labels: 1 where the compound has the MoA.
      in_set: MoAs of the conformal set at `ERROR_RATE`.
      groups: compound group of each row.
      names: name of each row.
      moas: MoA of each column.
    """

    views: dict[str, Float[np.ndarray, "compound moa"]]
    labels: Float[np.ndarray, "compound moa"]
    in_set: np.ndarray
    groups: tuple[str, ...]
    names: tuple[str, ...]
    moas: tuple[str, ...]

    @property
    def probs(self) -> Float[np.ndarray, "compound moa"]:
        """Probabilities with both modalities."""
        return self.views["fusion"]

    def of(self, moa: str) -> pd.DataFrame:
        """The compounds of an MoA, the most probable first.

        `compound`, `probability`, `rank` of the MoA, `first_answer`, `is_right`, `in_set`,
        `set_size`.
        """
        column = self.moas.index(moa)
        rows = np.flatnonzero(self.labels[:, column] > 0)
        order = np.argsort(-self.probs[rows], axis=1, kind="stable")
        first = order[:, 0]
        table = pd.DataFrame(
            {
                "compound": [self.names[row] for row in rows],
                "group": [self.groups[row] for row in rows],
                "probability": self.probs[rows, column],
                "rank": 1 + (order == column).argmax(axis=1),
                "first_answer": [self.moas[place] for place in first],
                "is_right": self.labels[rows, first] > 0,
                "in_set": self.in_set[rows, column],
                "set_size": self.in_set[rows].sum(axis=1),
            }
        )
        return table.sort_values(
            ["probability", "group"], ascending=[False, True], ignore_index=True
        )

    def average_precisions(self) -> pd.DataFrame:
        """One row per MoA and one column per view, over all held-out compounds."""
        found = {view: average_precision(probs, self.labels) for view, probs in self.views.items()}
        return pd.DataFrame(found, index=list(self.moas))


def read_answers(folds: Sequence[ScoredSignatures], runs: Sequence[pathlib.Path]) -> Answers:
    """Answers of every fold for its test compounds."""
    parts: list[tuple] = []
    for fold, folder in zip(folds, runs, strict=True):
        examples, moas = fold.examples, fold.predictor.features.moas
        pooled = {
            view: pool_by_compound(probs.astype(np.float64), examples.labels, examples.groups)
            for view, probs in fold.predictor.predict(examples).items()
        }
        probs, labels, groups = pooled["fusion"]
        kept = read_calibration_store(folder, moas)["fusion"]
        sets = calibrate_label_sets(kept.probs, kept.labels)
        names = examples.table["compound"].iloc[first_rows(examples.groups)].astype(str)
        views = {view: of_view[0] for view, of_view in pooled.items()}
        parts.append((views, labels, sets.predict(probs, ERROR_RATE), groups, tuple(names)))
    views, labels, in_set, groups, names = zip(*parts, strict=True)
    return Answers(
        {view: np.concatenate([of_fold[view] for of_fold in views]) for view in views[0]},
        np.concatenate(labels),
        np.concatenate(in_set),
        sum(groups, ()),
        sum(names, ()),
        folds[0].predictor.features.moas,
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """The explanation of one mechanism.

    Attributes:
      moa: the mechanism.
      compounds: `Answers.of`.
      average_precision: view of the model -> average precision over all held-out compounds.
      num_signatures: signatures that were explained.
      genes: `moa_summary` with `mean_z` over compounds.
      pathways: `enrichment` of the mean absolute contributions, the three smallest p-values.
      shares: Shapley value of each modality, mean over compounds.
      evidence: training compounds with the largest mean contributions.
      pieces: substructures of the compound with the highest probability.
      example: that compound.
      atom_scores: its atoms.
      smiles: its structure.
      targets: its known targets.
      node_scores: mean score of gene nodes over the compounds.
      gap: median completeness gap over compounds.
      deletion: replacement and control -> gain in deletion AUC.
    """

    moa: str
    compounds: pd.DataFrame
    average_precision: dict[str, float]
    num_signatures: int
    genes: pd.DataFrame
    pathways: pd.DataFrame
    shares: Float[np.ndarray, " modality"]
    evidence: pd.DataFrame
    pieces: pd.DataFrame
    example: str
    atom_scores: Float[np.ndarray, " atom"]
    smiles: str
    targets: tuple[str, ...]
    node_scores: Float[np.ndarray, " gene_node"]
    gap: float
    deletion: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Explained:
    """Explanations of one fold's test signatures, one for each of the mechanisms they have.

    Attributes:
      moas: mechanism of each row.
      groups: compound group of each row.
      cell_lines: cell line of each row.
      arrays: results by name; the first axis is the row.
      evidence: `compound_evidence` of a signature of each compound, with the mechanism as `moa`.
      atoms: mechanism and compound group -> structure, known targets, scores of atoms.
    """

    moas: np.ndarray
    groups: np.ndarray
    cell_lines: np.ndarray
    arrays: dict[str, np.ndarray]
    evidence: pd.DataFrame
    atoms: dict[tuple[str, str], tuple[str, tuple[str, ...], Float[np.ndarray, " atom"]]]


def explain_fold(
    fold: ScoredSignatures,
    folder: pathlib.Path,
    moas: Sequence[str],
    *,
    per_compound: int,
    seed: int,
) -> Explained:
    """Explains the scores of some mechanisms for the test compounds that have them.

    Args:
      fold: test signatures.
      folder: the fold's run.
      moas: the mechanisms.
      per_compound: signatures of each compound that are explained.
      seed: seed of random draws.
    """
    names = fold.predictor.features.moas
    fold = fold.some_of_each(per_compound, seed)
    columns = [names.index(moa) for moa in moas]
    rows, places = np.nonzero(fold.examples.labels[:, columns] > 0)
    scored = dataclasses.replace(fold.take(rows), moas=np.array(columns)[places])
    given = scored.predictor, scored.encoded, scored.attribution_target, scored.directions
    found = integrated(scored)
    change = scored.encoded.expression - scored.zero[:, 0]
    propagation = np.asarray(scored.predictor.graph.propagation)
    arrays = {
        "contributions": found.values[:, 0],
        "z": scored.examples.expression,
        "gap": found.completeness_gap[:, 0],
        "shares": modality_shares(*given)[:, 0],
        "nodes": adjoint_node_attribution(found.values, change, propagation)[:, 0],
    }
    controls = control_importance(
        scored.encoded, scored.predictor.features, scored.graph, num_targets=1, seed=seed
    )
    rankings = {"ours": found.values, **{name: controls[name] for name in CONTROLS}}
    for replacement, values in scored.replacements().items():
        for name, importance in rankings.items():
            curves = deletion_curves(*given, importance=importance, replacement=values)
            arrays[f"{replacement}|{name}"] = curves.deletion_auc[:, 0]
    of_moas = np.array(names)[scored.moas]
    keys = [f"{moa}|{group}" for moa, group in zip(of_moas, scored.examples.groups, strict=True)]
    first = first_rows(keys)
    evidence, atoms = _of_compounds(scored.take(first), folder)
    return Explained(
        moas=of_moas,
        groups=np.array(scored.examples.groups),
        cell_lines=scored.examples.table["cell_line"].to_numpy(),
        arrays=arrays,
        evidence=evidence,
        atoms=atoms,
    )


def _of_compounds(scored: ScoredSignatures, folder: pathlib.Path) -> tuple[pd.DataFrame, dict]:
    """Evidence and atoms for one signature of each compound; see `Explained`."""
    examples, smiles = scored.examples, list(scored.examples.smiles)
    scores = occlude_neighbourhoods(
        scored.predictor, scored.encoded, smiles, scored.attribution_target, scored.directions
    )
    evidence = kernel_evidence(scored.predictor, scored.encoded, read_references(folder))
    tables, atoms = [], {}
    for row, column in enumerate(scored.moas.tolist()):
        moa = scored.predictor.features.moas[column]
        tables.append(compound_evidence(evidence, row, column).head(NUM_EVIDENCE).assign(moa=moa))
        if smiles[row] is not None:
            key = moa, examples.groups[row]
            atoms[key] = smiles[row], examples.targets[row], scores[row][0]
    return pd.concat(tables, ignore_index=True), atoms


def study(
    moa: str,
    answers: Answers,
    explained: Sequence[Explained],
    graph: KnowledgeGraph,
    sets: GeneSets,
    *,
    seed: int,
) -> Case:
    """Sums up the explanations of one mechanism.

    Args:
      moa: the mechanism.
      answers: of all folds.
      explained: of all folds.
      graph: the knowledge graph.
      sets: sets over the measured genes.
      seed: seed of random substructures.
    """
    compounds = answers.of(moa)
    own = [one.moas == moa for one in explained]
    groups = _rows([one.groups for one in explained], own).tolist()
    lines = _rows([one.cell_lines for one in explained], own).tolist()
    arrays = {
        name: _rows([one.arrays[name] for one in explained], own) for name in explained[0].arrays
    }
    symbols = list(graph.genes["symbol"].iloc[: graph.num_landmarks])
    contributions = arrays["contributions"].astype(np.float64)
    genes = moa_summary(contributions, groups, lines, symbols)
    mean_z = dict(zip(symbols, compound_means(arrays["z"], groups).mean(axis=0), strict=True))
    atoms = {key[1]: own for one in explained for key, own in one.atoms.items() if key[0] == moa}
    best = next(group for group in compounds["group"] if group in atoms)
    smiles, targets, scores = atoms[best]
    pieces = substructure_scores(smiles, scores.astype(np.float64), seed=seed)
    evidence = pd.concat([one.evidence for one in explained], ignore_index=True)
    return Case(
        moa=moa,
        compounds=compounds,
        average_precision=answers.average_precisions().loc[moa].to_dict(),
        num_signatures=len(groups),
        genes=genes.assign(mean_z=[mean_z[symbol] for symbol in genes["feature"]]),
        pathways=_pathways(contributions, groups, sets),
        shares=compound_means(arrays["shares"], groups).mean(axis=0),
        evidence=_evidence(evidence[evidence["moa"] == moa]),
        pieces=pieces.sort_values("sum", ascending=False, kind="stable", ignore_index=True),
        example=compounds.set_index("group").loc[best, "compound"],
        atom_scores=scores.astype(np.float64),
        smiles=smiles,
        targets=targets,
        node_scores=compound_means(arrays["nodes"], groups).mean(axis=0)[: graph.num_genes],
        gap=float(np.median(compound_means(arrays["gap"], groups))),
        deletion=_deletion(arrays, groups),
    )


def _rows(parts: Sequence[np.ndarray], own: Sequence[np.ndarray]) -> np.ndarray:
    """The chosen rows of all folds."""
    return np.concatenate([part[rows] for part, rows in zip(parts, own, strict=True)])


def _pathways(
    contributions: Float[np.ndarray, "example gene"],
    groups: Sequence[str],
    sets: GeneSets,
) -> pd.DataFrame:
    """Sets whose genes have larger absolute contributions than others."""
    size = np.abs(contributions)
    scores, varying = compound_means(size, groups).mean(axis=0), residuals(size, groups)
    table = enrichment(
        scores, sets, reference=varying if len(varying) > 1 else None, alternative="greater"
    )
    return table.sort_values(["p_value", "set_id"], ignore_index=True).head(3)


def _evidence(table: pd.DataFrame) -> pd.DataFrame:
    """How often each training compound was among those with the largest contributions."""
    labels = [", ".join(names) or "no label" for names in table["moas"]]
    counted = table.assign(moas=labels).groupby(["compound", "expert", "moas"], sort=True)
    summary = counted.agg(times=("similarity", "size"), added=("from_similarity", "mean"))
    return summary.reset_index().sort_values(
        ["times", "added", "compound"], ascending=[False, False, True], ignore_index=True
    )


def _deletion(arrays: dict[str, np.ndarray], groups: Sequence[str]) -> pd.DataFrame:
    """Gain in deletion AUC over the controls, positive where the explanation is better."""
    rows = []
    for name, ours in arrays.items():
        replacement, _, ranking = name.partition("|")
        if ranking != "ours":
            continue
        for control in CONTROLS:
            gain = compound_difference(arrays[f"{replacement}|{control}"], ours, groups)
            rows.append(
                {"replacement": replacement, "control": control, **dataclasses.asdict(gain)}
            )
    return pd.DataFrame(rows)
