"""BindingDB's table of all data (TSV), read in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities, Rows
from moa_jax.text.chunks import read_chunks
from moa_jax.text.tables import TextTable

# Beginnings of the names: columns of target chains are repeated, and releases number them.
LICENCE = "CC BY 4.0; its ChEMBL data CC BY-SA 3.0"
NAMES = {
    "smiles": ("Ligand SMILES",),
    "inchi_key": ("Ligand InChI Key",),
    "name": ("BindingDB Ligand Name",),
    "target_name": ("Target Name",),
    "organism": ("Target Source Organism According to Curator or DataSource",),
    "chains": ("Number of Protein Chains in Target",),
    "target": ("UniProt (SwissProt) Primary ID of Target Chain",),
    "Ki": ("Ki (nM)",),
    "Kd": ("Kd (nM)",),
    "IC50": ("IC50 (nM)",),
    "EC50": ("EC50 (nM)",),
}
# A construct with exchanged residues, such as `Tyrosine-protein kinase ABL1 [T315I]`; `[27-268]`
# is a fragment.
_MUTANT = r"\[[^\]]*[A-Z][0-9]+[A-Z][^\]]*\]"


def fits(header: Sequence[str]) -> bool:
    """Whether a table with these columns is BindingDB's."""
    found = activities.find_columns(header, NAMES, str.startswith)
    return {"smiles", "target"} <= found.keys() and any(
        name in found for name in activities.MOLAR_MEASURES
    )


def read(table: TextTable) -> Activities:
    """Reads the activities on single human proteins; one row of the file may have several.

    Raises:
      InputError: the file cannot be read.
    """
    found = activities.find_columns(table.header, NAMES, str.startswith)
    columns = {theirs: ours for ours, theirs in found.items()}
    return activities.joined([_activities(chunk) for chunk in read_chunks(table, columns)])


def _activities(chunk: pd.DataFrame) -> Activities:
    missing = {ours: "" for ours in NAMES if ours not in chunk.columns}
    rows = Rows(chunk.assign(**missing))
    rows.keep(activities.is_human(rows.table["organism"]), activities.NOT_HUMAN)
    rows.keep(rows.table["chains"].isin({"", "1"}), activities.IS_COMPLEX)
    rows.keep(~rows.table["target_name"].str.contains(_MUTANT), activities.IS_MUTANT)
    rows.keep(rows.table["target"] != "", activities.NO_TARGET)
    kept = rows.table
    rows.dropped[activities.NO_ACTIVITY] += int(
        (kept[list(activities.MOLAR_MEASURES)] == "").all(axis=1).sum()
    )
    parts = [Activities.of({}, pd.RangeIndex(0), rows.dropped)]
    for measure in activities.MOLAR_MEASURES:
        given = kept[kept[measure] != ""]
        relation, values = activities.numbers(given[measure])
        p_activities = activities.p_activity(values, "nM")
        known = p_activities.notna()
        columns = {
            # Names of one ligand are joined by two colons.
            "ligand": given["name"].str.split("::").str[0],
            "smiles": given["smiles"],
            "inchi_key": given["inchi_key"],
            "target": given["target"],
            "target_kind": activities.UNIPROT,
            "target_name": given["target_name"],
            "p_activity": p_activities,
            "relation": relation,
            "measure": measure,
            "source": "BindingDB",
        }
        part = pd.DataFrame(columns, index=given.index)[known]
        dropped = {activities.NO_ACTIVITY: int((~known).sum())}
        parts.append(Activities.of(dict(part.items()), part.index, dropped))
    return activities.joined(parts)
