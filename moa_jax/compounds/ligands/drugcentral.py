"""DrugCentral's drug-target table: by drug name, without structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moa_jax.compounds.actions import action_of
from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities, Rows
from moa_jax.text.chunks import read_columns
from moa_jax.text.tables import TextTable

LICENCE = "CC BY-SA 4.0"
NAMES = {
    "name": ("DRUG_NAME",),
    "target": ("GENE",),
    "target_name": ("TARGET_NAME",),
    "organism": ("ORGANISM",),
    "action": ("ACTION_TYPE",),
}


def fits(header: Sequence[str]) -> bool:
    """Whether a table with these columns is DrugCentral's."""
    return NAMES.keys() == activities.find_columns(header, NAMES).keys()


def read(table: TextTable) -> Activities:
    """Reads the human targets of drugs and what drugs do to them, without activities.

    Drugs have no structures here, so that these rows add actions to compounds of other tables.
    Targets that are families (`CACNA1C|CACNA1D`) give one row per gene.

    Raises:
      InputError: the file cannot be read.
    """
    found = activities.find_columns(table.header, NAMES)
    rows = Rows(read_columns(table, {theirs: ours for ours, theirs in found.items()}))
    rows.keep(activities.is_human(rows.table["organism"]), activities.NOT_HUMAN)
    rows.keep(rows.table["target"] != "", activities.NO_TARGET)
    kept = rows.table.assign(target=rows.table["target"].str.split("|")).explode("target")
    return Activities.of(
        {
            "ligand": kept["name"],
            "target": kept["target"],
            "target_kind": activities.SYMBOL,
            "target_name": kept["target_name"],
            "p_activity": np.full(len(kept), np.nan),
            "action": kept["action"].map(action_of),
            "source": "DrugCentral",
        },
        kept.index,
        rows.dropped,
    )
