"""A user's own signatures as examples for a trained model, whatever their file lacks.

Genes are matched by Entrez id, symbol or alias, in any order; genes that the file lacks are
masked. What is not known of a signature (dose, time, cell line, structure) stays unknown and is
counted.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import read_compound_table
from moa_jax.data.examples import Examples
from moa_jax.data.features import FeatureSpec
from moa_jax.data.landmarks import LandmarkColumns, find_landmarks
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.lincs.matrix import check_finite, read_matrix
from moa_jax.lincs.releases import ALIASES, harmonise_siginfo, read_table
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError


@dataclasses.dataclass(frozen=True)
class SignatureFiles:
    """Where a user's signatures lie.

    Attributes:
      signatures: GCTX or GCT file.
      siginfo: table of the signatures; None: the matrix file's own metadata.
      compoundinfo: table with the compounds' structures; None: no structure is known.
    """

    signatures: pathlib.Path
    siginfo: pathlib.Path | None = None
    compoundinfo: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class NewSignatures:
    """Signatures to be predicted.

    Attributes:
      examples: one per signature, in the order of the matrix; the labels are zeros and mean
        nothing; the groups are the `pert_id`.
      report: what was found, missing and left out, as JSON values.
    """

    examples: Examples
    report: dict[str, Any]


def read_new_signatures(
    files: SignatureFiles, genes: pd.DataFrame, features: FeatureSpec
) -> NewSignatures:
    """Reads signatures for a trained model.

    A signature without `pert_id` is a compound of its own, named by its `sig_id`. A profile of
    the matrix that siginfo does not list is left out and counted.

    Args:
      files: where the signatures lie.
      genes: `GENE_COLUMNS` of the model's expression columns.
      features: vocabularies and gene statistics of the model.

    Raises:
      InputError: a file cannot be read, siginfo lacks a column, repeats a sig_id or names a
        signature that the matrix lacks, no gene is the model's, a gene is there twice, a value
        of such a gene is not finite, or there is no signature.
    """
    path = files.signatures
    table, num_unlisted = _read_signature_table(files)
    num_nameless = int(table["pert_id"].isna().sum())
    table["pert_id"] = table["pert_id"].fillna(table["sig_id"])
    columns, row_ids = _find_genes(path, genes)
    expression, gene_mask = _read_expression(
        path, table["sig_id"].tolist(), columns, row_ids, genes
    )
    smiles, structures = _read_structures(files.compoundinfo, table["pert_id"])
    examples = Examples(
        expression=expression,
        has_expression=np.ones(len(table), bool),
        gene_mask=gene_mask,
        table=table,
        smiles=smiles,
        groups=tuple(table["pert_id"]),
        targets=((),) * len(table),
        moas=features.moas,
        labels=np.zeros((len(table), len(features.moas)), np.float32),
    )
    report = {
        "signatures": {
            "predicted": len(table),
            "left_out_because_siginfo_lacks_them": num_unlisted,
            "without_pert_id": num_nameless,
        },
        "genes": _gene_report(columns, genes),
        "compounds": structures,
        "context": _context_report(table, features),
        "median_standardised_magnitude": _typical_magnitude(examples, features),
    }
    return NewSignatures(examples, report)


def _read_signature_table(files: SignatureFiles) -> tuple[pd.DataFrame, int]:
    """`SIGNATURE_COLUMNS` in the order of the matrix, and the number of profiles left out."""
    path = files.signatures
    # No gene is asked for, so no value is read.
    profiles = read_matrix(path, gene_ids=()).profile_table
    if files.siginfo is None:
        # The profile's own id is its identity, also where the file holds the sig_id of a well.
        profiles = profiles.drop(columns="sig_id", errors="ignore")
        if not any(name in profiles.columns for name in ALIASES["pert_id"]):
            profiles = profiles.assign(pert_id=profiles.index)
        table = harmonise_siginfo(profiles, str(path))
    else:
        table = harmonise_siginfo(read_table(files.siginfo), str(files.siginfo))
    order = profiles.index.get_indexer(table["sig_id"])
    absent = table["sig_id"][order < 0]
    if len(absent):
        raise InputError(
            f"{files.siginfo} names the signature {absent.iloc[0]}, one of {len(absent)} of its "
            f"{len(table)} rows that {path} has no profile of."
        )
    if not len(table):
        raise InputError(f"{files.siginfo or path} has no signature; expected at least one.")
    table = table.iloc[np.argsort(order)].reset_index(drop=True)
    return table[list(SIGNATURE_COLUMNS)], len(profiles) - len(table)


def _find_genes(path: pathlib.Path, genes: pd.DataFrame) -> tuple[LandmarkColumns, dict[str, str]]:
    """The model's genes in a file, and the file's row id of each name that it gives a gene.

    Older GCT files have probes as row ids and name the genes in a column beside them; the
    column that names most of the model's genes counts.
    """
    gene_table = read_matrix(path, profile_ids=()).gene_table
    identifiers = GeneIdentifiers.from_table(genes)
    namings = [list(gene_table.index)]
    for name in (*ALIASES["entrez_id"], *ALIASES["symbol"]):
        if name in gene_table.columns:
            namings.append(gene_table[name].tolist())

    def num_found(names: Sequence[str]) -> int:
        return len(set(identifiers.resolve(names)) - {None})

    names = max(namings, key=num_found)
    row_ids: dict[str, str] = {}
    for name, row_id in zip(names, gene_table.index, strict=True):
        if name in row_ids and identifiers.explain(name).entrez_id is not None:
            raise InputError(
                f"{path} has the gene {name} twice, in the rows {row_ids[name]} and {row_id}; "
                "expected one row per gene."
            )
        row_ids.setdefault(name, row_id)
    return find_landmarks(names, genes, identifiers, str(path)), row_ids


def _read_expression(
    path: pathlib.Path,
    sig_ids: list[str],
    columns: LandmarkColumns,
    row_ids: dict[str, str],
    genes: pd.DataFrame,
) -> tuple[Float32[np.ndarray, "signature gene"], Bool[np.ndarray, " gene"]]:
    """Values in the model's order of genes, zero where the file lacks the gene; and the mask."""
    wanted = [row_ids[name] for name in columns.file_ids]
    matrix = read_matrix(path, profile_ids=sig_ids, gene_ids=wanted)
    check_finite(matrix, str(path))
    places = pd.Index(genes["entrez_id"]).get_indexer(columns.genes["entrez_id"])
    expression = np.zeros((len(sig_ids), len(genes)), np.float32)
    expression[:, places] = matrix.values
    return expression, np.isin(np.arange(len(genes)), places)


