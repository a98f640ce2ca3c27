"""Ligand tables made by hand: SMILES, target, activity, unit, source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from moa_jax.compounds.actions import action_of
from moa_jax.compounds.columns import known
from moa_jax.compounds.ligands import activities
from moa_jax.compounds.ligands.activities import Activities
from moa_jax.schemas import InputError
from moa_jax.text.chunks import read_columns
from moa_jax.text.tables import TextTable

LICENCE = "terms of its provider"
NAMES = {
    "smiles": ("smiles", "canonical_smiles", "isomeric_smiles"),
    "inchi_key": ("inchi_key", "standard_inchi_key"),
    "ligand": ("ligand", "name", "compound", "compound_name", "cmap_name", "pert_iname", "id"),
    "target": ("target", "targets", "gene", "gene_symbol", "uniprot", "target_id"),
    "activity": ("activity", "value", "affinity", "p_activity"),
    "unit": ("unit", "units", "activity_unit"),
    "relation": ("relation",),
    "measure": ("measure", "activity_type", "type"),
    "action": ("action", "action_type"),
    "source": ("source", "reference"),
}
_ACTION_VERBS = {"inhibits": "inhibits", "activates": "activates"}


def fits(header: Sequence[str]) -> bool:
    """Whether a table with these columns has structures and targets."""
    return {"smiles", "target"} <= activities.find_columns(header, NAMES).keys()


def read(table: TextTable, default_unit: str) -> Activities:
    """Reads a table with one activity per row; only SMILES and target are needed.

    Targets may be gene symbols, UniProt accessions or ChEMBL target ids, several of them joined by
    `|`. A row without activity is a known ligand of its target.

    Args:
      table: the opened table.
      default_unit: unit of activities without a unit; empty if each needs its own.

    Raises:
      InputError: the file cannot be read, or a row has an activity that is not a positive number,
        or a unit or relation that is not known.
    """
    found = activities.find_columns(table.header, NAMES)
    rows = read_columns(table, {theirs: ours for ours, theirs in found.items()})
    rows = rows.assign(**{ours: "" for ours in NAMES if ours not in rows.columns})
    rows = rows.map(lambda text: known(text) or "")
    has_target = rows["target"] != ""
    dropped = {activities.NO_TARGET: int((~has_target).sum())}
    rows = rows[has_target]
    relation, values = _numbers(rows, table.path)
    rows = rows.assign(
        relation=relation,
        p_activity=_p_activities(rows, values, default_unit, table.path),
        action=_actions(rows["action"]),
        source=rows["source"].where(rows["source"] != "", table.path.rpartition("/")[2]),
        target=rows["target"].str.split("|"),
        target_kind=activities.ANY,
        measure=_measures(rows["measure"]),
    ).explode("target")
    rows = rows.assign(target=rows["target"].str.strip()).drop(columns=["activity", "unit"])
    return Activities.of(dict(rows.items()), rows.index, dropped)


def _numbers(rows: pd.DataFrame, path: str) -> tuple[pd.Series, pd.Series]:
    """Relation and activity of each row; NaN where none is given."""
    relation, values = activities.numbers(rows["activity"])
    for line in rows.index[values.isna() & (rows["activity"] != "")]:
        raise InputError(
            f"line {line} of {path} has the activity {rows['activity'][line]!r}; expected a "
            "positive number, which < or > may precede."
        )
    stated = activities.relations(rows["relation"])
    for line in rows.index[stated == ""]:
        raise InputError(
            f"line {line} of {path} has the relation {rows['relation'][line]!r}; "
            "expected <, > or =."
        )
    return relation.where(relation != "=", stated), values


def _p_activities(rows: pd.DataFrame, values: pd.Series, default_unit: str, path: str) -> pd.Series:
    """-log10 of the activities in mol/L."""
    units = rows["unit"].where(rows["unit"] != "", default_unit)
    found = pd.Series(np.nan, index=rows.index)
    for unit, part in values.dropna().groupby(units):
        if not activities.is_unit(unit):
            raise InputError(
                f"line {part.index[0]} of {path} has the unit {unit!r}; expected nM, uM, another "
                "molar unit, or p for -log10 of mol/L (config.ligands.default_unit is the unit of "
                "rows without one)."
            )
        found.update(activities.p_activity(part, unit))
    for line in values.index[values.notna() & found.isna()]:
        raise InputError(
            f"line {line} of {path} has the activity {rows['activity'][line]!r}; expected a "
            "positive number."
        )
    return found


def _actions(texts: pd.Series) -> pd.Series:
    """`inhibits`, `activates` or nothing, from these or from words such as `antagonist`."""
    texts = texts.str.casefold()
    return texts.map(lambda text: _ACTION_VERBS.get(text, action_of(text)))


def _measures(texts: pd.Series) -> pd.Series:
    """The measures in one spelling; empty where they are unknown."""
    spelled = {measure.casefold(): measure for measure in activities.MOLAR_MEASURES}
    return texts.str.casefold().map(spelled).fillna("")
