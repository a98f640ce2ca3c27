"""Signatures out of a release's files: level 5 as it is, or made from level 4 or 3."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int

from moa_jax.data.landmarks import LandmarkColumns
from moa_jax.data.preparation_settings import VEHICLE, PreparationSettings, SignatureFilters
from moa_jax.lincs.matrix import check_finite, read_ids, read_matrix
from moa_jax.lincs.plates import robust_zscore
from moa_jax.lincs.releases import (
    VEHICLE_PERT_TYPE,
    harmonise_instinfo,
    harmonise_siginfo,
    read_table,
    signature_instances,
)
from moa_jax.lincs.replicates import collapse_replicates, signature_ids
from moa_jax.progress import track
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

Paths = Mapping[str, pathlib.Path]
# (pert_id, name) -> whether the compound is kept aside.
IsKeptAside = Callable[[str | None, str | None], bool]

# Values of levels 3 and 4 that are in memory at a time.
_VALUES_IN_MEMORY = 2**26


class _Sieve:
    """Rows of a table that are still kept, and how many were dropped for which reason."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.reset_index(drop=True)
        self.num_found = len(table)
        self.dropped: dict[str, int] = {}

    def keep(self, kept: Any, reason: str) -> None:
        """Keeps the rows where `kept`; the others are dropped for `reason`."""
        kept = np.asarray(kept, dtype=bool)
        self.count(int((~kept).sum()), reason)
        self.table = self.table[kept].reset_index(drop=True)

    def keep_known(self, column: str, passes: Any, reason: str, *, keep_missing: bool) -> None:
        """Keeps rows whose `column` passes; one that is missing counts as its own reason."""
        unknown = self.table[column].isna()
        passes = np.asarray(pd.Series(passes).fillna(False), dtype=bool)
        known_bad = ~unknown.to_numpy() & ~passes
        self.keep(~known_bad, reason)
        if not keep_missing:
            self.keep(self.table[column].notna(), f"{column} is missing")

    def count(self, number: int, reason: str) -> None:
        """Counts rows that were dropped before there was a table."""
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + number

    def report(self) -> dict[str, Any]:
        """Counts as JSON values."""
        dropped = dict(sorted(self.dropped.items()))
        return {"found": self.num_found, "kept": len(self.table), "dropped": dropped}


@dataclasses.dataclass(frozen=True)
class _Source:
    """What every step of reading one release needs."""

    settings: PreparationSettings
    paths: Paths
    columns: LandmarkColumns
    is_kept_aside: IsKeptAside

    def read(self, profile_ids: list[str]) -> tuple[np.ndarray, Bool[np.ndarray, " profile"]]:
        """Landmark values of some profiles, and which of them are finite throughout."""
        path = self.paths["expression"]
        matrix = read_matrix(path, profile_ids=profile_ids, gene_ids=self.columns.file_ids)
        if not self.settings.drop_nonfinite:
            check_finite(matrix, str(path))
        return matrix.values, np.isfinite(matrix.values).all(axis=1)


