"""Signatures of a release: read from level 5, or computed from level 3 or 4."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.expression.gene_matrix import GeneMatrix
from moa_jax.data.expression.level_and_scale import Scale, find_scale
from moa_jax.data.expression.option_names import CONFIG_OPTIONS
from moa_jax.data.expression.plate_zscores import VEHICLE, check_plates, check_vehicles
from moa_jax.data.expression.profile_metadata import ProfileMetadata, amounts_not_converted
from moa_jax.data.expression.well_signatures import Wells
from moa_jax.data.preparation.row_filter import (
    IsExcluded,
    RowFilter,
    filter_mark,
    filter_perturbations,
    filter_quality,
)
from moa_jax.data.preparation.settings import LEVEL_FROM_FILES, PreparationSettings
from moa_jax.lincs.files.matrix import check_finite
from moa_jax.lincs.metadata.fields import spelled_like
from moa_jax.lincs.metadata.releases import harmonise_siginfo, read_table, signature_instances
from moa_jax.lincs.replicates import signature_ids
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

Paths = Mapping[str, pathlib.Path]

NOT_FINITE = "a value is not finite"

# Number of evenly spaced profiles by which the scale of a matrix is recognised.
_PROBED_PROFILES = 64


@dataclasses.dataclass(frozen=True)
class _Source:
    """Inputs for reading one release."""

    settings: PreparationSettings
    paths: Paths
    matrix: GeneMatrix
    is_excluded: IsExcluded
    pert_ids: Collection[str]
    scale: Scale

    def metadata(self, name: str) -> ProfileMetadata:
        """Profile metadata from the named file, or from the matrix if there is none."""
        path = self.paths["expression"]
        if name in self.paths:
            own = pd.DataFrame(index=self.matrix.profile_table.index)
        else:
            own = self.matrix.profile_table
        return ProfileMetadata.of(self.paths.get(name), own, path)

    def read(self, profile_ids: list[str]) -> Float32[np.ndarray, "profile gene"]:
        """Landmark values of some profiles; NaN and infinity are refused, depending on settings."""
        matrix = self.matrix.read(profile_ids=profile_ids)
        if not self.settings.drop_nonfinite:
            check_finite(matrix, str(self.matrix.path))
        return matrix.values


def read_signatures(
    settings: PreparationSettings,
    paths: Paths,
    matrix: GeneMatrix,
    is_excluded: IsExcluded,
    pert_ids: Collection[str] = (),
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Reads or computes the signatures that pass the filters, over the landmark genes.

    Args:
      settings: level of the matrix and filters.
      paths: paths of the files, by their names in `SourceFiles`.
      matrix: the opened matrix.
      is_excluded: whether a compound is excluded.
      pert_ids: ids of the compound table, whose case is used for the signatures' ids.

    Returns:
      Expression; `SIGNATURE_COLUMNS`, one row per signature, in the order of the matrix at level
      5, else sorted by sig_id; and counts of what was kept and dropped, by reason.

    Raises:
      InputError: a file cannot be used, or no signature is left.
    """
    scale = _find_scale(settings, matrix)
    source = _Source(settings, paths, matrix, is_excluded, pert_ids, scale)
    source, level_report = _with_level(source)
    read = _read_level5 if source.settings.level == 5 else _from_profiles
    values, table, counts = read(source)
    _refuse_none(source, table, counts)
    counts["level"] = level_report | {"amounts_not_converted": amounts_not_converted(table)}
    num_clipped = 0
    if settings.clip:
        num_clipped = int((np.abs(values) > settings.clip).sum())
        np.clip(values, -settings.clip, settings.clip, out=values)
    counts["values_clipped"] = num_clipped
    return values, table[list(SIGNATURE_COLUMNS)].reset_index(drop=True), counts


def _refuse_none(source: _Source, kept: pd.DataFrame, counts: Mapping[str, Any]) -> None:
    if len(kept):
        return
    dropped = [item for part in counts.values() for item in part["dropped"].items()]
    reasons = "; ".join(f"{number} dropped because {reason}" for reason, number in dropped)
    raise InputError(
        f"no signature of {source.paths['expression']} is left: {reasons or 'it has none'}."
    )


