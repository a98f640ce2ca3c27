"""A raw compound table -> the `Compounds` that the other rooms use."""

from __future__ import annotations

import collections

import pandas as pd

from moa_jax.compounds.identity import compound_groups
from moa_jax.compounds.moa_labels import harmonise_moas
from moa_jax.compounds.structures import Rejection, Structure, standardise
from moa_jax.compounds.tables import RAW_COLUMNS, ExclusionList
from moa_jax.progress import track
from moa_jax.schemas import COMPOUND_COLUMNS, Compounds, InputError, require_columns

EXCLUDED_REASON = "compound is excluded"


def assemble_compounds(
    raw: pd.DataFrame, excluded_compounds: ExclusionList | None
) -> tuple[Compounds, dict[str, int]]:
    """Standardises structures, finds identities and leaves out what is excluded.

    A table with a `compound_group` column was curated: its groups and the spelling of its MoAs
    are taken as they are. Otherwise groups come from `compound_groups` and MoAs that differ in
    case alone are spelled one way. Where a structure is known, its InChIKey is the standardised
    molecule's, so that salts of one drug are one compound; else it is the source's.

    A compound is excluded with its whole group: by the source's InChIKey, the standardised
    one, the name or the group.

    Args:
      raw: `RAW_COLUMNS`, as the readers of `compounds/tables.py` return it.
      excluded_compounds: compounds to leave out, if any.

    Returns:
      The compounds, sorted by `pert_id`, and counts by reason: rows left out under
      `compound is excluded`, and rows that stay without a structure under
      `structure missing: <reason>`.

    Raises:
      InputError: a column is missing, a `pert_id` is repeated, or only some rows have a group.
    """
    require_columns(raw, RAW_COLUMNS, "the raw compound table")
    raw = raw.sort_values("pert_id", ignore_index=True)
    structures = [standardise(smiles) for smiles in track(list(raw["smiles"]), "structures")]
    known = [found if isinstance(found, Structure) else None for found in structures]
    inchi_keys = [
        structure.inchi_key if structure else key
        for structure, key in zip(known, raw["inchi_key"], strict=True)
    ]
    if "compound_group" in raw.columns:
        groups, moas = _given_groups(raw), list(raw["moas"])
    else:
        groups = compound_groups(inchi_keys, list(raw["compound"]))
        moas = harmonise_moas(list(raw["moas"]))
    table = pd.DataFrame(
        {
            "pert_id": raw["pert_id"],
            "compound": raw["compound"],
            "compound_group": groups,
            "inchi_key": inchi_keys,
            "smiles": [structure.smiles if structure else None for structure in known],
            "scaffold": [structure.scaffold if structure else None for structure in known],
            "moas": moas,
            "targets": raw["targets"],
        },
        columns=list(COMPOUND_COLUMNS),
        dtype=object,
    )
    stays = ~_is_excluded(table, raw["inchi_key"], excluded_compounds)
    reasons = collections.Counter(
        f"structure missing: {found.reason}"
        for found, stay in zip(structures, stays, strict=True)
        if stay and isinstance(found, Rejection)
    )
    reasons[EXCLUDED_REASON] = int((~stays).sum())
    compounds = Compounds(table[stays].reset_index(drop=True))
    return compounds, {reason: reasons[reason] for reason in sorted(reasons)}


def _given_groups(raw: pd.DataFrame) -> list[str]:
    """The table's own compound groups; every row must have one."""
    for pert_id in raw["pert_id"][raw["compound_group"].isna()]:
        raise InputError(
            f"the raw compound table has no compound_group for {pert_id}; "
            "either every row has one or the column is left out."
        )
    return list(raw["compound_group"])


def _is_excluded(
    table: pd.DataFrame, source_keys: pd.Series, excluded_compounds: ExclusionList | None
) -> pd.Series:
    """Per row, whether any row of its compound group is excluded."""
    if excluded_compounds is None:
        return pd.Series(False, index=table.index)
    named = [
        excluded_compounds.excludes(inchi_key, name)
        or excluded_compounds.excludes(source_key, None)
        or group in excluded_compounds.groups
        for inchi_key, source_key, name, group in zip(
            table["inchi_key"],
            source_keys,
            table["compound"],
            table["compound_group"],
            strict=True,
        )
    ]
    return table["compound_group"].isin(set(table["compound_group"][named]))
