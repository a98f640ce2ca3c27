"""Structures of a user's compounds, from a compound table or from the signatures' metadata.

Compounds are looked up in the table by `pert_id`, ignoring case and the suffix of Broad sample
ids, or by name. Otherwise SMILES are taken from the metadata: an h5ad's `obs`, or columns of the
matrix file or siginfo.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from moa_jax.compounds.columns import named_columns
from moa_jax.compounds.identity import normalise_name
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import (
    READING,
    compound_of_sample,
    contradictions,
    read_compound_table,
)
from moa_jax.data.examples.build import table_of_structures
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, InputError

_NUMBERS = ("dose_um", "time_h", "n_replicates", "cc_q75", "tas")
# Fields of a table's reading report.
_READ = ("structures", "ids")
_NO_TABLE = "no compound table"
_NOT_LISTED = "not in the compound table"
_AMBIGUOUS = "the compound table has several structures of that name"


@dataclasses.dataclass(frozen=True)
class NewStructures:
    """Structures of examples.

    Attributes:
      smiles: standardised SMILES of each example's compound; None if there is none.
      report: counts and the columns that were read, as JSON values.
    """

    smiles: tuple[str | None, ...]
    report: dict[str, Any]


def structure_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Summary of `NewStructures.report` in a few lines."""
    yield f"structures: {report['with_structure']:,} of {report['predicted']:,} compounds"
    table = report["table"]
    if table is not None:
        how = f", recognised by {table['told_by']}" if "told_by" in table else ""
        structures, ids = (table[name] and _column_name(table[name]) for name in _READ)
        yield f"  read from {structures}{how}" + (f", ids from {ids}" if ids else "")
    if count := report["told_by_metadata"]:
        yield f"  {count:,} from the signatures' own metadata"
    if count := report["found_by_name_or_other_spelling"]:
        yield f"  {count:,} found by their names or another spelling of their ids"
    yield from (f"  {count:,} without: {why}" for why, count in report["without_structure"].items())
    if table is not None and table["contradicting"]:
        yield f"  {contradictions(table['contradicting'])}"


def _column_name(name: str) -> str:
    """A column's name, or its number if the table has no header."""
    return f"column {name}" if name.isdecimal() else name


def read_new_structures(
    path: pathlib.Path | None, in_metadata: Mapping[str, str], signatures: pd.DataFrame
) -> NewStructures:
    """Structures of signatures' compounds.

    Args:
      path: a compound table (`compounds.tables.read_compound_table`), if there is one.
      in_metadata: `pert_id` -> SMILES in the metadata, for compounds without one in the table.
      signatures: `pert_id` and `compound` of each signature.

    Raises:
      InputError: the table cannot be used.
    """
    return _matched(None if path is None else read_compound_table(path), in_metadata, signatures)


def _matched(
    raw: pd.DataFrame | None, in_metadata: Mapping[str, str], signatures: pd.DataFrame
) -> NewStructures:
    lookup = _Lookup.of(raw)
    names = dict(zip(signatures["pert_id"], signatures["compound"], strict=True))
    smiles_of: dict[str, str | None] = {}
    reasons: collections.Counter[str] = collections.Counter()
    num_otherwise = num_in_metadata = 0
    for pert_id, name in names.items():
        written, why = lookup.find(pert_id, name)
        found = standardise(written)
        if not isinstance(found, Structure) and pert_id in in_metadata:
            other = standardise(in_metadata[pert_id])
            # An invalid structure in the table takes precedence as the reason.
            if isinstance(other, Structure) or written is None:
                found, why = other, None
                num_in_metadata += isinstance(other, Structure)
        elif isinstance(found, Structure):
            num_otherwise += pert_id not in lookup.by_id
        if isinstance(found, Structure):
            smiles_of[pert_id] = found.smiles
        else:
            smiles_of[pert_id] = None
            reasons[why or found.reason] += 1
    report = {
        "predicted": len(smiles_of),
        "with_structure": len(smiles_of) - reasons.total(),
        "without_structure": dict(sorted(reasons.items())),
        "found_by_name_or_other_spelling": num_otherwise,
        "told_by_metadata": num_in_metadata,
        "table": None if raw is None else raw.attrs[READING],
    }
    return NewStructures(tuple(smiles_of[pert_id] for pert_id in signatures["pert_id"]), report)


