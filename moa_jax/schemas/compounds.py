"""Compounds: structures, identities, mechanisms and targets."""

from __future__ import annotations

import dataclasses

import pandas as pd

from moa_jax.schemas.errors import InputError, require_columns

COMPOUND_COLUMNS = (
    "pert_id",
    "compound",
    "compound_group",
    "inchi_key",
    "smiles",
    "scaffold",
    "moas",
    "targets",
    "actions",
    "source",
)
# What a compound does to a target.
ACTIONS = INHIBITS, ACTIVATES = "inhibits", "activates"
# Tables that compounds come from: the release's own, that of structure-only compounds, and ligand
# tables.
RELEASE, STRUCTURE_ONLY, LIGANDS = "release", "structure_only", "ligands"


@dataclasses.dataclass(frozen=True)
class Compounds:
    """One row per `pert_id`, whether or not it has a signature.

    Attributes:
      table: `COMPOUND_COLUMNS`. `smiles` is canonical, salt stripped and neutralised (missing
        where unknown); `scaffold` is the Murcko scaffold's SMILES (empty for acyclic
        molecules, missing without structure); `moas` and `targets` are sorted tuples of
        strings, empty where unlabelled; `actions` says for each target what the compound does to
        it, `inhibits`, `activates` or empty (unknown); `source` is `release`, `structure_only` or
        `ligands`; `compound_group` is the unit of every split.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.table, COMPOUND_COLUMNS, "the compound table")
        repeated = self.table["pert_id"][self.table["pert_id"].duplicated()]
        if len(repeated):
            raise InputError(f"the compound table repeats pert_id {repeated.iloc[0]}.")
        columns = (self.table[name] for name in ("pert_id", "targets", "actions"))
        for pert_id, targets, actions in zip(*columns, strict=True):
            if len(targets) != len(actions):
                raise InputError(
                    f"the compound table gives {pert_id} {len(targets)} targets and "
                    f"{len(actions)} actions; expected one action for each target."
                )
