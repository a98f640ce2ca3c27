"""Encodes examples: vocabularies, standardised genes, fingerprints, molecular graphs.

Vocabularies, gene means and scales are fitted on training examples only and are stored with the
checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8

from moa_jax.compounds.fingerprints import morgan_fingerprints
from moa_jax.compounds.molecular_graph import (
    ATOM_FEATURES,
    BOND_FEATURES,
    MolecularGraph,
    MolecularGraphs,
)
from moa_jax.compounds.substructures import SUBSTRUCTURE_FAMILIES, substructure_counts
from moa_jax.schemas import Examples, InputError, LeftOut

UNKNOWN_CELL_LINE = "unknown"


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Specification of the model inputs; stored with every checkpoint.

    Attributes:
      moas: names of the outputs.
      genes: Entrez ids of the expression columns.
      gene_symbols: their symbols.
      cell_lines: vocabulary; the first entry means unknown.
      mean: mean of each gene over training signatures.
      scale: standard deviation of each gene over training signatures, 1 where it is 0.
      num_bits: length of the Morgan fingerprint.
      radius: radius of the Morgan fingerprint.
      bead_partners: see `bead_pairs.bead_partners`.
      proteins: gene symbols of the proteins of experts through proteins.
    """

    moas: tuple[str, ...]
    genes: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    cell_lines: tuple[str, ...]
    mean: Float32[np.ndarray, " gene"]
    scale: Float32[np.ndarray, " gene"]
    num_bits: int = 2048
    radius: int = 2
    bead_partners: tuple[int, ...] = ()
    proteins: tuple[str, ...] = ()

    def distances(self, examples: Examples) -> Float[np.ndarray, "example measured_gene"]:
        """Distance of each measured value from the training mean, in training standard deviations.

        For values like those of the training data the median is about 0.7.
        """
        measured = examples.gene_mask
        distance = examples.expression[:, measured].astype(np.float64) - self.mean[measured]
        return np.abs(distance) / self.scale[measured]

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values; float32 numbers survive the round trip."""
        values = dataclasses.asdict(self)
        values["mean"] = [float(value) for value in self.mean]
        values["scale"] = [float(value) for value in self.scale]
        values["atom_features"] = list(ATOM_FEATURES)
        values["bond_features"] = list(BOND_FEATURES)
        values["substructure_families"] = _described_families()
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """Inverse of `to_json`.

        Raises:
          InputError: a field is missing, or the checkpoint's molecular features differ from those
            of this version.
        """
        values = dict(values)
        for name, ours in (
            ("atom_features", ATOM_FEATURES),
            ("bond_features", BOND_FEATURES),
            ("substructure_families", _described_families()),
        ):
            theirs = tuple(values.pop(name, ()))
            if theirs != tuple(ours):
                raise InputError(
                    f"the checkpoint was trained with {len(theirs)} {name} that differ from the "
                    f"{len(ours)} of this version; use the version that wrote it."
                )
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            raise InputError(
                f"the checkpoint's features should be {sorted(names)}, found {sorted(values)}."
            )
        for name in ("moas", "genes", "gene_symbols", "cell_lines", "bead_partners", "proteins"):
            values[name] = tuple(values[name])
        for name in ("mean", "scale"):
            values[name] = np.asarray(values[name], np.float32)
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class EncodedExamples:
    """Model inputs of a set of examples, on the host; see `schemas.Batch` for the fields.

    Structures are stored once per distinct SMILES; `structure` has their rows.
    """

    expression: Float32[np.ndarray, "example gene"]
    gene_mask: Bool[np.ndarray, " gene"]
    cell_line: Int32[np.ndarray, " example"]
    log_dose: Float32[np.ndarray, " example"]
    dose_mask: Bool[np.ndarray, " example"]
    log_time: Float32[np.ndarray, " example"]
    time_mask: Bool[np.ndarray, " example"]
    structure: Int32[np.ndarray, " example"]
    fingerprints: Float32[np.ndarray, "structure bit"]
    substructures: UInt8[np.ndarray, "structure substructure"]
    molecules: Sequence[MolecularGraph | None]
    labels: Float32[np.ndarray, "example moa"]
    label_mask: Bool[np.ndarray, "example moa"]
    weight: Float32[np.ndarray, " example"]
    has_expression: Bool[np.ndarray, " example"]
    has_structure: Bool[np.ndarray, " example"]
    left_out: LeftOut | None = None

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(self.structure)

    def take(self, rows: Int[np.ndarray, " row"]) -> EncodedExamples:
        """The examples of the given rows; the stored structures stay the same."""
        shared = ("gene_mask", "fingerprints", "substructures", "molecules", "left_out")
        names = [field.name for field in dataclasses.fields(self) if field.name not in shared]
        taken = {name: getattr(self, name)[rows] for name in names}
        return dataclasses.replace(self, **taken, left_out=self.left_out_of(rows))

    def left_out_of(self, rows: Int[np.ndarray, " row"]) -> LeftOut | None:
        """The answers without their own compounds, of the given rows."""
        return jax.tree.map(lambda values: values[rows], self.left_out)


def fit_features(train: Examples, genes: pd.DataFrame) -> FeatureSpec:
    """Fits vocabularies and gene statistics on training examples.

    Without signatures among them, genes are not standardised.

    Args:
      train: training examples.
      genes: `GENE_COLUMNS`, one row per expression column.
    """
    expression = train.expression[train.has_expression]
    if not len(expression):
        expression = np.zeros((1, len(genes)), np.float32)
    scale = expression.std(axis=0)
    partners = train.bead_partners if train.bead_partners is not None else np.arange(len(genes))
    cell_lines = sorted(set(train.table["cell_line"].dropna()))
    return FeatureSpec(
        moas=tuple(train.moas),
        genes=tuple(genes["entrez_id"]),
        gene_symbols=tuple(genes["symbol"]),
        cell_lines=(UNKNOWN_CELL_LINE, *cell_lines),
        mean=expression.mean(axis=0).astype(np.float32),
        scale=np.where(scale > 0, scale, 1.0).astype(np.float32),
        bead_partners=tuple(partners.tolist()),
    )


def encode(examples: Examples, spec: FeatureSpec) -> EncodedExamples:
    """Encodes examples; unknown cell lines, doses, times and structures are masked.

    Args:
      examples: what to encode.
      spec: fitted vocabularies and statistics.
    """
    rows = {cell_line: row for row, cell_line in enumerate(spec.cell_lines)}
    log_dose, dose_mask = _log10(examples.table["dose_um"])
    log_time, time_mask = _log10(examples.table["time_h"])
    distinct = sorted({smiles for smiles in examples.smiles if smiles is not None})
    place = {smiles: row for row, smiles in enumerate(distinct)}
    # The last row, after the structures, means "none".
    structure = [place.get(smiles, len(distinct)) for smiles in examples.smiles]
    expression = (examples.expression - spec.mean) / spec.scale
    usable = examples.gene_mask & examples.has_expression[:, None]
    return EncodedExamples(
        expression=np.where(usable, expression, 0.0).astype(np.float32),
        gene_mask=examples.gene_mask,
        cell_line=np.array(
            [rows.get(cell_line, 0) for cell_line in examples.table["cell_line"]], np.int32
        ),
        log_dose=log_dose,
        dose_mask=dose_mask,
        log_time=log_time,
        time_mask=time_mask,
        structure=np.array(structure, np.int32),
        fingerprints=morgan_fingerprints(
            [*distinct, None], radius=spec.radius, num_bits=spec.num_bits
        ),
        substructures=substructure_counts([*distinct, None]),
        molecules=MolecularGraphs((*distinct, None)),
        labels=examples.labels,
        label_mask=np.ones(examples.labels.shape, bool),
        weight=np.ones(len(examples.smiles), np.float32),
        has_expression=examples.has_expression,
        has_structure=np.array([smiles is not None for smiles in examples.smiles], bool),
    )


def _log10(
    column: pd.Series,
) -> tuple[Float32[np.ndarray, " example"], Bool[np.ndarray, " example"]]:
    values = column.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(values) & (values > 0)
    return np.log10(np.where(known, values, 1.0)).astype(np.float32), known


def _described_families() -> list[str]:
    return [f"{name}: {size}" for name, size in SUBSTRUCTURE_FAMILIES.items()]
