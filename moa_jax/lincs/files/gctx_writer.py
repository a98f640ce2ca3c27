"""Writes GCTX files block by block, using parts of cmapPy's writer."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np
import pandas as pd
from cmapPy.pandasGEXpress import write_gctx as layout

from moa_jax.files import atomic_path
from moa_jax.schemas import InputError

_GZIP_LEVEL = 6


class _NumpyWithOldNames:
    """For cmapPy 4.0.1, which uses `numpy.string_`; numpy 2 removed it."""

    string_ = np.bytes_

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


# Replaces numpy in cmapPy's module only.
layout.numpy = _NumpyWithOldNames()


def write_gctx(
    path: str | os.PathLike[str],
    *,
    profile_table: pd.DataFrame,
    gene_table: pd.DataFrame,
    blocks: Iterable[np.ndarray],
) -> None:
    """Writes a GCTX file with one block in memory at a time; equal input gives equal bytes.

    Args:
      path: where to write; an existing file is replaced once the new one is complete.
      profile_table: metadata of the profiles, indexed by their ids. Missing values become -666;
        texts are UTF-8 (cmapPy's own reader only reads ASCII).
      gene_table: metadata of the genes, indexed by their ids.
      blocks: consecutive profiles as [profile, gene] arrays, stored as float32.

    Raises:
      InputError: an id is repeated, a table is empty or has a field that the format does not
        allow, or the disk is full.
      ValueError: the blocks do not have the shape that the tables describe.
    """
    path = pathlib.Path(path)
    tables = {"col": _checked(profile_table, "profile"), "row": _checked(gene_table, "gene")}
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                layout.write_version(file)
                file.attrs[layout.src_attr] = path.name
                _write_matrix(file, blocks, (len(profile_table), len(gene_table)))
                for dim, table in tables.items():
                    layout.write_metadata(file, dim, table, True, gzip_compression=_GZIP_LEVEL)
        # HDF5 reports a full disk through either of these.
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"cannot write {path}: {_reason(error)}; nothing was left half written."
            ) from None


def _reason(error: OSError | RuntimeError) -> str:
    """The system's message, without the addresses and temporary name that HDF5 adds."""
    match = re.search(r"errno = (\d+)", str(error))
    return os.strerror(int(match.group(1))) if match else str(error)


def _write_matrix(file: h5py.File, blocks: Iterable[np.ndarray], shape: tuple[int, int]) -> None:
    matrix = file.create_dataset(layout.data_matrix_node, shape=shape, dtype=np.float32)
    row = 0
    for block in blocks:
        end = row + len(block)
        if block.ndim != 2 or block.shape[1] != shape[1] or end > shape[0]:
            raise ValueError(
                f"a block of shape {block.shape} at profile {row} does not fit a matrix "
                f"of {shape} (profiles, genes)."
            )
        matrix[row:end] = np.asarray(block, dtype=np.float32)
        row = end
    if row != shape[0]:
        raise ValueError(f"the blocks hold {row} profiles; the table has {shape[0]}.")


def _checked(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """A copy for cmapPy, which changes it: text as UTF-8 bytes, flags as 0 and 1, or NaN."""
    if not len(table):
        raise InputError(f"a GCTX file without any {kind} cannot be written.")
    if table.index.has_duplicates:
        raise InputError(
            f"the {kind} id {table.index[table.index.duplicated()][0]} is repeated; "
            "a GCTX file needs each once."
        )
    # cmapPy stores the ids under `id` and skips `ind`; HDF5 reads a slash as a group.
    for name in map(str, table.columns):
        if name in ("id", "ind", "") or "/" in name:
            raise InputError(f"a GCTX file cannot hold a {kind} field called {name!r}.")
    copy = pd.DataFrame(index=[str(profile).encode() for profile in table.index])
    for name in table.columns:
        copy[str(name)] = _stored(table[name])
    return copy


def _stored(column: pd.Series) -> np.ndarray:
    if column.dtype == bool:
        return column.to_numpy(dtype=np.int64)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column.to_numpy()
    texts = [np.nan if pd.isna(value) else str(value).encode() for value in column]
    return np.array(texts, dtype=object)
