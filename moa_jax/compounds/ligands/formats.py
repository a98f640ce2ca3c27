"""Recognises the format of a ligand table by its content."""

from __future__ import annotations

import dataclasses
import pathlib

from moa_jax.compounds.ligands import (
    affinity_matrix,
    bindingdb,
    chembl,
    drugcentral,
    moleculeace,
    plain,
)
from moa_jax.compounds.ligands.activities import Activities
from moa_jax.schemas import InputError
from moa_jax.text.chunks import open_table

# Name -> module with `fits`, `files` and `read`, in the order in which they are tried.
_FOLDERS = {"KIBA or Davis": affinity_matrix, "MoleculeACE": moleculeace}
# Name -> module with `fits` and `read`. Plain tables come last: they need the fewest columns.
_TABLES = {"ChEMBL": chembl, "BindingDB": bindingdb, "DrugCentral": drugcentral}
_PLAIN = "plain table"
_EXPECTED = (
    "columns of SMILES and target, ChEMBL's activity export, BindingDB's TSV, DrugCentral's "
    "drug-target table, or the folder of KIBA, Davis or MoleculeACE"
)


@dataclasses.dataclass(frozen=True)
class LigandTable:
    """The contents of a ligand table.

    Attributes:
      format: name of the format.
      licence: licence of its data.
      activities: what it contains.
    """

    format: str
    licence: str
    activities: Activities


def read_ligand_table(path: pathlib.Path, *, default_unit: str) -> LigandTable:
    """Reads a ligand table in any known format.

    Args:
      path: a file or a folder.
      default_unit: see `plain.read`.

    Raises:
      InputError: the format is none of the known ones, or the file cannot be used.
    """
    if path.is_dir():
        name = _folder_format(path)
        return LigandTable(name, _FOLDERS[name].LICENCE, _FOLDERS[name].read(path))
    names = [theirs for module in (*_TABLES.values(), plain) for theirs in module.NAMES.values()]
    table = open_table(path, [name for theirs in names for name in theirs])
    for name, module in _TABLES.items():
        if module.fits(table.header):
            return LigandTable(name, module.LICENCE, module.read(table))
    if plain.fits(table.header):
        return LigandTable(_PLAIN, plain.LICENCE, plain.read(table, default_unit))
    shown = ", ".join(table.header[:8]) + (", ..." if len(table.header) > 8 else "")
    raise InputError(
        f"{path} is not a ligand table: it has the columns {shown}; expected {_EXPECTED}."
    )


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """The files of a ligand table: itself, or those of a folder that are read.

    Raises:
      InputError: the folder is in no known format.
    """
    return _FOLDERS[_folder_format(path)].files(path) if path.is_dir() else [path]


def _folder_format(path: pathlib.Path) -> str:
    for name, module in _FOLDERS.items():
        if module.fits(path):
            return name
    raise InputError(f"{path} is not the folder of a ligand table; expected {_EXPECTED}.")
