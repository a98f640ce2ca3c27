"""Storage of the contracts' tables as parquet files: equal tables give equal bytes."""

from __future__ import annotations

import pathlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from moa_jax.schemas import InputError, require_columns

# Types of columns that are not text.
_COLUMN_TYPES = {
    "dose_um": pa.float64(),
    "time_h": pa.float64(),
    "n_replicates": pa.float64(),
    "cc_q75": pa.float64(),
    "tas": pa.float64(),
    "is_landmark": pa.bool_(),
    "moas": pa.list_(pa.string()),
    "other_moas": pa.list_(pa.string()),
    "targets": pa.list_(pa.string()),
    "actions": pa.list_(pa.string()),
    "genes": pa.list_(pa.string()),
    "senders": pa.int32(),
    "receivers": pa.int32(),
    "weight": pa.float32(),
    "score": pa.float64(),
    "is_right": pa.bool_(),
    "pairs": pa.list_(pa.float32()),
    "strength": pa.float64(),
    "is_learnable": pa.bool_(),
    "probs": pa.list_(pa.float32()),
    "expression": pa.list_(pa.float32()),
}


def write_table(path: pathlib.Path, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    """Writes some columns with the types in `_COLUMN_TYPES`, regardless of pandas dtypes."""
    arrays = []
    for name in columns:
        kind = _COLUMN_TYPES.get(name, pa.string())
        values = table[name]
        if kind == pa.float64():
            values = pd.to_numeric(values).astype("float64")
        arrays.append(pa.array(values, type=kind, from_pandas=True))
    pq.write_table(pa.table(arrays, names=list(columns)), path)


def read_table(path: pathlib.Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Reads a table that `write_table` wrote.

    Raises:
      InputError: the file is missing or damaged, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        table = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is damaged: {error}.") from None
    require_columns(table, columns, str(path))
    for name in columns:
        if pa.types.is_list(_COLUMN_TYPES.get(name, pa.string())):
            table[name] = [tuple(values) for values in table[name]]
    return table
