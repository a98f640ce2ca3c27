"""The compound tables of a release: its own, the exclusion list, and structure-only compounds.

Structure-only compounds are labelled compounds without signatures in the release, for training
models of structures. Compounds that are in the release or the exclusion list, under any id,
InChIKey or name, are not added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from moa_jax.compounds.assemble import EXCLUDED_REASON, assemble_compounds
from moa_jax.compounds.identity import inchi_block, normalise_name
from moa_jax.compounds.moa_labels import dominant_spellings, harmonise_moas
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import (
    READING,
    ExclusionList,
    read_compound_table,
    read_exclusion_list,
)
from moa_jax.data.preparation.expression_sources import Paths
from moa_jax.data.preparation.row_filter import RowFilter
from moa_jax.schemas import COMPOUND_COLUMNS, STRUCTURE_ONLY, Compounds, InputError

KNOWN_REASON = "the release knows the compound"
_NO_STRUCTURE = "structure missing: "


@dataclasses.dataclass(frozen=True)
class Identities:
    """The identities of some compounds.

    Attributes:
      pert_ids: their ids.
      blocks: first blocks of their InChIKeys, the source's and the standardised structure's.
      names: their names in the form of `normalise_name`.
    """

    pert_ids: frozenset[str]
    blocks: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, raw: pd.DataFrame) -> Identities:
        """The identities of a raw compound table."""
        blocks = (block for blocks in _blocks(raw) for block in blocks)
        return cls(frozenset(raw["pert_id"]), frozenset(blocks), _names(raw["compound"]))

    def and_of(self, other: Identities) -> Identities:
        """The identities of both."""
        return Identities(
            self.pert_ids | other.pert_ids, self.blocks | other.blocks, self.names | other.names
        )

    def known(self, raw: pd.DataFrame) -> Bool[np.ndarray, " row"]:
        """Whether each row of a raw compound table is one of these compounds."""
        rows = zip(raw["pert_id"], _blocks(raw), raw["compound"], strict=True)
        return np.array(
            [
                pert_id in self.pert_ids
                or not self.blocks.isdisjoint(blocks)
                or normalise_name(name) in self.names
                for pert_id, blocks, name in rows
            ],
            dtype=bool,
        )


def _blocks(raw: pd.DataFrame) -> list[set[str]]:
    """First InChIKey blocks of each row: of the source's key, structure and curated group."""
    structures = [standardise(smiles) for smiles in raw["smiles"]]
    groups = raw["compound_group"] if "compound_group" in raw.columns else [None] * len(raw)
    return [
        {
            block
            for block in (
                inchi_block(key),
                structure.inchi_block if isinstance(structure, Structure) else None,
                inchi_block(group),
            )
            if block
        }
        for key, structure, group in zip(raw["inchi_key"], structures, groups, strict=True)
    ]


def _names(names: Iterable[str | None]) -> frozenset[str]:
    return frozenset(normalise_name(name) for name in names if isinstance(name, str)) - {""}


@dataclasses.dataclass(frozen=True)
class OwnCompounds:
    """The compounds of a release's own table.

    Attributes:
      compounds: the compounds that are not excluded.
      known: the identities of all compounds, including excluded ones.
      excluded: the identities of the excluded ones.
      exclusion_list: the exclusion list, if there is one.
      report: counts as JSON values.
    """

    compounds: Compounds
    known: Identities
    excluded: Identities
    exclusion_list: ExclusionList | None
    report: dict[str, Any]

    @property
    def all_excluded(self) -> Identities:
        """The identities of excluded compounds, of the table and of the exclusion list."""
        if (listed := self.exclusion_list) is None:
            return self.excluded
        return self.excluded.and_of(Identities(frozenset(), listed.groups, listed.names))

    def is_excluded(self, pert_id: str | None, name: str | None) -> bool:
        """Whether a signature's compound is excluded, by id or name."""
        if self.exclusion_list is None:
            return False
        if pert_id in self.excluded.pert_ids or normalise_name(name) in self.excluded.names:
            return True
        return self.exclusion_list.excludes(None, name)


@dataclasses.dataclass(frozen=True)
class StructureOnlyCompounds:
    """The compounds of the table of structure-only compounds.

    Attributes:
      compounds: the added compounds.
      known: identities of all compounds that the table shares with the release, and of those that
        it adds.
      excluded: identities of the excluded ones, some of which only this table knows.
      report: counts by reason as JSON values.
    """

    compounds: Compounds
    known: Identities
    excluded: Identities
    report: dict[str, Any]


