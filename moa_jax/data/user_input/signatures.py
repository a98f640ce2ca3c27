"""Reads a user's signatures or wells as examples for a trained model.

Genes are matched by Entrez id, symbol or alias, in any order; missing genes are masked. Unknown
doses, times, cell lines and structures are allowed and counted.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from moa_jax.data.examples.features import FeatureSpec
from moa_jax.data.expression.gene_matrix import GeneMatrix, open_gene_matrix
from moa_jax.data.expression.landmark_columns import LandmarkColumns
from moa_jax.data.expression.level_and_scale import LINEAR, find_scale
from moa_jax.data.expression.profile_metadata import ProfileMetadata, amounts_not_converted
from moa_jax.data.user_input.plate_signatures import PlateSettings, signatures_of_wells
from moa_jax.data.user_input.signature_files import SignatureFiles, require_signatures
from moa_jax.data.user_input.structures import (
    read_new_structures,
    structure_only_examples,
    structures_in_metadata,
)
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.lincs.files.matrix import check_finite
from moa_jax.lincs.metadata.fields import spelled_like
from moa_jax.lincs.metadata.pert_types import controls
from moa_jax.lincs.metadata.releases import AMOUNT_TEXTS
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, InputError

# Doses and times shown of a longer list.
_NUM_NAMED = 3


@dataclasses.dataclass(frozen=True)
class NewSignatures:
    """A user's signatures.

    Attributes:
      examples: one per signature, in the order of the matrix at level 5, else sorted by sig_id;
        without signatures one per compound, sorted by `pert_id`. Labels are zeros (unknown);
        groups are the `pert_id`.
      report: counts of what was found, missing and left out, as JSON values.
      level: level and scale of the matrix, the reasons, and counts of rows left out; at levels 3
        and 4 also counts of wells; None without signatures.
    """

    examples: Examples
    report: dict[str, Any]
    level: dict[str, Any] | None


def level_lines(level: Mapping[str, Any] | None) -> Iterator[str]:
    """Summary of `NewSignatures.level` in a few lines."""
    if level is None:
        yield "no signatures: answers from structure only"
        return
    yield f"level: {level['level']}, because {level['because']}"
    if level["scale"] == LINEAR:
        yield f"scale: linear, converted to log2, because {level['scale_because']}"
    elif level["scale"] not in level["because"] and level["scale_because"] not in level["because"]:
        yield f"scale: {level['scale']}, because {level['scale_because']}"
    if level.get("rows_without_profile"):
        yield f"  {level['rows_without_profile']:,} rows of siginfo left out: not in the matrix"
    if level.get("controls_left_out"):
        yield f"  {level['controls_left_out']:,} vehicles or other controls left out"
    for name, texts in level["amounts_not_converted"].items():
        more = len(texts) - _NUM_NAMED
        yield (
            f"  {len(texts):,} {name}{'s' * (len(texts) > 1)} kept as written, of unknown unit: "
            f"{', '.join(texts[:_NUM_NAMED])}" + (f" and {more} more" if more > 0 else "")
        )
    if made_of := level.get("made_of"):
        yield (
            f"  from {made_of['wells_used']:,} of {made_of['wells']:,} wells on "
            f"{made_of['plates']:,} plate{'s' * (made_of['plates'] != 1)}, "
            f"{made_of['vehicle_wells']:,} of them vehicle wells"
        )


def read_new_signatures(
    files: SignatureFiles,
    genes: pd.DataFrame,
    features: FeatureSpec,
    settings: PlateSettings | None = None,
    gene_ids: str = "",
) -> NewSignatures:
    """Reads signatures, or wells from which it computes signatures, for a trained model.

    A signature without `pert_id` and name is a separate compound, named by its `sig_id`. Profiles
    without a row in siginfo, rows without a profile, vehicles and other controls are left out and
    counted. Beside `SIGNATURE_COLUMNS`, the examples' table has the texts of doses and times that
    have no value in micromolar or hours (`dose_text`, `time_text`).

    Args:
      files: paths of the files.
      genes: `GENE_COLUMNS` of the model's expression columns.
      features: vocabularies and gene statistics of the model.
      settings: level, scale and reference; by default automatic.
      gene_ids: how the matrix names its genes: `entrez`, `symbol`, or the name of a column;
        empty for automatic.

    Raises:
      InputError: a file cannot be read, siginfo lacks a column, repeats an id or has no profile of
        the matrix, no gene is known to the model, a gene is repeated, a value is not finite, level
        or scale are ambiguous, there is no signature, or wells cannot be collapsed; without
        signatures, no compound has a structure.
    """
    settings = settings or PlateSettings()
    if files.signatures is None:
        level = str(settings.level or "")
        require_signatures("", level=level, scale=settings.scale or "", gene_ids=gene_ids)
        return _without_signatures(files, genes, features)
    identifiers = GeneIdentifiers.from_table(genes)
    matrix = open_gene_matrix(files.signatures, genes, identifiers, gene_ids)
    profiles = _read_profiles(files, matrix, settings)
    measured, table, level = _signatures(profiles)
    named = table["pert_id"].notna()
    table["pert_id"] = table["pert_id"].where(named, table["sig_id"])
    table["cell_line"] = spelled_like(
        table["cell_line"], features.cell_lines[1:], signs_count=False
    )
    examples = _examples(measured, table, matrix.columns, genes, features)
    structures = read_new_structures(files.compoundinfo, profiles.structures, table)
    examples = dataclasses.replace(examples, smiles=structures.smiles)
    report = {
        "signatures": {
            "predicted": len(table),
            "left_out_because_siginfo_lacks_them": profiles.metadata.num_unlisted,
            "without_pert_id": profiles.num_nameless,
        },
        "genes": _gene_report(matrix.columns, genes),
        "compounds": structures.report,
        "context": _context_report(table, features),
        "median_standardised_magnitude": float(np.median(features.distances(examples))),
    }
    return NewSignatures(examples, report, level)


@dataclasses.dataclass(frozen=True)
class _Profiles:
    """The profiles of a matrix.

    Attributes:
      values: one row per profile, over the genes that the matrix and the model share.
      table: harmonised metadata, row by row.
      metadata: the original metadata.
      structures: `pert_id` -> SMILES in the metadata.
      settings: settings with the recognised level and scale.
      level_because: reason for the level.
      scale_because: reason for the scale.
    """

    values: Float32[np.ndarray, "profile gene"]
    table: pd.DataFrame
    metadata: ProfileMetadata
    structures: Mapping[str, str]
    settings: PlateSettings
    level_because: str
    scale_because: str

    @property
    def used(self) -> Bool[np.ndarray, " profile"]:
        """Profiles that are used: at level 3 all wells that passed, else profiles of compounds."""
        level, used = self.settings.level, np.ones(len(self.table), bool)
        if level != 5:
            used &= self.table["qc_pass"].fillna(True).to_numpy(bool)
        if level == 4 or (level == 5 and not self.settings.keep_controls):
            used &= ~controls(self.table["pert_type"])
        return used

    @property
    def num_nameless(self) -> int:
        """Number of wells, or at level 5 of used signatures, without a compound."""
        nameless = self.table["pert_id"].isna()
        return int((nameless & self.used if self.settings.level == 5 else nameless).sum())


def _read_profiles(files: SignatureFiles, matrix: GeneMatrix, settings: PlateSettings) -> _Profiles:
    path = str(files.signatures)
    metadata = ProfileMetadata.of(
        files.siginfo, matrix.profile_table, files.signatures, allow_missing_pert_id=True
    )
    part = matrix.read(profile_ids=metadata.ids.tolist())
    scale = find_scale(part.values, path, requested=settings.scale)
    level, level_because = metadata.level(settings.level, scale)
    table = metadata.rows(level)
    structures = structures_in_metadata(
        (metadata.raw.set_index(metadata.ids), matrix.profile_table),
        table.iloc[:, 0],
        table["pert_id"],
    )
    profiles = _Profiles(
        values=part.values,
        table=table,
        metadata=metadata,
        structures=structures,
        settings=dataclasses.replace(settings, level=level, scale=scale.name),
        level_because=level_because,
        scale_because=scale.because,
    )
    if level == 5 and not profiles.used.any():
        raise InputError(
            f"{metadata.source} has no signature of a compound: all {len(table)} are of vehicles "
            "or other controls."
        )
    check_finite(part.of_profiles(profiles.used), path)
    return profiles


def _signatures(
    profiles: _Profiles,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Signatures of profiles, their table, and `NewSignatures.level`."""
    settings, used = profiles.settings, profiles.used
    level = {
        "level": settings.level,
        "because": profiles.level_because,
        "scale": settings.scale,
        "scale_because": profiles.scale_because,
        "rows_without_profile": profiles.metadata.num_absent,
        "controls_left_out": 0,
    }
    if settings.level == 5:
        level["controls_left_out"] = int((~used).sum())
        values = profiles.values[used]
        table = profiles.table[used][[*SIGNATURE_COLUMNS, *AMOUNT_TEXTS]].reset_index(drop=True)
    else:
        values, table, level["made_of"] = signatures_of_wells(
            profiles.values, profiles.table, settings, profiles.metadata.source
        )
        level["zscore_reference"] = settings.zscore_reference if settings.level == 3 else None
    level["amounts_not_converted"] = amounts_not_converted(table)
    return values, table, level


