"""MoleculeACE's folder: one CSV of ChEMBL activities per target and measure (van Tilborg 2022).

Files are named `CHEMBL234_Ki.csv`.
"""

from __future__ import annotations

import pathlib
import re

from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities
from moa_jax.text.chunks import open_table, read_columns

LICENCE = "MIT; ChEMBL CC BY-SA 3.0"
_FILE = re.compile(r"(CHEMBL[0-9]+)_(Ki|Kd|IC50|EC50)\.csv")
# Names and classes of the targets; may be absent.
_DATASETS = "datasets.csv"
_SMILES, _VALUE = "smiles", "exp_mean [nM]"


def fits(folder: pathlib.Path) -> bool:
    """Whether a folder has such files."""
    return any(_FILE.fullmatch(path.name) for path in folder.iterdir())


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files that are read, by name."""
    return sorted(
        path for path in folder.iterdir() if _FILE.fullmatch(path.name) or path.name == _DATASETS
    )


def read(folder: pathlib.Path) -> Activities:
    """Reads all files of a folder.

    Raises:
      InputError: a file cannot be read or lacks the structures or the activities.
    """
    names = _target_names(folder)
    parts = []
    for path in files(folder):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        columns = {_SMILES: "smiles", _VALUE: "value"}
        rows = read_columns(open_table(path, list(columns)), columns)
        p_activities = activities.p_activity(activities.numbers(rows["value"])[1], "nM")
        known = p_activities.notna()
        parts.append(
            Activities.of(
                {
                    "smiles": rows["smiles"][known],
                    "target": match[1],
                    "target_kind": activities.CHEMBL,
                    "target_name": names.get(match[1], ""),
                    "p_activity": p_activities[known],
                    "measure": match[2],
                    "source": "MoleculeACE",
                },
                rows.index[known],
                {activities.NO_ACTIVITY: int((~known).sum())},
            )
        )
    return activities.joined(parts)


def _target_names(folder: pathlib.Path) -> dict[str, str]:
    """ChEMBL target id -> name, if the folder has a list of its files."""
    path = folder / _DATASETS
    if not path.is_file():
        return {}
    columns = {"ChEMBL ID": "target", "Target name": "name"}
    table = read_columns(open_table(path, list(columns)), columns)
    return dict(zip(table["target"], table["name"], strict=True))
