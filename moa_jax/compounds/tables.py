"""Reads compound tables, published or made by hand, into one raw table.

The raw table has one row per `pert_id`, sorted by it, and the columns `RAW_COLUMNS`: `compound`
(the name, else the `pert_id`), `smiles` as in the source, `inchi_key`, `moas` and `targets` (sorted
tuples), and `compound_group` if the source has it. Missing values are None or an empty tuple. Its
`attrs["reading"]` records which columns were read.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from moa_jax.compounds.columns import (
    Columns,
    column_of_ids,
    find_columns,
    holds_smiles,
    is_known_column,
    is_structure,
    known,
)
from moa_jax.compounds.identity import inchi_block, normalise_inchi_key, normalise_name
from moa_jax.compounds.moa_labels import normalise_moa
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.schemas import InputError, require_columns
from moa_jax.text.dialects import open_text_table
from moa_jax.text.tables import TextTable, read_cells

Path = str | os.PathLike[str]

RAW_COLUMNS = ("pert_id", "compound", "smiles", "inchi_key", "moas", "targets")
HUB_DRUG_COLUMNS = ("pert_iname", "moa", "target")
HUB_SAMPLE_COLUMNS = ("broad_id", "pert_iname", "smiles", "InChIKey")
EXCLUSION_LIST_COLUMNS = ("compound_group", "cmap_name")
# Key of a raw table's `attrs`.
READING = "reading"

# A Broad sample id is the compound's id followed by salt, batch and check digits.
_BROAD_ID = re.compile(r"(BRD-[A-Z]\d{8})(?:-.*)?")
# The extension of a CXSMILES.
_EXTENSION = re.compile(r"\A\|[^|]*\|\s*")
# Compounds listed in a message about several.
_NUM_NAMED = 3


@dataclasses.dataclass(frozen=True)
class ExclusionList:
    """Compounds excluded from training and testing.

    Attributes:
      groups: first InChIKey blocks (other groups never match a key).
      names: names in the form of `normalise_name`.
    """

    groups: frozenset[str]
    names: frozenset[str]

    def excludes(self, inchi_key: str | None, name: str | None) -> bool:
        """Whether a compound is excluded, by the first block of its InChIKey or by its name."""
        return inchi_block(inchi_key) in self.groups or normalise_name(name) in self.names


def read_compound_table(path: Path, samples_path: Path | None = None) -> pd.DataFrame:
    """Reads a table of compounds: structures, and ids, names, MoAs, targets if present.

    Column names are those of the releases (LINCS 2020's compoundinfo, GEO's pert_info), the
    Repurposing Hub and other common ones, in any case (`columns.NAMES`); otherwise the column of
    SMILES is recognised by content. A list of molecules without header (SMILES, then name) is
    read, too. Without ids, compounds are identified by name, else by the first column of unique
    texts, else by SMILES.

    Args:
      path: the table; several MoAs or targets are in separate rows or joined by `|`.
      samples_path: the Repurposing Hub's sample table, if `path` is its drug table.

    Returns:
      The raw table (see the module's docstring).

    Raises:
      InputError: the file cannot be read, has no structures, or a row has no id; or a table with
        groups has none or several for a compound.
    """
    if samples_path is not None:
        return read_repurposing_hub(path, samples_path)
    table = open_text_table(path, is_known=is_known_column, is_value=is_structure)
    cells, columns = _read_cells_and_columns(table, path)
    return _one_row_per_compound(_by_meaning(cells, columns, path), path, _reading(columns))


def read_repurposing_hub(drugs_path: Path, samples_path: Path) -> pd.DataFrame:
    """Reads the Repurposing Hub's drug and sample tables, joined by `pert_iname`.

    The samples of one compound become one row; MoAs and targets come from the drug table.

    Raises:
      InputError: a file cannot be read, lacks a column, or a sample has no Broad id.
    """
    drugs = _named_table(drugs_path, HUB_DRUG_COLUMNS)
    samples = _named_table(samples_path, HUB_SAMPLE_COLUMNS)
    broad_ids = samples["broad_id"].map(compound_of_sample)
    for row in broad_ids.index[~broad_ids.str.fullmatch(_BROAD_ID)]:
        raise InputError(
            f"{samples_path}: sample {row} has broad_id {samples['broad_id'][row]!r}, "
            "expected BRD- with a letter and eight digits."
        )
    samples = samples.assign(pert_id=broad_ids).drop(columns=["moa", "target"], errors="ignore")
    joined = samples.merge(drugs[list(HUB_DRUG_COLUMNS)], on="pert_iname", how="left")
    joined = joined.fillna({"moa": "", "target": ""}).rename(
        columns={"pert_iname": "cmap_name", "InChIKey": "inchi_key"}
    )
    columns = ["pert_id", "cmap_name", "target", "moa", "smiles", "inchi_key"]
    for name in ("cmap_name", "smiles"):
        joined[name] = joined[name].map(known)
    reading = {"ids": "broad_id", "structures": "smiles"}
    return _one_row_per_compound(joined[columns], samples_path, reading)


def read_exclusion_list(path: Path) -> ExclusionList:
    """Reads an exclusion list.

    Raises:
      InputError: the file cannot be read or lacks a column of `EXCLUSION_LIST_COLUMNS`.
    """
    table = _named_table(path, EXCLUSION_LIST_COLUMNS)
    groups = (known(text) for text in table["compound_group"])
    names = (normalise_name(known(text)) for text in table["cmap_name"])
    return ExclusionList(
        groups=frozenset(inchi_block(group) or group for group in groups if group),
        names=frozenset(name for name in names if name),
    )


def compound_of_sample(text: str) -> str:
    """The compound id of a Broad sample id; other texts unchanged."""
    match = _BROAD_ID.fullmatch(text.strip())
    return match[1] if match else text.strip()


def _named_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table with the given columns in any case; its index counts rows from 1.

    Raises:
      InputError: as for `open_text_table` and `read_cells`, or a column is missing.
    """
    wanted = {name.casefold(): name for name in columns}
    table = open_text_table(path, is_known=lambda name: name.casefold() in wanted)
    named = _numbered_cells(table).rename(columns=lambda name: wanted.get(name.casefold(), name))
    require_columns(named, columns, str(path))
    return named


def _read_cells_and_columns(table: TextTable, path: Path) -> tuple[pd.DataFrame, Columns]:
    """The cells of a table, and its columns by meaning."""
    cells = _numbered_cells(table)
    if table.has_header:
        _refuse_drug_table(cells, path)
        columns = find_columns(cells, str(path))
        ids = columns.of["pert_id"]
        with_values = tuple(name for name in ids if cells[name].map(known).notna().any())
        if not ids and not columns.of["cmap_name"] and len(cells):
            found = column_of_ids(cells, columns)
            with_values = () if found is None else (found,)
        return cells, dataclasses.replace(columns, of=columns.of | {"pert_id": with_values or ids})
    if not table.separator:
        cells = pd.DataFrame(
            [_parse_molecule(line) for line in cells["1"]], columns=["1", "2"], index=cells.index
        )
    if holds_smiles(cells["1"]):
        # Lists of molecules have the structure first, then the name.
        smiles, rest = "1", list(cells.columns[1:])
    else:
        smiles = find_columns(cells, str(path)).of["smiles"][0]
        rest = [name for name in cells.columns if name != smiles]
    ids = [name for name in rest if cells[name].map(known).notna().any()][:1]
    return cells, Columns({"smiles": (smiles,), "pert_id": tuple(ids)}, guessed=True)


def _numbered_cells(table: TextTable) -> pd.DataFrame:
    """The cells of a table; its index counts rows from 1."""
    cells = read_cells(table)
    cells.index += 1
    return cells


def _refuse_drug_table(cells: pd.DataFrame, path: Path) -> None:
    names = {name.casefold() for name in cells.columns}
    if set(HUB_DRUG_COLUMNS) <= names and not any("smiles" in name for name in names):
        raise InputError(
            f"{path} is the Repurposing Hub's drug table, which has no structures; its sample "
            "table is needed, too."
        )


def _parse_molecule(line: str) -> tuple[str, str]:
    """SMILES and name in a line of a list of molecules."""
    smiles, _, rest = line.partition(" ")
    return smiles, _EXTENSION.sub("", rest.strip())


def _reading(columns: Columns) -> dict[str, Any]:
    """Names of the columns that were read, as JSON values."""
    structures = [*columns.of.get("smiles", ()), *columns.of.get("inchi", ())]
    return {
        "ids": next(iter(columns.of.get("pert_id", ())), None),
        "structures": ", ".join(structures),
        **({"told_by": "its content"} if columns.guessed else {}),
    }


def _by_meaning(cells: pd.DataFrame, columns: Columns, path: Path) -> pd.DataFrame:
    """The table with one column per meaning; texts, None where unknown."""
    names = columns.first_known(cells, "cmap_name")
    found = {"smiles": columns.structures(cells)}
    ids = columns.of.get("pert_id", ())
    if ids:
        found["pert_id"] = cells[ids[0]].map(known)
        if ids[0].casefold() == "broad_id":
            found["pert_id"] = found["pert_id"].map(compound_of_sample, na_action="ignore")
        what = ids[0]
    else:
        named = columns.of.get("cmap_name", ())
        found["pert_id"] = names if named else found["smiles"]
        what = named[0] if named else "structure"
    for row in cells.index[found["pert_id"].isna()]:
        raise InputError(f"{path}: row {row} after the header has no {what}.")
    for meaning in ("moa", "target", "inchi_key"):
        found[meaning] = columns.first_known(cells, meaning).fillna("")
    for name in columns.of.get("compound_group", ()):
        found["compound_group"] = cells[name]
    return pd.DataFrame({**found, "cmap_name": names})


def _first(texts: pd.Series, parse: Callable[[str], str | None] = str) -> str | None:
    """The first result of `parse` that is not empty."""
    parsed = (parse(text) for text in texts if text)
    return next((value for value in parsed if value), None)


def _set_of(texts: pd.Series) -> tuple[str, ...]:
    """Sorted distinct entries of pipe-separated lists."""
    entries = (known(entry) for text in texts.unique() for entry in text.split("|"))
    return tuple(sorted({normalise_moa(entry) for entry in entries if entry}))


def _group_of(texts: pd.Series, pert_id: str, path: Path) -> str:
    """The compound group in a compound's rows, which must be unique."""
    groups = sorted({text.strip() for text in texts} - {""})
    if len(groups) != 1:
        found = "none" if not groups else " and ".join(groups)
        raise InputError(f"{path}: {pert_id} needs one compound_group, found {found}.")
    return groups[0]


def _one_row_per_compound(table: pd.DataFrame, path: Path, reading: dict[str, Any]) -> pd.DataFrame:
    """Aggregates rows to the raw table.

    If a compound has several names, SMILES or InChIKeys, the first in the file is used. Compounds
    with structures of different skeletons are reported.
    """
    has_groups = "compound_group" in table.columns
    rows, contradicting = [], []
    for pert_id, part in table.groupby(table["pert_id"].rename(None), sort=True):
        row = {
            "pert_id": pert_id,
            "compound": _first(part["cmap_name"]) or pert_id,
            "smiles": _first(part["smiles"]),
            "inchi_key": _first(part["inchi_key"], normalise_inchi_key),
            "moas": _set_of(part["moa"]),
            "targets": _set_of(part["target"]),
        }
        if has_groups:
            row["compound_group"] = _group_of(part["compound_group"], str(pert_id), path)
        if _num_skeletons(part["smiles"]) > 1:
            contradicting.append(pert_id)
        rows.append(row)
    columns = RAW_COLUMNS + (("compound_group",) if has_groups else ())
    raw = pd.DataFrame(rows, columns=list(columns), dtype=object)
    raw.attrs[READING] = reading | {"contradicting": contradicting}
    return raw


def _num_skeletons(smiles: pd.Series) -> int:
    texts = {text for text in smiles if text}
    if len(texts) < 2:
        return len(texts)
    found = map(standardise, sorted(texts))
    return len({own.inchi_block for own in found if isinstance(own, Structure)})


def contradictions(pert_ids: Sequence[str]) -> str:
    """Message about compounds whose rows have several structures."""
    more = len(pert_ids) - _NUM_NAMED
    named = ", ".join(pert_ids[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(pert_ids)} with contradicting structures, of which the first is used: {named}"
