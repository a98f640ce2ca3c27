"""A user's own signatures or wells as examples for a trained model, whatever their file lacks.

Genes are matched by Entrez id, symbol or alias, in any order; genes that the file lacks are
masked. What is not known of a signature (dose, time, cell line, structure) stays unknown and is
counted.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.examples import Examples
from moa_jax.data.features import FeatureSpec
from moa_jax.data.landmarks import LandmarkColumns, find_landmarks
from moa_jax.data.new_matrix import NewMatrix, open_new_matrix
from moa_jax.data.new_structures import (
    read_new_structures,
    structures_alone,
    structures_in_metadata,
)
from moa_jax.data.plate_signatures import (
    PlateSettings,
    find_level,
    signatures_of_wells,
    vehicle_wells,
)
from moa_jax.files import sha256_of
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.lincs.matrix import check_finite
from moa_jax.lincs.releases import (
    ALIASES,
    MATRIX_ID,
    harmonise_instinfo,
    harmonise_siginfo,
    read_table,
)
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

# Profiles whose values tell the level of a matrix, where nobody does.
_PROBED_PROFILES = 64


@dataclasses.dataclass(frozen=True)
class SignatureFiles:
    """Where a user's signatures lie.

    Attributes:
      signatures: GCTX, GCT, h5ad, CSV or TSV file of signatures or wells; None: there are
        structures alone.
      siginfo: table of the signatures or wells; None: the matrix file's own metadata.
      compoundinfo: table with the compounds' structures; None: those of the metadata, if any.
    """

    signatures: pathlib.Path | None
    siginfo: pathlib.Path | None = None
    compoundinfo: pathlib.Path | None = None

    @classmethod
    def of_options(cls, signatures: str, siginfo: str, compoundinfo: str) -> SignatureFiles:
        """Files from a program's options of the same names; empty where not given.

        Raises:
          InputError: there are neither signatures nor structures, or metadata of no signatures.
        """
        if not signatures and not compoundinfo:
            raise InputError(
                "--signatures or --compoundinfo is needed: signatures, or compounds to be answered "
                "from their structures alone."
            )
        if siginfo and not signatures:
            raise InputError("--siginfo tells about --signatures, which is not given.")
        return cls(
            signatures=pathlib.Path(signatures) if signatures else None,
            siginfo=pathlib.Path(siginfo) if siginfo else None,
            compoundinfo=pathlib.Path(compoundinfo) if compoundinfo else None,
        )

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Name and SHA-256 of each file, as JSON values."""
        return {
            name: {"file": path.name, "sha256": sha256_of(path)}
            for name, path in vars(self).items()
            if path is not None
        }


@dataclasses.dataclass(frozen=True)
class NewSignatures:
    """Signatures to be predicted.

    Attributes:
      examples: one per signature, in the order of the matrix at level 5 and of the sig_id else;
        without signatures one per compound, in the order of the `pert_id`; the labels are zeros
        and mean nothing; the groups are the `pert_id`.
      report: what was found, missing and left out, as JSON values.
      level: which level the matrix was taken for and why; at levels 3 and 4 counts of wells, too;
        None without signatures.
    """

    examples: Examples
    report: dict[str, Any]
    level: dict[str, Any] | None


def level_lines(level: Mapping[str, Any] | None) -> Iterator[str]:
    """What `NewSignatures.level` says, in one or two lines."""
    if level is None:
        yield "no signatures: answers from structure alone"
        return
    yield f"level: {level['level']}, because {level['because']}"
    if made_of := level.get("made_of"):
        yield (
            f"  made of {made_of['wells_used']:,} of {made_of['wells']:,} wells on "
            f"{made_of['plates']:,} plates, {made_of['vehicle_wells']:,} of them vehicle wells"
        )


