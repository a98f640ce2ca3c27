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
)


@dataclasses.dataclass(frozen=True)
class Compounds:
    """One row per `pert_id`, whether or not it has a signature.

    Attributes:
      table: `COMPOUND_COLUMNS`. `smiles` is canonical, salt stripped and neutralised (missing
        where unknown); `scaffold` is the Murcko scaffold's SMILES (empty for acyclic
        molecules, missing without structure); `moas` and `targets` are sorted tuples of
        strings, empty where unlabelled; `compound_group` is the unit of every split.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.table, COMPOUND_COLUMNS, "the compound table")
        repeated = self.table["pert_id"][self.table["pert_id"].duplicated()]
        if len(repeated):
            raise InputError(f"the compound table repeats pert_id {repeated.iloc[0]}.")
