"""Compound tables as they are published, read into one raw table.

The raw table has one row per `pert_id`, sorted by it, and the columns `RAW_COLUMNS`: `compound`
(the name, else the `pert_id`), `smiles` as the source writes it, `inchi_key`, `moas` and `targets`
(sorted tuples); a table that names its compound groups keeps them in `compound_group`. What is
missing is None, or an empty tuple.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable

import pandas as pd

from moa_jax.compounds.identity import inchi_block, normalise_inchi_key, normalise_name
from moa_jax.compounds.moa_labels import normalise_moa
from moa_jax.schemas import InputError, require_columns

Path = str | os.PathLike[str]

RAW_COLUMNS = ("pert_id", "compound", "smiles", "inchi_key", "moas", "targets")
COMPOUNDINFO_COLUMNS = ("pert_id", "cmap_name", "target", "moa", "canonical_smiles", "inchi_key")
HUB_DRUG_COLUMNS = ("pert_iname", "moa", "target")
HUB_SAMPLE_COLUMNS = ("broad_id", "pert_iname", "smiles", "InChIKey")
KEPT_ASIDE_COLUMNS = ("compound_group", "cmap_name")

# How compound tables write that they do not know, case-folded. `restricted` stands in LINCS tables
# for structures that may not be published. The releases' signature tables have their own list,
# kept with the reader of releases, which this package does not import.
MISSING = frozenset({"", "-666", "-666.0", "nan", "na", "restricted"})


# Fields of Hub tables that hold quotation marks are quoted, in the manner of spreadsheets.
class _Dialect(csv.excel_tab):
    strict = True


# A Broad sample id is the compound's id followed by salt, batch and check digits.
_BROAD_ID = r"^(BRD-[A-Z]\d{8})(?:-.*)?$"

_LEADING_COMMENTS = re.compile(r"\A(?:!.*\n)*")


@dataclasses.dataclass(frozen=True)
class KeptAside:
    """Compounds that nothing may be trained or tested on.

    Attributes:
      groups: first InChIKey blocks (a group that is not a block never matches a key).
      names: names in the form of `normalise_name`.
    """

    groups: frozenset[str]
    names: frozenset[str]

    def excludes(self, inchi_key: str | None, name: str | None) -> bool:
        """Whether a compound is kept aside, by the first block of its InChIKey or by its name."""
        return inchi_block(inchi_key) in self.groups or normalise_name(name) in self.names


def read_compound_table(path: Path, samples_path: Path | None = None) -> pd.DataFrame:
    """Reads a compound table of any supported kind, told apart by its columns.

    Args:
      path: a LINCS 2020 compoundinfo table, a table of one row per compound with a
        `compound_group` column, or the Repurposing Hub's drug table.
      samples_path: the Repurposing Hub's sample table, for a drug table.

    Returns:
      The raw table (see the module's docstring).

    Raises:
      InputError: the file cannot be read, is of no supported kind, or is one of a pair.
    """
    if samples_path is not None:
        return read_repurposing_hub(path, samples_path)
    columns = set(_read_text_table(path, ()).columns)
    if "pert_id" not in columns and columns & {"broad_id", "pert_iname"}:
        raise InputError(
            f"{path} is one of the Repurposing Hub's two tables; both the drug table and the "
            "sample table are needed."
        )
    return read_compounds_tsv(path) if "compound_group" in columns else read_compoundinfo(path)


def read_compoundinfo(path: Path) -> pd.DataFrame:
    """Reads a LINCS 2020 compoundinfo table: one row per compound, target and MoA.

    Raises:
      InputError: the file cannot be read, lacks a column of `COMPOUNDINFO_COLUMNS`, or has a row
        without `pert_id`.
    """
    table = _read_text_table(path, COMPOUNDINFO_COLUMNS)
    return _one_row_per_compound(table[list(COMPOUNDINFO_COLUMNS)], path)


def read_compounds_tsv(path: Path) -> pd.DataFrame:
    """Reads a table with pipe-separated MoAs and targets and, where present, compound groups.

    Raises:
      InputError: as for `read_compoundinfo`, or a compound has no group or two of them.
    """
    return _one_row_per_compound(_read_text_table(path, COMPOUNDINFO_COLUMNS), path)


def read_repurposing_hub(drugs_path: Path, samples_path: Path) -> pd.DataFrame:
    """Reads the Repurposing Hub's drug and sample tables, joined by `pert_iname`.

    The samples of one compound become one row; MoAs and targets come from the drug table.

    Raises:
      InputError: a file cannot be read, lacks a column, or a sample has no Broad id.
    """
    drugs = _read_text_table(drugs_path, HUB_DRUG_COLUMNS)
    samples = _read_text_table(samples_path, HUB_SAMPLE_COLUMNS)
    broad_ids = samples["broad_id"].str.extract(_BROAD_ID, expand=False)
    for row in broad_ids.index[broad_ids.isna()]:
        raise InputError(
            f"{samples_path}: sample {row + 1} has broad_id {samples['broad_id'][row]!r}, "
            "expected BRD- with a letter and eight digits."
        )
    samples = samples.assign(pert_id=broad_ids).drop(columns=["moa", "target"], errors="ignore")
    joined = samples.merge(drugs[list(HUB_DRUG_COLUMNS)], on="pert_iname", how="left")
    joined = joined.fillna({"moa": "", "target": ""}).rename(
        columns={"pert_iname": "cmap_name", "smiles": "canonical_smiles", "InChIKey": "inchi_key"}
    )
    return _one_row_per_compound(joined[list(COMPOUNDINFO_COLUMNS)], samples_path)


def read_kept_aside(path: Path) -> KeptAside:
    """Reads the list of compounds that are kept aside.

    Raises:
      InputError: the file cannot be read or lacks a column of `KEPT_ASIDE_COLUMNS`.
    """
    table = _read_text_table(path, KEPT_ASIDE_COLUMNS)
    groups = (_known(text) for text in table["compound_group"])
    names = (normalise_name(_known(text)) for text in table["cmap_name"])
    return KeptAside(
        groups=frozenset(inchi_block(group) or group for group in groups if group),
        names=frozenset(name for name in names if name),
    )


def _read_text(path: Path) -> str:
    """The text of a file, gzip-compressed or not: UTF-8, or Latin-1 as the Repurposing Hub has."""
    opened = gzip.open if os.fspath(path).endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read_text_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Reads a tab-separated table as texts, past leading comment lines that start with `!`."""
    lines = csv.reader(io.StringIO(_LEADING_COMMENTS.sub("", _read_text(path))), _Dialect)
    try:
        rows = [fields for fields in lines if fields]
    except csv.Error as error:
        raise InputError(
            f"{path} is not a tab-separated table: {error} before line {lines.line_num + 1}."
        ) from error
    if not rows:
        raise InputError(f"{path} is empty.")
    header = rows.pop(0)
    for number, fields in enumerate(rows, start=1):
        if len(fields) != len(header):
            raise InputError(
                f"{path}: row {number} after the header has {len(fields)} fields, "
                f"expected the header's {len(header)}."
            )
    table = pd.DataFrame(rows, columns=header, dtype=object)
    for column in table.columns[table.columns.duplicated()]:
        raise InputError(f"{path} has two columns named {column}.")
    require_columns(table, columns, str(path))
    return table


def _known(text: str) -> str | None:
    """`text` without blanks at its ends, None where it says that nothing is known."""
    text = text.strip()
    return None if text.casefold() in MISSING else text


def _first_known(texts: pd.Series, parse: Callable[[str], str | None] = str) -> str | None:
    """What `parse` makes of the first text that is known and that it can read."""
    parsed = (parse(known) for known in map(_known, texts) if known)
    return next((value for value in parsed if value), None)


def _set_of(texts: pd.Series) -> tuple[str, ...]:
    """Sorted distinct entries of pipe-separated lists."""
    entries = (_known(entry) for text in texts.unique() for entry in text.split("|"))
    return tuple(sorted({normalise_moa(entry) for entry in entries if entry}))


def _group_of(texts: pd.Series, pert_id: str, path: Path) -> str:
    """The one compound group that a compound's rows name, word for word."""
    groups = sorted({text.strip() for text in texts} - {""})
    if len(groups) != 1:
        found = "none" if not groups else " and ".join(groups)
        raise InputError(f"{path}: {pert_id} needs one compound_group, found {found}.")
    return groups[0]


def _one_row_per_compound(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Aggregates rows in compoundinfo's columns to the raw table.

    Of several names, SMILES or InChIKeys of one compound the first known one is taken, in the
    order of the file.
    """
    pert_ids = table["pert_id"].map(_known)
    for row in table.index[pert_ids.isna()]:
        raise InputError(f"{path}: row {row + 1} after the header has no pert_id.")
    has_groups = "compound_group" in table.columns
    rows = []
    for pert_id, part in table.groupby(pert_ids.rename(None), sort=True):
        row = {
            "pert_id": pert_id,
            "compound": _first_known(part["cmap_name"]) or pert_id,
            "smiles": _first_known(part["canonical_smiles"]),
            "inchi_key": _first_known(part["inchi_key"], normalise_inchi_key),
            "moas": _set_of(part["moa"]),
            "targets": _set_of(part["target"]),
        }
        if has_groups:
            row["compound_group"] = _group_of(part["compound_group"], str(pert_id), path)
        rows.append(row)
    columns = RAW_COLUMNS + (("compound_group",) if has_groups else ())
    return pd.DataFrame(rows, columns=list(columns), dtype=object)