def read_new_signatures(
    files: SignatureFiles,
    genes: pd.DataFrame,
    features: FeatureSpec,
    settings: PlateSettings | None = None,
) -> NewSignatures:
    """Reads signatures for a trained model, or makes them of wells.

    A signature without `pert_id` is a compound of its own, named by its `sig_id`. A profile of
    the matrix that siginfo does not list is left out and counted.

    Args:
      files: where the signatures lie.
      genes: `GENE_COLUMNS` of the model's expression columns.
      features: vocabularies and gene statistics of the model.
      settings: which level the matrix has; taken from the file where None.

    Raises:
      InputError: a file cannot be read, siginfo lacks a column, repeats an id or names a
        profile that the matrix lacks, no gene is the model's, a gene is there twice, a value
        of such a gene is not finite, there is no signature, or wells cannot be made into one;
        without signatures, no compound has a structure.
    """
    if files.signatures is None:
        return _without_signatures(files, genes, features, settings)
    settings = settings or PlateSettings()
    identifiers = GeneIdentifiers.from_table(genes)
    matrix = open_new_matrix(files.signatures, identifiers)
    columns, row_ids = _find_genes(matrix, genes, identifiers)
    wanted = [row_ids[name] for name in columns.file_ids]
    metadata = _Metadata.of(files, matrix)
    settings, why = _with_level(settings, metadata, matrix, wanted)
    table, num_unlisted = metadata.rows(settings.level)
    measured = _read_values(matrix, table.iloc[:, 0].tolist(), wanted)
    level = {"level": settings.level, "because": why}
    told = structures_in_metadata(
        (metadata.raw, matrix.profile_table), table.iloc[:, 0], table["pert_id"]
    )
    if settings.level == 5:
        num_nameless = int(table["pert_id"].isna().sum())
        table["pert_id"] = table["pert_id"].fillna(table["sig_id"])
        table = table[list(SIGNATURE_COLUMNS)]
    else:
        num_nameless = int(table["pert_id"].isna().sum())
        measured, table, level["made_of"] = signatures_of_wells(
            measured, table, settings, metadata.source
        )
        level["zscore_reference"] = settings.zscore_reference if settings.level == 3 else None
    examples = _examples(measured, table, columns, genes, features)
    structures = read_new_structures(files.compoundinfo, told, table)
    examples = dataclasses.replace(examples, smiles=structures.smiles)
    report = {
        "signatures": {
            "predicted": len(table),
            "left_out_because_siginfo_lacks_them": num_unlisted,
            "without_pert_id": num_nameless,
        },
        "genes": _gene_report(columns, genes),
        "compounds": structures.report,
        "context": _context_report(table, features),
        "median_standardised_magnitude": _typical_magnitude(examples, features),
    }
    return NewSignatures(examples, report, level)


def _without_signatures(
    files: SignatureFiles,
    genes: pd.DataFrame,
    features: FeatureSpec,
    settings: PlateSettings | None,
) -> NewSignatures:
    """The compounds of a table, to be predicted from their structures."""
    if files.compoundinfo is None or files.siginfo is not None:
        raise InputError("without signatures there must be a compound table, and no siginfo.")
    if settings is not None and settings.level is not None:
        raise InputError("--level tells about --signatures, which is not given.")
    examples, structures = structures_alone(files.compoundinfo, genes, features)
    report = {
        "signatures": {
            "predicted": 0,
            "left_out_because_siginfo_lacks_them": 0,
            "without_pert_id": 0,
        },
        "genes": None,
        "compounds": structures.report,
        "context": None,
        "median_standardised_magnitude": None,
    }
    return NewSignatures(examples, report, None)