def _read_level5(
    source: _Source,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    settings = source.settings
    row_filter = _in_file_order(source, "siginfo")
    filter_perturbations(settings.filters, source.is_excluded, row_filter)
    filter_quality(settings.filters, row_filter)
    values = source.read(row_filter.table["sig_id"].tolist())
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        values = values[finite]
        row_filter.keep(finite, NOT_FINITE)
    return values, row_filter.table, {"signatures": row_filter.report()}


def _find_scale(settings: PreparationSettings, matrix: GeneMatrix) -> Scale:
    """Scale of a matrix, from some of its profiles."""
    profile_ids = matrix.profile_table.index
    places = np.unique(np.linspace(0, len(profile_ids) - 1, _PROBED_PROFILES).astype(int))
    some = [profile_ids[place] for place in places] if len(profile_ids) else []
    values = matrix.read(profile_ids=some).values
    requested = settings.scale or None
    return find_scale(values, str(matrix.path), requested=requested, options=CONFIG_OPTIONS)


def _with_level(source: _Source) -> tuple[_Source, dict[str, Any]]:
    """The source with its level, and a report on level and scale as JSON values."""
    settings, scale = source.settings, source.scale
    requested = None if settings.level == LEVEL_FROM_FILES else settings.level
    name = _file_of_profiles(source, requested)
    level, why = source.metadata(name).level(requested, scale, CONFIG_OPTIONS)
    report = {
        "level": level,
        "because": why,
        "scale": scale.name,
        "scale_because": scale.because,
    }
    settings, paths = dataclasses.replace(settings, level=level), dict(source.paths)
    if level != 5 and name == "siginfo" in paths:
        # The siginfo file is a table of wells.
        paths["instinfo"] = paths.pop("siginfo")
    return dataclasses.replace(source, settings=settings, paths=paths), report


def _file_of_profiles(source: _Source, requested: int | None) -> str:
    """Name of the file with the profiles' metadata; if it is absent, the matrix has them."""
    if requested == 5:
        return "siginfo"
    if "instinfo" in source.paths:
        return "instinfo"
    # If the matrix has metadata of its wells, siginfo lists signatures.
    has_own = len(source.matrix.profile_table.columns) > 0
    return "instinfo" if requested is not None and has_own else "siginfo"


def _in_file_order(source: _Source, name: str) -> RowFilter:
    """Metadata of the matrix's profiles in the order of the matrix."""
    metadata = source.metadata(name)
    table = metadata.rows(source.settings.level)
    row_filter = RowFilter(table.assign(pert_id=spelled_like(table["pert_id"], source.pert_ids)))
    row_filter.num_found = len(row_filter.table) + metadata.num_unlisted + metadata.num_absent
    row_filter.count(metadata.num_unlisted, f"the matrix has it but {name} does not")
    row_filter.count(metadata.num_absent, f"{name} has it but the matrix does not")
    return row_filter


def _from_profiles(
    source: _Source,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Levels 3 and 4: z-scores by plate, then collapsed replicates, in chunks.

    A plate's z-scores use all wells that passed quality control, before perturbations are filtered.
    """
    settings = source.settings
    path = str(source.paths.get("instinfo", source.paths["expression"]))
    row_filter = _in_file_order(source, "instinfo")
    siginfo, pairs = _read_siginfo(source, set(row_filter.table["inst_id"]))
    if settings.filters.require_qc_pass:
        filter_mark(settings.filters, row_filter, "qc_pass")
    wells = row_filter.table
    if settings.level == 3:
        check_plates(wells, path)
    if pairs is not None:
        listed = row_filter.table["inst_id"].isin(pairs["inst_id"]).to_numpy(bool)
        row_filter.keep(listed, "it is in no signature of siginfo")
        # A profile of several signatures gets several rows.
        row_filter.table = row_filter.table.drop(columns="sig_id").merge(
            pairs, on="inst_id", how="left"
        )
    filter_perturbations(settings.filters, source.is_excluded, row_filter)
    _refuse_none(source, row_filter.table, {"profiles": row_filter.report()})
    if settings.level == 3 and settings.zscore_reference == VEHICLE:
        used = wells["plate"].isin(row_filter.table["plate"])
        check_vehicles(wells[used].reset_index(drop=True), path, CONFIG_OPTIONS)
    row_filter.table["sig_id"] = signature_ids(row_filter.table)
    values, table, not_finite = Wells(
        table=wells,
        read=source.read,
        num_genes=len(source.matrix.columns.genes),
        level=settings.level,
        scale=source.scale.name,
        zscore_reference=settings.zscore_reference,
    ).signatures(row_filter.table)
    row_filter.keep(~row_filter.table["inst_id"].isin(not_finite).to_numpy(bool), NOT_FINITE)
    _refuse_none(source, table, {"profiles": row_filter.report()})
    signatures = RowFilter(table.join(siginfo, on="sig_id").assign(row=np.arange(len(table))))
    filter_quality(settings.filters, signatures)
    counts = {"profiles": row_filter.report(), "signatures": signatures.report()}
    return values[signatures.table["row"].to_numpy()], signatures.table, counts


def _read_siginfo(
    source: _Source, profile_ids: set[str]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Quality marks and members of signatures, from siginfo.

    Returns:
      `is_hiq` and `qc_pass` by sig_id; and the pairs `sig_id inst_id`, None without siginfo.
    """
    path = source.paths.get("siginfo")
    if path is None:
        return pd.DataFrame(columns=["is_hiq", "qc_pass"], dtype="boolean"), None
    raw = read_table(path)
    siginfo = harmonise_siginfo(raw, str(path)).set_index("sig_id")
    pairs = signature_instances(raw, str(path))
    if not len(pairs):
        raise InputError(
            f"{path} does not list the profiles of its signatures (distil_ids); leave "
            "config.files.siginfo empty to group profiles by condition."
        )
    pairs["inst_id"] = spelled_like(pairs["inst_id"], profile_ids)
    absent = pairs[~pairs["inst_id"].isin(profile_ids)]
    if len(absent) and not source.settings.allow_missing_signatures:
        raise InputError(
            f"the signature {absent['sig_id'].iloc[0]} in {path} has the profile "
            f"{absent['inst_id'].iloc[0]}, one of {len(absent)} that are not in "
            f"{source.paths['expression']} or its metadata; "
            "config.allow_missing_signatures ignores them."
        )
    return siginfo[["is_hiq", "qc_pass"]], pairs