def read_own_compounds(paths: Paths) -> OwnCompounds:
    """Reads the release's own compound table and the exclusion list.

    Raises:
      InputError: a file cannot be used, or the compounds have no ids.
    """
    raw = read_compound_table(paths["compounds"], paths.get("compound_samples"))
    if raw.attrs[READING]["ids"] is None:
        raise InputError(
            f"{paths['compounds']} has no column of compound ids, such as pert_id, to match with "
            "the signatures."
        )
    exclusion_list = (
        read_exclusion_list(paths["excluded_compounds"]) if "excluded_compounds" in paths else None
    )
    compounds, reasons = assemble_compounds(raw, exclusion_list)
    num_excluded = reasons.pop(EXCLUDED_REASON)
    report = {
        "found": len(raw),
        "kept": len(compounds.table),
        "dropped": {EXCLUDED_REASON: num_excluded} if num_excluded else {},
        "without_structure": {
            reason.removeprefix(_NO_STRUCTURE): count for reason, count in reasons.items()
        },
        "labelled": sum(len(moas) > 0 for moas in compounds.table["moas"]),
        "table": raw.attrs[READING],
    }
    excluded = Identities.of(raw[~raw["pert_id"].isin(compounds.table["pert_id"])])
    return OwnCompounds(compounds, Identities.of(raw), excluded, exclusion_list, report)


def read_structure_only_compounds(
    paths: Paths, own: OwnCompounds, signatures: pd.DataFrame
) -> StructureOnlyCompounds:
    """Reads labelled structures of compounds that are not in the release.

    Rows that share an InChIKey block or a name are one compound, which is left out completely if
    any of its salts or isomers is in the release. MoAs get the spelling of the release's own table.

    Args:
      paths: paths of the files; without `structure_only_compounds` there are none.
      own: the release's own compounds.
      signatures: `SIGNATURE_COLUMNS`; a compound with a signature is in the release even if its
        own table lacks it, so that no signature gains a label here.

    Raises:
      InputError: a file cannot be used.
    """
    nobody = Identities(frozenset(), frozenset(), frozenset())
    if "structure_only_compounds" not in paths:
        none = Compounds(own.compounds.table.iloc[:0])
        return StructureOnlyCompounds(none, nobody, nobody, {"found": 0, "kept": 0, "dropped": {}})
    raw = read_compound_table(
        paths["structure_only_compounds"], paths.get("structure_only_compound_samples")
    )
    reading = raw.attrs[READING]
    # Sorted as in `assemble_compounds`, which then groups by keys and names only.
    raw = raw.drop(columns="compound_group", errors="ignore")
    raw = raw.sort_values("pert_id", ignore_index=True)
    row_filter = RowFilter(assemble_compounds(raw, None)[0].table)
    excluded = own.all_excluded.known(raw)
    known = own.known.and_of(measured_identities(signatures)).known(raw)
    groups = row_filter.table["compound_group"]
    for dropped, reason in ((excluded, EXCLUDED_REASON), (known, KNOWN_REASON)):
        stays = ~row_filter.table["compound_group"].isin(set(groups[dropped]))
        row_filter.keep(stays.to_numpy(bool), reason)
    row_filter.keep([len(moas) > 0 for moas in row_filter.table["moas"]], "no MoA")
    row_filter.keep(row_filter.table["smiles"].notna().to_numpy(bool), "no structure")
    spellings = dominant_spellings(list(own.compounds.table["moas"]))
    table = row_filter.table.assign(moas=harmonise_moas(list(row_filter.table["moas"]), spellings))
    table = table.assign(source=STRUCTURE_ONLY)[list(COMPOUND_COLUMNS)]
    added = raw["pert_id"].isin(set(table["pert_id"]))
    return StructureOnlyCompounds(
        compounds=Compounds(table),
        known=Identities.of(raw[added | groups.isin(set(groups[known]))]),
        excluded=Identities.of(raw[groups.isin(set(groups[excluded]))]),
        report={**row_filter.report(), "table": reading},
    )


def measured_identities(signatures: pd.DataFrame) -> Identities:
    """The identities of compounds with a signature (`SIGNATURE_COLUMNS`)."""
    pert_ids = frozenset(signatures["pert_id"].dropna())
    return Identities(pert_ids, frozenset(), _names(signatures["compound"]))
