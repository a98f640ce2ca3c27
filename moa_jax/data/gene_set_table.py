"""The gene sets of a prepared folder or of a run: one parquet file, absent where there are none."""

from __future__ import annotations

import pathlib

import pandas as pd

from moa_jax.data.contract_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.knowledge.gene_sets import no_gene_sets
from moa_jax.schemas import GENE_SET_COLUMNS

GENE_SETS_FILE = "gene_sets.parquet"


def write_gene_sets(folder: pathlib.Path, sets: pd.DataFrame) -> None:
    """Writes `GENE_SET_COLUMNS` into a folder; no sets write no file."""
    if len(sets):
        with atomic_path(folder / GENE_SETS_FILE) as temporary:
            write_table(temporary, sets, GENE_SET_COLUMNS)


def read_gene_sets(folder: pathlib.Path) -> pd.DataFrame:
    """Reads what `write_gene_sets` wrote; without a file there are no sets.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / GENE_SETS_FILE
    return read_table(path, GENE_SET_COLUMNS) if path.exists() else no_gene_sets()
