"""Expression matrices from GCTX, GCT and h5ad files and delimited tables, read whole or in part."""

from __future__ import annotations

import dataclasses
import functools
import os
import types
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int

from moa_jax.lincs.files import delimited, gct, gctx, h5ad
from moa_jax.lincs.files.delimited import CountGenes
from moa_jax.lincs.files.hdf5_files import HDF5_MAGIC, Hdf5Source
from moa_jax.lincs.metadata.releases import MATRIX_ID
from moa_jax.schemas import InputError
from moa_jax.text.files import open_bytes

# Rows checked at a time by `check_finite`.
_CHECKED_ROWS = 4096
_SENTINEL = np.float32(-666)

# (positions of profiles, positions of genes) -> values.
_ReadValues = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ExpressionMatrix:
    """Profiles over genes, with the file's metadata.

    Attributes:
      values: measured values, one row per profile.
      profile_ids: `sig_id` or `inst_id` of each row.
      gene_ids: id of each column; in LINCS files the Entrez id.
      profile_table: strings as in the file, sentinels included (`lincs.metadata.releases` reads
        such tables); the index is `profile_ids`, named `id`. May have no columns.
      gene_table: the same for the genes.
    """

    values: Float32[np.ndarray, "profile gene"]
    profile_ids: tuple[str, ...]
    gene_ids: tuple[str, ...]
    profile_table: pd.DataFrame
    gene_table: pd.DataFrame

    def __post_init__(self) -> None:
        expected = (len(self.profile_ids), len(self.gene_ids))
        if self.values.shape != expected or expected != (
            len(self.profile_table),
            len(self.gene_table),
        ):
            raise InputError(
                f"an expression matrix of shape {self.values.shape} does not fit "
                f"its {expected} (profiles, genes) ids and tables."
            )

    def of_profiles(self, kept: Bool[np.ndarray, " profile"]) -> ExpressionMatrix:
        """The matrix with the profiles that are kept."""
        table = self.profile_table[kept]
        return dataclasses.replace(
            self, values=self.values[kept], profile_ids=tuple(table.index), profile_table=table
        )


@dataclasses.dataclass(frozen=True)
class OpenedMatrix:
    """A matrix file whose tables have been read; values are read on demand.

    Attributes:
      path: the file.
      profile_table: metadata of the profiles as strings; the index, named `id`, has their ids.
      gene_table: the same for the genes, whose ids may repeat.
    """

    path: str | os.PathLike[str]
    profile_table: pd.DataFrame
    gene_table: pd.DataFrame
    _read: _ReadValues

    def values(
        self, profiles: Int[np.ndarray, " profile"], genes: Int[np.ndarray, " gene"]
    ) -> Float32[np.ndarray, "profile gene"]:
        """Values at these positions, in this order; NaN where missing.

        Raises:
          InputError: the file is truncated or corrupt.
        """
        values = self._read(profiles, genes)
        # The releases' code for missing values.
        values[values == _SENTINEL] = np.nan
        return values

    def profile_places(self, profile_ids: Sequence[str] | None) -> Int[np.ndarray, " profile"]:
        """Positions of profiles; None for all.

        Raises:
          InputError: an id is requested twice or missing.
        """
        index = self.profile_table.index
        _refuse_repeats(index, "profile", self.path)
        if profile_ids is None:
            return np.arange(len(index))
        ids = pd.Index(profile_ids, dtype=object)
        if ids.has_duplicates:
            raise InputError(f"the profile id {ids[ids.duplicated()][0]} was requested twice.")
        places = index.get_indexer(ids)
        absent = ids[places < 0]
        if len(absent):
            raise InputError(
                f"{self.path} lacks the profile id {absent[0]}, "
                f"one of {len(absent)} missing among {len(ids)} requested."
            )
        return places

    def transposed(self) -> OpenedMatrix:
        """The matrix with profiles and genes exchanged."""

        def read(
            profiles: Int[np.ndarray, " profile"], genes: Int[np.ndarray, " gene"]
        ) -> Float32[np.ndarray, "profile gene"]:
            return np.ascontiguousarray(self._read(genes, profiles).T)

        return OpenedMatrix(self.path, self.gene_table, self.profile_table, read)


