"""Expression matrices of GCTX, GCT and h5ad files, whole or the part that is asked for."""

from __future__ import annotations

import dataclasses
import os
import types
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from moa_jax.lincs import gct, gctx, h5ad
from moa_jax.lincs.text_files import open_bytes
from moa_jax.schemas import InputError

# Values checked at a time by `check_finite`.
_CHECKED_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class ExpressionMatrix:
    """Profiles over genes with the metadata that stood in the file.

    Attributes:
      values: what was measured, one row per profile.
      profile_ids: `sig_id` or `inst_id` of each row.
      gene_ids: id of each column; in LINCS files the Entrez id.
      profile_table: strings as the file has them, sentinels included (`lincs.releases` reads
        such tables); indexed by `profile_ids` under the name `id`. May have no columns.
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

    def take(
        self,
        source: str | os.PathLike[str],
        *,
        profile_ids: Sequence[str] | None = None,
        gene_ids: Sequence[str] | None = None,
    ) -> ExpressionMatrix:
        """A part of the matrix, as `read_matrix` would read it.

        Args:
          source: what to call the matrix in messages.
          profile_ids: which profiles, in this order; None for all.
          gene_ids: which genes, in this order; None for all.

        Raises:
          InputError: an id is asked for twice, or is not there.
        """
        profiles = _positions(self.profile_table.index, profile_ids, "profile", source)
        genes = _positions(self.gene_table.index, gene_ids, "gene", source)
        profile_table, gene_table = self.profile_table.iloc[profiles], self.gene_table.iloc[genes]
        return ExpressionMatrix(
            values=self.values[np.ix_(profiles, genes)],
            profile_ids=tuple(profile_table.index),
            gene_ids=tuple(gene_table.index),
            profile_table=profile_table,
            gene_table=gene_table,
        )


def read_matrix(
    path: str | os.PathLike[str],
    *,
    profile_ids: Sequence[str] | None = None,
    gene_ids: Sequence[str] | None = None,
) -> ExpressionMatrix:
    """Reads a GCTX or h5ad file, or a GCT file of version 1.2 or 1.3 (gzipped or not).

    Args:
      path: the file; its content tells which of the formats it is.
      profile_ids: which profiles to read, in this order; None for all, in the file's order.
      gene_ids: which genes to read, in this order; None for all, in the file's order.

    Raises:
      InputError: the file is missing, truncated, corrupt or of another layout, it repeats an
        id, or an id that was asked for is not in it.
    """
    reader = _reader_of(path)
    profile_table, gene_table = reader.read_tables(path)
    profiles = _positions(profile_table.index, profile_ids, "profile", path)
    genes = _positions(gene_table.index, gene_ids, "gene", path)
    profile_table, gene_table = profile_table.iloc[profiles], gene_table.iloc[genes]
    return ExpressionMatrix(
        values=reader.read_values(path, profiles, genes),
        profile_ids=tuple(profile_table.index),
        gene_ids=tuple(gene_table.index),
        profile_table=profile_table,
        gene_table=gene_table,
    )


def read_ids(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of a file's profiles and genes, without its matrix.

    Raises:
      InputError: the file is missing, truncated, corrupt or of another layout, or repeats an id.
    """
    reader = _reader_of(path)
    if reader is not gct:
        return reader.read_ids(path)
    profile_table, gene_table = gct.read_tables(path)
    return tuple(profile_table.index), tuple(gene_table.index)


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


def is_matrix_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like one that `read_matrix` reads.

    Raises:
      InputError: the file is missing or unreadable.
    """
    return _find_reader(path) is not None


def _find_reader(path: str | os.PathLike[str]) -> types.ModuleType | None:
    with open_bytes(path) as file:
        start = file.read(len(gctx.HDF5_MAGIC))
    if start == gctx.HDF5_MAGIC:
        return h5ad if h5ad.is_h5ad(path) else gctx
    return gct if start.startswith(b"#1.") else None


def _reader_of(path: str | os.PathLike[str]) -> types.ModuleType:
    reader = _find_reader(path)
    if reader is None:
        raise InputError(
            f"{path} is neither a GCTX (HDF5) file nor a GCT file of version 1.2 or 1.3, nor h5ad."
        )
    return reader


def _positions(
    index: pd.Index, wanted: Sequence[str] | None, kind: str, path: str | os.PathLike[str]
) -> Int[np.ndarray, " id"]:
    if wanted is None:
        return np.arange(len(index))
    asked = pd.Index(wanted, dtype=object)
    if asked.has_duplicates:
        raise InputError(f"the {kind} id {asked[asked.duplicated()][0]} was asked for twice.")
    positions = index.get_indexer(asked)
    absent = asked[positions < 0]
    if len(absent):
        raise InputError(
            f"{path} lacks the {kind} id {absent[0]}, "
            f"one of {len(absent)} missing of the {len(asked)} asked for."
        )
    return positions