def structure_only_examples(
    path: pathlib.Path, genes: pd.DataFrame, features: FeatureSpec
) -> tuple[Examples, NewStructures]:
    """The compounds of a table as examples without signatures, one each.

    Compounds without a valid structure are kept, and answered accordingly.

    Args:
      path: the compound table.
      genes: `GENE_COLUMNS` of the model's expression columns.
      features: vocabularies of the model.

    Raises:
      InputError: the table cannot be used, or has no valid structure.
    """
    raw = read_compound_table(path)
    table = table_of_structures(raw, _no_signatures())
    structures = _matched(raw, {}, table)
    if not any(structures.smiles):
        reasons = structures.report["without_structure"]
        found = "; ".join(f"{count}: {why}" for why, count in reasons.items()) or "it is empty"
        raise InputError(f"{path} has no valid structure among {len(raw)} compounds ({found}).")
    examples = Examples.of_structures(
        structures.smiles,
        table,
        groups=table["pert_id"],
        moas=features.moas,
        gene_mask=np.ones(len(genes), bool),
    )
    return examples, structures


def structures_in_metadata(
    tables: Iterable[pd.DataFrame], ids: pd.Series, pert_ids: pd.Series
) -> dict[str, str]:
    """SMILES of compounds in the metadata of their profiles.

    Args:
      tables: metadata in order of preference; the index or a column has the profiles' ids.
      ids: ids of the profiles.
      pert_ids: compound of each profile; if missing, the profile's id is used.

    Returns:
      `pert_id` -> SMILES as written, for compounds that have one.
    """
    found: dict[str, str] = {}
    compounds = pert_ids.where(pert_ids.notna(), ids)
    for table in tables:
        cells = table.astype(object).where(table.notna(), "").astype(str)
        columns = named_columns(cells)
        keys = _keys(cells, set(ids))
        if keys is None or not (columns.of["smiles"] or columns.of["inchi"]):
            continue
        written = dict(zip(keys, columns.structures(cells), strict=True))
        for profile, pert_id in zip(ids, compounds, strict=True):
            if written.get(profile) is not None:
                found.setdefault(pert_id, written[profile])
    return found


def _keys(cells: pd.DataFrame, ids: set[str]) -> list[str] | None:
    """The index or the column of a table that contains all ids."""
    candidates = [cells.index.astype(str), *(cells[name] for name in cells.columns)]
    for candidate in candidates:
        keys = [key.strip() for key in candidate]
        if ids <= set(keys):
            return keys
    return None


@dataclasses.dataclass(frozen=True)
class _Lookup:
    """The structures of a compound table by id and name.

    Attributes:
      by_id: `pert_id` -> SMILES as written.
      otherwise: other spellings and names -> SMILES of the compounds they may mean.
      absent: reason for a compound that is not in the table.
    """

    by_id: Mapping[str, str | None]
    otherwise: Mapping[str, frozenset[str]]
    absent: str

    @classmethod
    def of(cls, raw: pd.DataFrame | None) -> _Lookup:
        if raw is None:
            return cls({}, {}, _NO_TABLE)
        otherwise = collections.defaultdict(set)
        for pert_id, name, smiles in zip(
            raw["pert_id"], raw["compound"], raw["smiles"], strict=True
        ):
            for key in _spellings(pert_id, name):
                otherwise[key].add(smiles)
        known = {key: frozenset(texts - {None}) for key, texts in otherwise.items()}
        return cls(dict(zip(raw["pert_id"], raw["smiles"], strict=True)), known, _NOT_LISTED)

    def find(self, pert_id: str, name: Any) -> tuple[str | None, str | None]:
        """A compound's SMILES, or None and the reason."""
        if pert_id in self.by_id:
            return self.by_id[pert_id], None
        for key in _spellings(pert_id, name):
            texts = self.otherwise.get(key, frozenset())
            blocks = {getattr(standardise(text), "inchi_block", text) for text in texts}
            if len(blocks) > 1:
                return None, _AMBIGUOUS
            if texts:
                return min(texts), None
        return None, self.absent


def _spellings(pert_id: str, name: Any) -> Iterator[str]:
    """Forms in which a compound's id and name are compared, the most reliable first."""
    yield f"id {compound_of_sample(pert_id).casefold()}"
    for text in (pert_id, name):
        plain = normalise_name(text) if isinstance(text, str) else ""
        if plain:
            yield f"name {plain}"


def _no_signatures() -> pd.DataFrame:
    """An empty table of signatures with the usual column types."""
    return pd.DataFrame(
        {name: pd.Series(dtype=float if name in _NUMBERS else object) for name in SIGNATURE_COLUMNS}
    )