def open_matrix(
    path: str | os.PathLike[str], count_genes: CountGenes, gene_column: str = ""
) -> OpenedMatrix:
    """Opens a GCTX, h5ad or GCT file or a table separated by tabs, semicolons or commas.

    The format is recognised by content, gzipped or not. The axis that names more of the genes is
    the gene axis.

    Args:
      path: the file.
      count_genes: see `delimited.CountGenes`.
      gene_column: a column of gene names; empty if unknown.

    Raises:
      InputError: the file is missing, truncated, corrupt or of another layout, repeats a
        profile's id, or both axes name equally many genes.
    """
    reader = _find_reader(path)
    if reader is None:
        values, rows, columns = delimited.read_delimited(path, count_genes, gene_column)
        opened = OpenedMatrix(path, rows, columns, _of_array(values))
    else:
        opened = _open(path, reader)
    along_profiles = count_genes(namings(opened.profile_table))
    along_genes = count_genes(namings(opened.gene_table))
    if along_profiles == along_genes > 0:
        raise InputError(
            f"{path} names {along_genes} of the genes in its rows and as many in its columns; "
            "expected genes in one of them."
        )
    if along_profiles > along_genes:
        opened = opened.transposed()
    profile_table = opened.profile_table
    if not len(profile_table):
        raise InputError(f"{path} has no profile: it has no column of values.")
    if reader is None:
        profile_table = delimited.with_profile_ids(profile_table)
    profile_table = delimited.with_named_ids(profile_table)
    # A column called `id` would be mistaken for the index.
    profile_table = profile_table.drop(columns=MATRIX_ID, errors="ignore")
    profile_table = profile_table.rename_axis(MATRIX_ID)
    _refuse_repeats(profile_table.index, "profile", path)
    return dataclasses.replace(opened, profile_table=profile_table)


def namings(table: pd.DataFrame) -> dict[str, list[str]]:
    """Candidate names of the rows of a table: the index, and each column."""
    own = str(table.index.name)
    found = {own: list(map(str, table.index))}
    for name in table.columns:
        found[f"{name} beside the ids" if name == own else str(name)] = table[name].tolist()
    return found


def check_finite(matrix: ExpressionMatrix, source: str) -> None:
    """Refuses a matrix with NaN or infinite values.

    Raises:
      InputError: names the first such value's profile and gene, and how many there are.
    """
    first, count = None, 0
    for start in range(0, len(matrix.profile_ids), _CHECKED_ROWS):
        wrong = ~np.isfinite(matrix.values[start : start + _CHECKED_ROWS])
        if first is None and wrong.any():
            row, column = np.argwhere(wrong)[0]
            first = (int(start + row), int(column))
        count += int(wrong.sum())
    if first is not None:
        raise InputError(
            f"{source} has {matrix.values[first]} for profile {matrix.profile_ids[first[0]]} and "
            f"gene {matrix.gene_ids[first[1]]}, one of {count} values that are not finite numbers."
        )


def _find_reader(path: str | os.PathLike[str]) -> types.ModuleType | None:
    """The module that reads a file; None if it is not a GCTX, h5ad or GCT file."""
    with open_bytes(path) as file:
        start = file.read(len(HDF5_MAGIC))
    if start == HDF5_MAGIC:
        return gctx
    return gct if gct.is_gct(path) else None


def _open(path: str | os.PathLike[str], reader: types.ModuleType) -> OpenedMatrix:
    if reader is gct:
        values, profile_table, gene_table = gct.read_whole(path)
        return OpenedMatrix(path, profile_table, gene_table, _of_array(values))
    source = Hdf5Source(path)
    reader = h5ad if source.contains(*h5ad.TABLES) else gctx
    profile_table, gene_table = reader.read_tables(source)
    return OpenedMatrix(
        path, profile_table, gene_table, functools.partial(reader.read_values, source)
    )


def _of_array(values: Float32[np.ndarray, "profile gene"]) -> _ReadValues:
    return lambda profiles, genes: values[np.ix_(profiles, genes)]


def _refuse_repeats(index: pd.Index, kind: str, path: str | os.PathLike[str]) -> None:
    if index.has_duplicates:
        raise InputError(f"{path} repeats the {kind} id {index[index.duplicated()][0]}.")
