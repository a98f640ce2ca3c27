"""ChEMBL's activity export: the web page's CSV or TSV, or a table of its web services."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from moa_jax.compounds.actions import action_of
from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities, Rows
from moa_jax.text.chunks import read_chunks
from moa_jax.text.tables import TextTable

LICENCE = "CC BY-SA 3.0"
NAMES = {
    "id": ("Molecule ChEMBL ID",),
    "name": ("Molecule Name", "Molecule Pref Name"),
    "smiles": ("Smiles", "Canonical SMILES"),
    "measure": ("Standard Type",),
    "relation": ("Standard Relation",),
    "value": ("Standard Value",),
    "unit": ("Standard Units",),
    "pchembl": ("pChEMBL Value",),
    "doubt": ("Data Validity Comment",),
    "target": ("Target ChEMBL ID",),
    "target_name": ("Target Name", "Target Pref Name"),
    "organism": ("Target Organism",),
    "type": ("Target Type",),
    "mutation": ("Assay Variant Mutation",),
    "action": ("Action Type",),
}
_NEEDED = ("smiles", "measure", "value", "unit", "target")
_VALIDATED = "manually validated"


def fits(header: Sequence[str]) -> bool:
    """Whether a table with these columns is such an export."""
    return set(_NEEDED) <= activities.find_columns(header, NAMES).keys()


def read(table: TextTable) -> Activities:
    """Reads the activities on single human proteins that are given as Ki, Kd, IC50 or EC50.

    Values that ChEMBL itself doubts are left out.

    Raises:
      InputError: the file cannot be read.
    """
    found = activities.find_columns(table.header, NAMES)
    columns = {theirs: ours for ours, theirs in found.items()}
    return activities.joined([_activities(chunk) for chunk in read_chunks(table, columns)])


def _activities(chunk: pd.DataFrame) -> Activities:
    missing = {ours: "" for ours in NAMES if ours not in chunk.columns}
    rows = Rows(chunk.assign(**missing))
    measure_of = {measure.casefold(): measure for measure in activities.MOLAR_MEASURES}
    rows.keep(rows.table["measure"].str.casefold().isin(measure_of), activities.OTHER_MEASURE)
    rows.keep(activities.is_human(rows.table["organism"]), activities.NOT_HUMAN)
    kinds = rows.table["type"].str.casefold()
    rows.keep(kinds.isin({"", "single protein"}), activities.IS_COMPLEX)
    rows.keep(rows.table["mutation"].isin({"", "None"}), activities.IS_MUTANT)
    rows.keep(rows.table["target"] != "", activities.NO_TARGET)
    doubts = rows.table["doubt"].str.casefold()
    rows.keep(doubts.isin({"", "none", _VALIDATED}), "ChEMBL doubts the value")
    rows.keep(rows.table["relation"].pipe(activities.relations) != "", "relation is unknown")
    # Values with ChEMBL's own logarithm are usable in any unit.
    has_log = activities.numbers(rows.table["pchembl"])[1].notna()
    rows.keep(has_log | rows.table["unit"].map(activities.is_unit), activities.OTHER_UNIT)
    kept = rows.table.assign(p_activity=_p_activities(rows.table))
    known = kept["p_activity"].notna()
    rows.dropped[activities.NO_ACTIVITY] += int((~known).sum())
    kept = kept[known]
    return Activities.of(
        {
            "ligand": kept["name"].where(kept["name"] != "", kept["id"]),
            "smiles": kept["smiles"],
            "target": kept["target"],
            "target_kind": activities.CHEMBL,
            "target_name": kept["target_name"],
            "p_activity": kept["p_activity"],
            "relation": activities.relations(kept["relation"]),
            "measure": kept["measure"].str.casefold().map(measure_of),
            "action": kept["action"].map(action_of),
            "source": "ChEMBL",
        },
        kept.index,
        rows.dropped,
    )


def _p_activities(rows: pd.DataFrame) -> pd.Series:
    """ChEMBL's own logarithm, which is given for values without relation, else computed."""
    found = activities.numbers(rows["pchembl"])[1]
    values = activities.numbers(rows["value"])[1]
    for unit, part in values.groupby(rows["unit"]):
        if activities.is_unit(unit):
            found = found.fillna(activities.p_activity(part, unit))
    return found
