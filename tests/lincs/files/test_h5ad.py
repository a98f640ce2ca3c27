"""h5ad files as anndata lays them out, written here with h5py alone."""

import h5py
import numpy as np
import pytest
from scipy import sparse

from moa_jax.schemas import InputError
from tests.matrices import read_matrix

VALUES = np.array([[1.5, -2, 0], [3, 0, -1]], np.float32)


def write_texts(group, name, texts):
    group.create_dataset(name, data=np.array(texts, object), dtype=h5py.string_dtype())


def write_matrix(file, values):
    if isinstance(values, np.ndarray):
        file["X"] = values
        return
    group = file.create_group("X")
    group.attrs["encoding-type"] = f"{values.format}_matrix"
    group.attrs["shape"] = values.shape
    for name in ("data", "indices", "indptr"):
        group[name] = getattr(values, name)


def write_h5ad(path, values=VALUES):
    with h5py.File(path, "w") as file:
        write_matrix(file, values)
        obs, var = file.create_group("obs"), file.create_group("var")
        obs.attrs["_index"], var.attrs["_index"] = "cell", "_index"
        write_texts(obs, "cell", ["w1", "w2"])
        write_texts(var, "_index", ["780", "7849", "16"])
        write_texts(var, "symbol", ["DDR1", "PAX8", "AARS"])
        obs["dose_um"] = [10.0, np.nan]
        lines = obs.create_group("cell_line")
        lines.attrs["encoding-type"] = "categorical"
        write_texts(lines, "categories", ["A375", "MCF7"])
        lines["codes"] = np.array([1, -1], np.int8)
        replicates = obs.create_group("n_replicates")
        replicates["values"], replicates["mask"] = [3, 1], [False, True]
    return path


@pytest.mark.parametrize(
    "values", [VALUES, sparse.csr_matrix(VALUES), sparse.csc_matrix(VALUES)], ids=repr
)
def test_the_matrix_and_its_tables_are_read(tmp_path, values):
    path = write_h5ad(tmp_path / "m.h5ad", values)
    matrix = read_matrix(path)
    np.testing.assert_array_equal(matrix.values, VALUES)
    assert matrix.gene_table["symbol"].tolist() == ["DDR1", "PAX8", "AARS"]
    assert matrix.profile_table["cell_line"].tolist() == ["MCF7", ""]
    assert matrix.profile_table["dose_um"].tolist() == ["10", "nan"]
    assert matrix.profile_table["n_replicates"].tolist() == ["3", ""]
    part = read_matrix(path, profile_ids=["w2", "w1"], gene_ids=["16", "780"])
    np.testing.assert_array_equal(part.values, [[-1, 3], [0, 1.5]])


def no_obs(file):
    del file["obs"]["cell"]


def other_shape(file):
    del file["X"]
    file["X"] = VALUES[:, :2]


def texts(file):
    del file["X"]
    write_texts(file, "X", ["a"])


def other_encoding(file):
    del file["X"]
    file.create_group("X").attrs["encoding-type"] = "dataframe"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_obs, "truncated or corrupt h5ad"),
        (other_shape, r"shape \(2, 2\), but its tables describe \(2, 3\)"),
        (texts, "numbers were expected"),
        (other_encoding, "kind 'dataframe'"),
    ],
)
def test_another_layout_is_refused(tmp_path, damage, message):
    path = write_h5ad(tmp_path / "m.h5ad")
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message):
        read_matrix(path)
