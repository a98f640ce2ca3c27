"""Recovery of the planted truth of a simulated release: targets, genes, terms and atoms."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from rdkit import Chem, rdBase
from sklearn.metrics import average_precision_score, roc_auc_score

from moa_jax.schemas import InputError

_TABLES = ("moa_targets", "drug_genes", "moa_genes", "moa_terms", "molecules", "labels")


@dataclasses.dataclass(frozen=True)
class PlantedTruth:
    """Tables of a release's `truth` folder; see `data.simulated.truth.write_truth`.

    Attributes:
      moa_targets: `moa gene_id weight`: targets of a mechanism.
      drug_genes: `pert_id gene_id effect`: measured genes that a drug affects.
      moa_genes: `moa gene_id effect`: genes that a mechanism affects.
      moa_terms: `moa go_id`: terms whose genes a mechanism affects.
      molecules: `pert_id canonical_smiles atoms`: atoms of the planted substructure.
      labels: `pert_id true_moa state`.
    """

    moa_targets: pd.DataFrame
    drug_genes: pd.DataFrame
    moa_genes: pd.DataFrame
    moa_terms: pd.DataFrame
    molecules: pd.DataFrame
    labels: pd.DataFrame

    def genes_of_drugs(
        self, pert_ids: Sequence[str], genes: Sequence[str], *, least: float = 0.0
    ) -> Bool[np.ndarray, "example gene"]:
        """Genes that each drug affects by more than `least` of a mechanism's strongest gene."""
        table = self.drug_genes[self.drug_genes["effect"].abs() > least]
        return _members(table, "pert_id", "gene_id", pert_ids, genes)

    def genes_of_moas(
        self, moas: Sequence[str], genes: Sequence[str], *, least: float = 0.0
    ) -> Bool[np.ndarray, "example gene"]:
        """Genes that each mechanism affects by more than `least` of its strongest gene."""
        table = self.moa_genes[self.moa_genes["effect"].abs() > least]
        return _members(table, "moa", "gene_id", moas, genes)

    def targets_of_moas(
        self, moas: Sequence[str], genes: Sequence[str]
    ) -> Bool[np.ndarray, "example gene"]:
        """Targets of each mechanism among the graph's genes, measured or not."""
        return _members(self.moa_targets, "moa", "gene_id", moas, genes)

    def terms_of_moas(
        self, moas: Sequence[str], go_ids: Sequence[str]
    ) -> Bool[np.ndarray, "example term"]:
        """Terms that each mechanism affects."""
        return _members(self.moa_terms, "moa", "go_id", moas, go_ids)

    def atoms_of_drugs(
        self, pert_ids: Sequence[str], smiles: Sequence[str]
    ) -> list[Bool[np.ndarray, " atom"]]:
        """Atoms of each drug's planted substructure, in the order of its SMILES.

        Raises:
          InputError: a drug is unknown, or its SMILES describes another molecule.
        """
        rows = self.molecules.drop_duplicates("pert_id").set_index("pert_id")
        found = []
        for pert_id, text in zip(pert_ids, smiles, strict=True):
            if pert_id not in rows.index:
                raise InputError(f"the truth tables hold no drug {pert_id}.")
            found.append(_planted_atoms(rows.loc[pert_id], pert_id, text))
        return found


def read_truth(folder: str | os.PathLike[str]) -> PlantedTruth:
    """Reads the `truth` folder of a simulated release.

    Raises:
      InputError: a table is missing.
    """
    tables = {}
    for name in _TABLES:
        path = pathlib.Path(folder) / f"{name}.tsv"
        if not path.is_file():
            raise InputError(f"{path} does not exist; expected a table of a simulated release.")
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        for column in ("weight", "effect"):
            if column in table:
                table[column] = table[column].astype(float)
        tables[name] = table
    return PlantedTruth(**tables)


def _members(
    table: pd.DataFrame, key: str, item: str, keys: Sequence[str], items: Sequence[str]
) -> Bool[np.ndarray, "example item"]:
    """Which items of the table belong to each key."""
    members = table.groupby(key)[item].agg(set).to_dict()
    return np.array(
        [[one in members.get(name, ()) for one in items] for name in keys], bool
    ).reshape(len(keys), len(items))


def _planted_atoms(row: pd.Series, pert_id: str, smiles: str) -> Bool[np.ndarray, " atom"]:
    with rdBase.BlockLogs():
        ours, theirs = map(Chem.MolFromSmiles, (smiles, row["canonical_smiles"]))
    # Atoms may be in another order, and a salt may be removed.
    match = theirs.GetSubstructMatch(ours) if ours is not None and theirs is not None else ()
    if not match:
        raise InputError(f"the SMILES {smiles!r} is not that of {pert_id} in the truth tables.")
    planted = {int(atom) for atom in row["atoms"].split("|") if atom}
    return np.array([atom in planted for atom in match], bool)


def recovery(
    importance: Float[np.ndarray, "example item"],
    planted: Bool[np.ndarray, "example item"],
    *,
    hits: Sequence[int] = (1, 10, 50),
    candidates: Bool[np.ndarray, "example item"] | None = None,
) -> pd.DataFrame:
    """How well a ranking recovers planted items, example by example.

    Args:
      importance: items of larger importance rank first.
      planted: whether an item was planted.
      hits: values of k for `hit@k`.
      candidates: items that are ranked, such as measured genes; all by default.

    Returns:
      One row per example: `num_planted`, `auroc`, `auprc`, and `hit@k`, whether one of the first k
      items was planted. NaN for an example where nothing, or everything, was planted.
    """
    rows = []
    if candidates is None:
        candidates = np.ones(planted.shape, bool)
    for ranking, is_planted, use in zip(importance, planted, candidates, strict=True):
        values, truth = ranking[use], is_planted[use]
        found = dict.fromkeys(["auroc", "auprc", *(f"hit@{k}" for k in hits)], np.nan)
        if 0 < truth.sum() < len(truth):
            order = np.argsort(-values, kind="stable")
            found["auroc"] = float(roc_auc_score(truth, values))
            found["auprc"] = float(average_precision_score(truth, values))
            found.update({f"hit@{k}": float(truth[order[:k]].any()) for k in hits})
        rows.append({"num_planted": int(truth.sum()), **found})
    return pd.DataFrame(rows)
