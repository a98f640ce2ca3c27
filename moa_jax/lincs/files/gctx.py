"""GCTX files: HDF5 with the matrix stored profile by gene, read block by block.

The format is the Broad's (Enache 2019): `/0/DATA/0/matrix` and one dataset per metadata field
under `/0/META/COL` (profiles) and `/0/META/ROW` (genes), among them `id`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from moa_jax.lincs.files.hdf5_files import Hdf5Source
from moa_jax.lincs.metadata.releases import MATRIX_ID
from moa_jax.progress import track
from moa_jax.schemas import InputError
from moa_jax.text.files import decode

MATRIX = "/0/DATA/0/matrix"
PROFILES = "/0/META/COL"
GENES = "/0/META/ROW"

# Rows read at a time: selecting rows in memory is faster than reading single rows through HDF5.
BLOCK_ROWS = 4096


def read_tables(source: Hdf5Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metadata of profiles and genes as strings, indexed by their ids, which may repeat.

    Raises:
      InputError: the file is not a complete GCTX file.
    """
    with _open(source) as file:
        return _table(file, PROFILES, source), _table(file, GENES, source)


def read_values(
    source: Hdf5Source,
    profiles: Int[np.ndarray, " profile"],
    genes: Int[np.ndarray, " gene"],
) -> Float32[np.ndarray, "profile gene"]:
    """The rows `profiles` and columns `genes` of the matrix, in the order given.

    Raises:
      InputError: the file is not a complete GCTX file.
    """
    with _open(source) as file:
        return read_blocks(file[MATRIX], profiles, genes, os.path.basename(source.path))


def read_blocks(
    matrix: h5py.Dataset,
    profiles: Int[np.ndarray, " profile"],
    genes: Int[np.ndarray, " gene"],
    name: str,
) -> Float32[np.ndarray, "profile gene"]:
    """Rows and columns of an HDF5 matrix in the order given, read block by block.

    Args:
      matrix: [profile, gene].
      profiles: rows.
      genes: columns.
      name: the file's name, for the progress bar.
    """
    values = np.empty((len(profiles), len(genes)), dtype=np.float32)
    if not values.size:
        return values
    order = np.argsort(profiles, kind="stable")
    wanted = profiles[order]
    first_gene, end_gene = int(genes.min()), int(genes.max()) + 1
    takes_all_genes = np.array_equal(genes, np.arange(first_gene, end_gene))
    starts = np.unique(wanted // BLOCK_ROWS) * BLOCK_ROWS
    for start in track(starts, f"reading {name}") if len(starts) > 1 else starts:
        here = slice(*np.searchsorted(wanted, (start, start + BLOCK_ROWS)))
        first, end = int(wanted[here][0]), int(wanted[here][-1]) + 1
        block = matrix[first:end, first_gene:end_gene]
        rows = block[wanted[here] - first]
        values[order[here]] = rows if takes_all_genes else rows[:, genes - first_gene]
    return values


def _open(source: Hdf5Source) -> contextlib.AbstractContextManager[h5py.File]:
    return source.open("GCTX", lambda file: _check_layout(file, source))


def _check_layout(file: h5py.File, source: Hdf5Source) -> None:
    for name in (MATRIX, f"{PROFILES}/id", f"{GENES}/id"):
        if not isinstance(file.get(name), h5py.Dataset):
            raise InputError(f"{source.path} has no {name}; that is not the layout of GCTX 1.0.")
    matrix = file[MATRIX]
    if matrix.dtype.kind not in "fiu":
        raise InputError(f"{source.path} has a matrix of {matrix.dtype}; numbers were expected.")
    expected = (file[f"{PROFILES}/id"].size, file[f"{GENES}/id"].size)
    if matrix.shape != expected:
        raise InputError(
            f"{source.path} has a matrix of shape {matrix.shape}, but its ids describe "
            f"{expected} (profiles, genes)."
        )


def _table(file: h5py.File, group: str, source: Hdf5Source) -> pd.DataFrame:
    ids = texts_of(file[f"{group}/id"])
    columns = {}
    for name in sorted(file[group]):
        field = file[group][name]
        if name == MATRIX_ID:
            continue
        if not isinstance(field, h5py.Dataset) or field.shape != (len(ids),):
            raise InputError(
                f"{source.path} has a field {group}/{name} that is not one value per id."
            )
        columns[name] = texts_of(field)
    index = pd.Index(ids, name=MATRIX_ID, dtype=object)
    return pd.DataFrame(columns, index=index, dtype=object)


def texts_of(field: h5py.Dataset) -> list[str]:
    """Values of a dataset as text without outer blanks; integers without decimal point."""
    return [_text(value) for value in np.ravel(field[()])]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return decode(value).rstrip("\0").strip()
    # Gene ids may be stored as floats.
    if isinstance(value, np.floating) and value.is_integer():
        return str(int(value))
    return str(value).strip()