def _without_signatures(
    files: SignatureFiles,
    genes: pd.DataFrame,
    features: FeatureSpec,
) -> NewSignatures:
    """The compounds of a table, to be predicted from structure."""
    if files.compoundinfo is None or files.siginfo is not None:
        raise InputError("without signatures there must be a compound table, and no siginfo.")
    examples, structures = structure_only_examples(files.compoundinfo, genes, features)
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


def _examples(
    measured: Float32[np.ndarray, "signature measured_gene"],
    table: pd.DataFrame,
    columns: LandmarkColumns,
    genes: pd.DataFrame,
    features: FeatureSpec,
) -> Examples:
    """Signatures in the model's order of genes, zero for missing genes."""
    places = pd.Index(genes["entrez_id"]).get_indexer(columns.genes["entrez_id"])
    expression = np.zeros((len(table), len(genes)), np.float32)
    expression[:, places] = measured
    return Examples.of_signatures(
        expression,
        table,
        groups=table["pert_id"],
        moas=features.moas,
        gene_mask=np.isin(np.arange(len(genes)), places),
    )


def _gene_report(columns: LandmarkColumns, genes: pd.DataFrame) -> dict[str, Any]:
    return {
        "expected": len(genes),
        "measured": len(columns.genes),
        "missing": [
            f"{gene.entrez_id} {gene.symbol}" for gene in columns.missing.itertuples(index=False)
        ],
        "others_not_used": columns.num_others,
        "found_by_name": len(columns.renamed),
        **columns.report(),
    }


def _context_report(table: pd.DataFrame, features: FeatureSpec) -> dict[str, Any]:
    # The vocabulary's first entry means unknown.
    lines = table["cell_line"]
    unknown = lines[lines.notna() & ~lines.isin(features.cell_lines[1:])]
    return {
        "unknown_cell_lines": dict(sorted(collections.Counter(unknown).items())),
        "without_cell_line": int(lines.isna().sum()),
        "without_dose": int((~(table["dose_um"] > 0)).sum()),
        "without_time": int((~(table["time_h"] > 0)).sum()),
    }