def read_signatures(
    settings: PreparationSettings,
    paths: Paths,
    columns: LandmarkColumns,
    is_kept_aside: IsKeptAside,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Reads or makes the signatures that are good enough, over the landmark genes.

    Args:
      settings: which level the matrix has, and which signatures are good enough.
      paths: where the files are, by their names in `SourceFiles`.
      columns: the matrix's landmark genes.
      is_kept_aside: whether a compound is excluded.

    Returns:
      Expression; `SIGNATURE_COLUMNS`, one row per signature, in the order of the matrix at level
      5 and of the sig_id else; and counts of what was kept and dropped, by reason.

    Raises:
      InputError: a file cannot be used, or no signature is left.
    """
    source = _Source(settings, paths, columns, is_kept_aside)
    values, table, counts = (_read_level5 if settings.level == 5 else _from_profiles)(source)
    if not len(table):
        raise InputError(
            f"no signature of {paths['expression']} is left; dropped: {_listed(counts)}."
        )
    num_clipped = 0
    if settings.clip:
        num_clipped = int((np.abs(values) > settings.clip).sum())
        np.clip(values, -settings.clip, settings.clip, out=values)
    counts["values_clipped"] = num_clipped
    return values, table[list(SIGNATURE_COLUMNS)].reset_index(drop=True), counts


def _listed(counts: Mapping[str, Any]) -> str:
    dropped = [item for part in counts.values() for item in part["dropped"].items()]
    return "; ".join(f"{number} because {reason}" for reason, number in dropped) or "none"


def _read_level5(
    source: _Source,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    settings, path = source.settings, source.paths["expression"]
    if "siginfo" in source.paths:
        siginfo_path = source.paths["siginfo"]
        siginfo = harmonise_siginfo(read_table(siginfo_path), str(siginfo_path))
    else:
        # The metadata inside the matrix file; no gene asked for, so no value is read.
        siginfo = harmonise_siginfo(read_matrix(path, gene_ids=()).profile_table, str(path))
    sieve = _in_file_order(source, siginfo, "sig_id", "siginfo")
    _filter_perturbations(source, sieve)
    _filter_quality(settings.filters, sieve)
    values, finite = source.read(sieve.table["sig_id"].tolist())
    if not finite.all():
        values = values[finite]
        sieve.keep(finite, "a value is not finite")
    return values, sieve.table, {"signatures": sieve.report()}


def _in_file_order(source: _Source, table: pd.DataFrame, identity: str, name: str) -> _Sieve:
    """Metadata of the matrix's profiles in the order of the matrix."""
    path = source.paths["expression"]
    profile_ids, _ = read_ids(path)
    order = pd.Index(profile_ids).get_indexer(table[identity])
    absent = table[identity][order < 0]
    if len(absent) and not source.settings.allow_missing_signatures:
        raise InputError(
            f"{source.paths.get(name, path)} names {absent.iloc[0]}, one of {len(absent)} of its "
            f"{len(table)} rows that {path} has no profile of."
        )
    present = np.flatnonzero(order >= 0)
    sieve = _Sieve(table.iloc[present[np.argsort(order[present])]])
    num_nameless = len(profile_ids) - len(present)
    sieve.num_found = len(profile_ids) + len(absent)
    sieve.count(num_nameless, f"the matrix has it but {name} does not")
    sieve.count(len(absent), f"{name} has it but the matrix does not")
    return sieve


def _filter_perturbations(source: _Source, sieve: _Sieve) -> None:
    filters = source.settings.filters
    kinds = sieve.table["pert_type"]
    for kind in sorted(set(kinds.dropna()) - set(filters.pert_types)):
        sieve.keep(sieve.table["pert_type"] != kind, f"pert_type is {kind}")
    if not filters.keep_missing:
        sieve.keep(sieve.table["pert_type"].notna(), "pert_type is missing")
    table = sieve.table
    names = table["compound"].where(table["compound"].notna(), None)
    ids = table["pert_id"].where(table["pert_id"].notna(), None)
    aside = [source.is_kept_aside(*pair) for pair in zip(ids, names, strict=True)]
    sieve.keep(~np.array(aside, dtype=bool), "compound is kept aside")


def _filter_quality(filters: SignatureFilters, sieve: _Sieve) -> None:
    wanted = (
        ("tas", filters.min_tas, filters.min_tas > 0),
        ("cc_q75", filters.min_cc_q75, filters.min_cc_q75 > 0),
        ("n_replicates", filters.min_replicates, filters.min_replicates > 1),
    )
    for column, limit, asked in wanted:
        if asked:
            sieve.keep_known(
                column,
                sieve.table[column] >= limit,
                f"{column} is below {limit}",
                keep_missing=filters.keep_missing,
            )
    for column, asked in (("is_hiq", filters.require_hiq), ("qc_pass", filters.require_qc_pass)):
        if asked:
            sieve.keep_known(
                column,
                sieve.table[column],
                f"{column} is false",
                keep_missing=filters.keep_missing,
            )


def _from_profiles(
    source: _Source,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Levels 3 and 4: z-scores by plate, then replicates collapsed, part by part."""
    settings, path = source.settings, source.paths["instinfo"]
    instinfo = harmonise_instinfo(read_table(path), str(path))
    sieve = _in_file_order(source, instinfo, "inst_id", "instinfo")
    if settings.filters.require_qc_pass:
        sieve.keep_known(
            "qc_pass",
            sieve.table["qc_pass"],
            "qc_pass is false",
            keep_missing=settings.filters.keep_missing,
        )
    wells = sieve.table
    if settings.level == 3 and wells["plate"].isna().any():
        nameless = wells["inst_id"][wells["plate"].isna()].iloc[0]
        raise InputError(f"{path} has no plate of {nameless}; level 3 is normalised by plate.")
    siginfo = _join_siginfo(source, sieve)
    _filter_perturbations(source, sieve)
    sieve.table["sig_id"] = signature_ids(sieve.table)

    units = wells["plate"] if settings.level == 3 else wells["inst_id"]
    parts = []
    not_finite: set[str] = set()
    chunks = list(_chunks(sieve.table, wells.assign(unit=units), len(source.columns.genes)))
    for chunk, chunk_wells in track(chunks, "making signatures"):
        z, z_ids, bad = _zscores(source, chunk_wells)
        not_finite.update(bad)
        rows = pd.Index(z_ids).get_indexer(chunk["inst_id"])
        parts.append(collapse_replicates(z[rows[rows >= 0]], chunk[rows >= 0]))
    sieve.keep(~sieve.table["inst_id"].isin(not_finite), "a value is not finite")
    values = np.concatenate([part[0] for part in parts])
    table = pd.concat([part[1] for part in parts], ignore_index=True)
    order = np.argsort(table["sig_id"].to_numpy(str), kind="stable")
    table = table.iloc[order].join(siginfo, on="sig_id")
    signature_sieve = _Sieve(table.assign(row=order))
    _filter_quality(settings.filters, signature_sieve)
    kept = signature_sieve.table
    counts = {"profiles": sieve.report(), "signatures": signature_sieve.report()}
    return values[kept["row"].to_numpy()], kept, counts


def _join_siginfo(source: _Source, sieve: _Sieve) -> pd.DataFrame:
    """Names each profile's signature; returns `is_hiq` and `qc_pass` by sig_id."""
    path = source.paths.get("siginfo")
    if path is None:
        return pd.DataFrame(columns=["is_hiq", "qc_pass"], dtype="boolean")
    raw = read_table(path)
    siginfo = harmonise_siginfo(raw, str(path)).set_index("sig_id")
    pairs = signature_instances(raw, str(path))
    if not len(pairs):
        raise InputError(
            f"{path} does not list the profiles of its signatures (distil_ids); leave "
            "config.files.siginfo empty to group profiles by condition."
        )
    listed = sieve.table["inst_id"].isin(pairs["inst_id"])
    sieve.keep(listed, "it is in no signature of siginfo")
    # A profile may belong to several signatures and is then a row of each.
    sieve.table = sieve.table.drop(columns="sig_id").merge(pairs, on="inst_id", how="left")
    return siginfo[["is_hiq", "qc_pass"]]


def _chunks(
    instances: pd.DataFrame, wells: pd.DataFrame, num_genes: int
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Whole signatures, as many as fit in memory, and the wells to be read for them.

    `unit` of the wells is what must be read whole: the plate at level 3, the well at level 4.
    Signatures follow each other as their first profiles do in the file, so that a plate is
    rarely read twice.
    """
    limit = max(1, _VALUES_IN_MEMORY // num_genes)
    unit_of = dict(zip(wells["inst_id"], wells["unit"], strict=True))
    size_of = wells["unit"].value_counts().to_dict()
    rows: list[int] = []
    units: dict[str, int] = {}
    groups = instances.groupby("sig_id", sort=False).indices
    for members in sorted(groups.values(), key=lambda members: int(members[0])):
        needed = {unit_of[instances["inst_id"].iat[row]] for row in members}
        added = {unit: size_of[unit] for unit in needed if unit not in units}
        if rows and sum(units.values()) + sum(added.values()) > limit:
            yield instances.iloc[rows], wells[wells["unit"].isin(units)]
            rows, units, added = [], {}, {unit: size_of[unit] for unit in needed}
        rows.extend(members.tolist())
        units.update(added)
    yield instances.iloc[rows], wells[wells["unit"].isin(units)]


def _zscores(
    source: _Source, wells: pd.DataFrame
) -> tuple[Float32[np.ndarray, "profile gene"], list[str], list[str]]:
    """Level 4 of some wells, their ids, and the ids of wells with values that are not finite."""
    ids = wells["inst_id"].tolist()
    values, finite = source.read(ids)
    if not finite.all():
        values, wells = values[finite], wells[finite]
    bad = [name for name, whole in zip(ids, finite, strict=True) if not whole]
    if source.settings.level == 3:
        control = None
        if source.settings.zscore_reference == VEHICLE:
            control = (wells["pert_type"] == VEHICLE_PERT_TYPE).to_numpy(bool)
        values = robust_zscore(values, plate=wells["plate"], control=control)
    return values, wells["inst_id"].tolist(), bad