@dataclasses.dataclass(frozen=True)
class _Metadata:
    """What is known of a matrix's profiles.

    Attributes:
      raw: the table as its file has it.
      source: what to call it in messages.
      profiles: ids of the matrix's profiles.
      path: the matrix.
    """

    raw: pd.DataFrame
    source: str
    profiles: pd.Index
    path: pathlib.Path

    @classmethod
    def of(cls, files: SignatureFiles, matrix: NewMatrix) -> _Metadata:
        if files.siginfo is not None:
            raw, source = read_table(files.siginfo), str(files.siginfo)
        else:
            raw, source = matrix.profile_table, str(files.signatures)
            if not any(name in raw.columns for name in ALIASES["pert_id"]):
                raw = raw.assign(pert_id=raw.index)
        return cls(raw, source, matrix.profile_table.index, matrix.path)

    @property
    def pert_type(self) -> pd.Series:
        """Kind of each profile, as far as the table tells."""
        return self.raw.get("pert_type", pd.Series(dtype=object))

    def rows(self, level: int) -> tuple[pd.DataFrame, int]:
        """Harmonised metadata in the order of the matrix, and the number of profiles left out."""
        harmonise = harmonise_siginfo if level == 5 else harmonise_instinfo
        raw = self.raw
        if level == 5 and raw.index.name == MATRIX_ID:
            # The profile's own id is its identity, also where the file holds the sig_id of a well.
            raw = raw.drop(columns="sig_id", errors="ignore")
        table = harmonise(raw, self.source)
        identity = "signature" if level == 5 else "well"
        ids = table.iloc[:, 0]
        order = self.profiles.get_indexer(ids)
        absent = ids[order < 0]
        if len(absent):
            raise InputError(
                f"{self.source} names the {identity} {absent.iloc[0]}, one of {len(absent)} of "
                f"its {len(table)} rows that {self.path} has no profile of."
            )
        if not len(table):
            raise InputError(f"{self.source} has no {identity}; expected at least one.")
        table = table.iloc[np.argsort(order)].reset_index(drop=True)
        return table, len(self.profiles) - len(table)


def _with_level(
    settings: PlateSettings, metadata: _Metadata, matrix: NewMatrix, gene_ids: list[str]
) -> tuple[PlateSettings, str]:
    """The settings with a level, and why it is that."""
    if settings.level is not None:
        return settings, "it was asked for"
    some = metadata.profiles[:_PROBED_PROFILES].tolist()
    values = matrix.read(profile_ids=some, gene_ids=gene_ids).values
    has_vehicle = bool(vehicle_wells(metadata.pert_type).any())
    level, why = find_level(metadata.raw.columns, has_vehicle, values)
    return dataclasses.replace(settings, level=level), why


def _examples(
    measured: Float32[np.ndarray, "signature measured_gene"],
    table: pd.DataFrame,
    columns: LandmarkColumns,
    genes: pd.DataFrame,
    features: FeatureSpec,
) -> Examples:
    """Signatures in the model's order of genes, zero where the file lacks the gene."""
    places = pd.Index(genes["entrez_id"]).get_indexer(columns.genes["entrez_id"])
    expression = np.zeros((len(table), len(genes)), np.float32)
    expression[:, places] = measured
    return Examples(
        expression=expression,
        has_expression=np.ones(len(table), bool),
        gene_mask=np.isin(np.arange(len(genes)), places),
        table=table,
        smiles=(None,) * len(table),
        groups=tuple(table["pert_id"]),
        targets=((),) * len(table),
        moas=features.moas,
        labels=np.zeros((len(table), len(features.moas)), np.float32),
    )


def _find_genes(
    matrix: NewMatrix, genes: pd.DataFrame, identifiers: GeneIdentifiers
) -> tuple[LandmarkColumns, dict[str, str]]:
    """The model's genes in a file, and the file's row id of each name that it gives a gene.

    Older GCT files have probes as row ids and name the genes in a column beside them; the
    column that names most of the model's genes counts.
    """
    gene_table = matrix.gene_table
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
                f"{matrix.path} has the gene {name} twice, in the rows {row_ids[name]} and "
                f"{row_id}; expected one row per gene."
            )
        row_ids.setdefault(name, row_id)
    return find_landmarks(names, genes, identifiers, str(matrix.path)), row_ids


def _read_values(
    matrix: NewMatrix, profile_ids: list[str], gene_ids: list[str]
) -> Float32[np.ndarray, "profile measured_gene"]:
    part = matrix.read(profile_ids=profile_ids, gene_ids=gene_ids)
    check_finite(part, str(matrix.path))
    return part.values


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