def _read_structures(
    path: pathlib.Path | None, pert_ids: pd.Series
) -> tuple[tuple[str | None, ...], dict[str, Any]]:
    """Standardised SMILES of each signature's compound, and how many compounds have one."""
    given: dict[str, str | None] = {}
    if path is not None:
        raw = read_compound_table(path)
        given = dict(zip(raw["pert_id"], raw["smiles"], strict=True))
    smiles_of: dict[str, str | None] = dict.fromkeys(pert_ids)
    reasons: collections.Counter[str] = collections.Counter()
    for pert_id in smiles_of:
        if pert_id not in given:
            reasons["no compound table" if path is None else "not in the compound table"] += 1
            continue
        found = standardise(given[pert_id])
        if isinstance(found, Structure):
            smiles_of[pert_id] = found.smiles
        else:
            reasons[found.reason] += 1
    report = {
        "predicted": len(smiles_of),
        "with_structure": len(smiles_of) - reasons.total(),
        "without_structure": dict(sorted(reasons.items())),
    }
    return tuple(smiles_of[pert_id] for pert_id in pert_ids), report


def _gene_report(columns: LandmarkColumns, genes: pd.DataFrame) -> dict[str, Any]:
    return {
        "expected": len(genes),
        "measured": len(columns.genes),
        "missing": [
            f"{gene.entrez_id} {gene.symbol}" for gene in columns.missing.itertuples(index=False)
        ],
        "others_not_used": columns.num_others,
        "found_by_name": len(columns.renamed),
    }


def _context_report(table: pd.DataFrame, features: FeatureSpec) -> dict[str, Any]:
    # The vocabulary's first entry stands for whatever is unknown.
    lines = table["cell_line"]
    unknown = lines[lines.notna() & ~lines.isin(features.cell_lines[1:])]
    return {
        "unknown_cell_lines": dict(sorted(collections.Counter(unknown).items())),
        "without_cell_line": int(lines.isna().sum()),
        "without_dose": int((~(table["dose_um"] > 0)).sum()),
        "without_time": int((~(table["time_h"] > 0)).sum()),
    }


def _typical_magnitude(examples: Examples, features: FeatureSpec) -> float:
    """Median distance from the training mean, in training standard deviations.

    About 0.7 for values like those that the model was trained on.
    """
    measured = examples.gene_mask
    distance = examples.expression[:, measured].astype(np.float64) - features.mean[measured]
    return float(np.median(np.abs(distance) / features.scale[measured]))
