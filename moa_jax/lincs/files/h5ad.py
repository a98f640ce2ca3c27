"""AnnData's h5ad files: HDF5 with one row per profile (`obs`) and one column per gene (`var`).

Read with h5py, following the format's specification (Virshup 2024), since the anndata package
would add a second array store. Reads the tables of anndata 0.7 and later, and the matrix `X`,
dense or sparse; other layers are ignored.
"""

from __future__ import annotations

import contextlib
import os

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int
from scipy import sparse

from moa_jax.lincs.files.gctx import read_blocks, texts_of
from moa_jax.lincs.files.hdf5_files import Hdf5Source
from moa_jax.lincs.metadata.releases import MATRIX_ID
from moa_jax.schemas import InputError

MATRIX = "X"
PROFILES = "obs"
GENES = "var"

# Groups that every h5ad file has.
TABLES = (PROFILES, GENES)

_SPARSE = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}
# Text of a missing value in a categorical or nullable column.
_MISSING = ""


def read_tables(source: Hdf5Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metadata of profiles and genes as strings, indexed by their ids, which may repeat.

    Raises:
      InputError: the file is not a complete h5ad file.
    """
    with _open(source) as file:
        return _table(file, PROFILES, source), _table(file, GENES, source)


def read_values(
    source: Hdf5Source,
    profiles: Int[np.ndarray, " profile"],
    genes: Int[np.ndarray, " gene"],
) -> Float32[np.ndarray, "profile gene"]:
    """The rows `profiles` and columns `genes` of `X`, in the order given.

    Raises:
      InputError: the file is not a complete h5ad file.
    """
    with _open(source) as file:
        matrix = file[MATRIX]
        if isinstance(matrix, h5py.Dataset):
            return read_blocks(matrix, profiles, genes, os.path.basename(source.path))
        parts = tuple(matrix[name][()] for name in ("data", "indices", "indptr"))
        whole = _SPARSE[_encoding(matrix)](parts, shape=_shape(matrix))
        return whole[profiles][:, genes].toarray().astype(np.float32)


def _open(source: Hdf5Source) -> contextlib.AbstractContextManager[h5py.File]:
    return source.open("h5ad", lambda file: _check_layout(file, source.path))


def _check_layout(file: h5py.File, path: str | os.PathLike[str]) -> None:
    for name in (PROFILES, GENES):
        if not isinstance(file.get(name), h5py.Group):
            raise InputError(
                f"{path} has no group {name}; it must be written by anndata 0.7 or later."
            )
    matrix = file.get(MATRIX)
    if matrix is None:
        raise InputError(f"{path} has no matrix {MATRIX}.")
    if isinstance(matrix, h5py.Group) and _encoding(matrix) not in _SPARSE:
        raise InputError(
            f"{path} has a matrix {MATRIX} of the kind {_encoding(matrix)!r}; an array, "
            "a csr_matrix or a csc_matrix was expected."
        )
    kind = (matrix["data"] if isinstance(matrix, h5py.Group) else matrix).dtype
    if kind.kind not in "fiu":
        raise InputError(f"{path} has a matrix {MATRIX} of {kind}; numbers were expected.")
    expected = (len(_index(file, PROFILES)), len(_index(file, GENES)))
    if _shape(matrix) != expected:
        raise InputError(
            f"{path} has a matrix of shape {_shape(matrix)}, but its tables describe {expected} "
            "(profiles, genes)."
        )


def _shape(matrix: h5py.Dataset | h5py.Group) -> tuple[int, ...]:
    if isinstance(matrix, h5py.Dataset):
        return tuple(matrix.shape)
    return tuple(int(size) for size in matrix.attrs["shape"])


def _encoding(node: h5py.Dataset | h5py.Group) -> str:
    return str(node.attrs.get("encoding-type", ""))


def _index(file: h5py.File, group: str) -> list[str]:
    return _column(file[group][str(file[group].attrs.get("_index", "_index"))])


def _table(file: h5py.File, group: str, source: Hdf5Source) -> pd.DataFrame:
    ids = _index(file, group)
    own = str(file[group].attrs.get("_index", "_index"))
    columns = {}
    for name in sorted(set(file[group]) - {own, "__categories"}):
        columns[name] = _column(file[group][name])
        if len(columns[name]) != len(ids):
            raise InputError(
                f"{source.path} has a field {group}/{name} that is not one value per id."
            )
    index = pd.Index(ids, name=MATRIX_ID, dtype=object)
    return pd.DataFrame(columns, index=index, dtype=object)


def _column(node: h5py.Dataset | h5py.Group) -> list[str]:
    """Values of a column as text, also of categorical and nullable columns."""
    if isinstance(node, h5py.Dataset):
        if "categories" not in node.attrs:
            return texts_of(node)
        # anndata 0.7 stores a reference to the categories.
        return _spelled_out(texts_of(node.file[node.attrs["categories"]]), node[()])
    if "codes" in node:
        return _spelled_out(texts_of(node["categories"]), node["codes"][()])
    values, mask = texts_of(node["values"]), node["mask"][()]
    return [_MISSING if missing else text for text, missing in zip(values, mask, strict=True)]


def _spelled_out(categories: list[str], codes: Int[np.ndarray, " id"]) -> list[str]:
    # Missing values have code -1.
    return [categories[code] if code >= 0 else _MISSING for code in codes]
