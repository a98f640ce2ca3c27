"""Builds `Compounds` from a raw compound table."""

from __future__ import annotations

import collections

import pandas as pd

from moa_jax.compounds.identity import compound_groups
from moa_jax.compounds.moa_labels import harmonise_moas
from moa_jax.compounds.structures import Rejection, Structure, standardise
from moa_jax.compounds.tables import RAW_COLUMNS, ExclusionList
from moa_jax.progress import track
from moa_jax.schemas import COMPOUND_COLUMNS, RELEASE, Compounds, InputError, require_columns

# Reason under which excluded compounds are counted.
EXCLUDED_REASON = "compound is excluded"


def assemble_compounds(
    raw: pd.DataFrame, excluded_compounds: ExclusionList | None
) -> tuple[Compounds, dict[str, int]]:
    """Standardises structures, assigns compound groups and removes excluded compounds.

    A table with a `compound_group` column is curated: its groups and MoA spellings are kept.
    Otherwise groups come from `compound_groups`, and MoAs that differ only in case are spelled
    alike. If a structure is known, the InChIKey is that of the standardised molecule, so that
    salts of one drug are one compound; else it is the source's.

    Excluding a compound removes its whole group. Compounds are excluded by the source's InChIKey,
    the standardised one, the name or the group.

    Args:
      raw: `RAW_COLUMNS`, as returned by the readers in `compounds/tables.py`.
      excluded_compounds: compounds to leave out, if any.

    Returns:
      The compounds, sorted by `pert_id`, all of the source `release` and with unknown actions, and
      counts by reason: `compound is excluded` for rows
      left out, and `structure missing: <reason>` for rows kept without structure.

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
            "actions": [("",) * len(targets) for targets in raw["targets"]],
            "source": RELEASE,
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
    """For each row, whether any row of its compound group is excluded."""
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
