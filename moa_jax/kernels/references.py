"""The table of the kernel experts' references, stored with a run.

A checkpoint holds the references as arrays. This table has the compound, cell line and mechanisms
of each row, so that a prediction can be traced to training compounds. Their targets are in another
table (`known_targets`).
"""

from __future__ import annotations

import pathlib

import ml_collections
import numpy as np
import pandas as pd

from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.kernels.ridge import kernel_settings, signature_references, structure_references
from moa_jax.models.experts import EXPERTS
from moa_jax.schemas import Examples

REFERENCES_FILE = "references.parquet"
REFERENCE_COLUMNS = (
    "expert",
    "group",
    "pert_id",
    "compound",
    "sig_id",
    "cell_line",
    "smiles",
    "moas",
)


def reference_table(config: ml_collections.ConfigDict, train: Examples) -> pd.DataFrame:
    """Describes the references of the kernel experts.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      train: the examples that the model was fitted to.

    Returns:
      `REFERENCE_COLUMNS`, expert after expert, in the order of their references. Several examples
      may share a structure: its row has the compounds and MoAs of all and the `group` and
      `pert_id` of the first. `moas` are those of the vocabulary; a pseudo-labelled example has
      none.
    """
    distinct = sorted({smiles for smiles in train.smiles if smiles is not None})
    place = {smiles: row for row, smiles in enumerate(distinct)}
    structure = np.array([place.get(smiles, len(distinct)) for smiles in train.smiles], int)
    parts = []
    for expert in (name for name in config.model.experts if EXPERTS[name].comparison):
        most = kernel_settings(config, expert).max_references
        if EXPERTS[expert].reads_expression:
            rows = signature_references(train.has_expression, most, config.seed)
            parts.append(_described(train, expert, [[row] for row in rows.tolist()]))
        else:
            rows = structure_references(structure, train.has_structure, most, config.seed)
            rows_of = [np.flatnonzero(structure == structure[row]).tolist() for row in rows]
            table = _described(train, expert, rows_of)
            parts.append(table.assign(cell_line=None, sig_id=None))
    # A model of networks alone has no references.
    return pd.concat(parts or [pd.DataFrame(columns=REFERENCE_COLUMNS)], ignore_index=True)


def _described(train: Examples, expert: str, rows_of: list[list[int]]) -> pd.DataFrame:
    """One row for each list of examples."""
    first = [rows[0] for rows in rows_of]
    table = train.table.iloc[first].reset_index(drop=True)
    compounds = train.table["compound"].to_numpy()
    names = [sorted({str(compounds[row]) for row in rows}) for rows in rows_of]
    moas = [np.flatnonzero(train.labels[rows].max(axis=0)).tolist() for rows in rows_of]
    columns = {
        **{name: table[name] for name in ("pert_id", "sig_id", "cell_line")},
        "expert": expert,
        "group": [train.groups[row] for row in first],
        "compound": list(map(" / ".join, names)),
        "smiles": [train.smiles[row] for row in first],
        "moas": [tuple(train.moas[moa] for moa in columns) for columns in moas],
    }
    return pd.DataFrame(columns, index=range(len(first)))[list(REFERENCE_COLUMNS)]


def write_references(workdir: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes the table into the folder of a run, whole or not at all."""
    with atomic_path(workdir / REFERENCES_FILE) as temporary:
        write_table(temporary, table, REFERENCE_COLUMNS)


def read_references(workdir: pathlib.Path) -> pd.DataFrame:
    """Reads what `write_references` wrote.

    Raises:
      InputError: the file is missing or damaged.
    """
    return read_table(workdir / REFERENCES_FILE, REFERENCE_COLUMNS)
