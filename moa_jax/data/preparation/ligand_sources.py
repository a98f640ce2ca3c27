"""Ligands of known targets, from ligand tables, as further compounds without signatures.

Compounds of the release, of the table of structure-only compounds and of the exclusion list are not
added, under any InChIKey or name.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from moa_jax.compounds.assemble import EXCLUDED_REASON, assemble_compounds
from moa_jax.compounds.identity import inchi_block, normalise_name
from moa_jax.compounds.ligands.activities import Activities, joined
from moa_jax.compounds.ligands.formats import read_ligand_table
from moa_jax.compounds.ligands.selection import (
    LigandSettings,
    pairs_of,
    within_cap,
    within_pool,
)
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.data.preparation.compound_sources import KNOWN_REASON, Identities
from moa_jax.data.preparation.ligand_targets import TargetGenes
from moa_jax.data.preparation.row_filter import RowFilter
from moa_jax.progress import track
from moa_jax.schemas import COMPOUND_COLUMNS, LIGANDS, Compounds

# Structures that are standardised per gene, in units of `max_per_target`.
_POOL = 2
_NOT_CHOSEN = "beyond config.ligands.max_per_target"
_WEAK = "no activity that reaches the cut-off"
_SAME = "written in several ways"


@dataclasses.dataclass(frozen=True)
class LigandActivities:
    """The contents of all ligand tables.

    Attributes:
      table: `ACTIVITY_COLUMNS` and `gene` (Entrez id) of the activities whose target is known.
      report: counts by table, as JSON values.
    """

    table: pd.DataFrame
    report: dict[str, Any]


def read_activities(
    paths: Mapping[str, pathlib.Path], targets: TargetGenes, settings: LigandSettings
) -> LigandActivities:
    """Reads all ligand tables.

    Args:
      paths: tables by name.
      targets: genes of the targets' names.
      settings: unit of plain tables.

    Raises:
      InputError: a table cannot be used.
    """
    parts, report = [joined([])], {}
    for name, path in track(paths.items(), "ligand tables"):
        read = read_ligand_table(path, default_unit=settings.default_unit)
        known, unknown = targets.with_genes(read.activities.table)
        dropped = {**read.activities.dropped, **unknown}
        report[name] = {
            "format": read.format,
            "licence": read.licence,
            "found": len(read.activities.table) + sum(read.activities.dropped.values()),
            "kept": len(known),
            "dropped": dict(sorted(dropped.items())),
        }
        parts.append(Activities(known, {}))
    table = joined(parts).table
    return LigandActivities(table if "gene" in table else table.assign(gene=""), report)


def ligand_compounds(
    activities: pd.DataFrame,
    settings: LigandSettings,
    *,
    known: Identities,
    excluded: Identities,
    symbol_of: Mapping[str, str],
) -> tuple[Compounds, dict[str, Any]]:
    """Chooses ligands by their activities.

    Args:
      activities: `LigandActivities.table`; rows without structure are not used.
      settings: cut-offs and cap.
      known: the release's compounds and the structure-only ones.
      excluded: compounds that must not be trained on.
      symbol_of: Entrez id -> symbol.

    Returns:
      One compound per InChIKey, without MoAs, with all targets that reach the cut-off; and counts
      of compounds (`found`, `kept`, `dropped`) and of pairs of ligand and target, as JSON values.
    """
    activities = activities[activities["smiles"] != ""]
    pool, counts = _standardised_pool(activities, settings)
    pairs, dropped_pairs = pairs_of(pool, settings)
    structures = _structures_of(pool, set(pairs["key"]))
    counts[_WEAK] += pool["key"].nunique() - len(structures)
    assembled = assemble_compounds(structures, None)[0].table
    row_filter = RowFilter(assembled)
    for reason, number in counts.items():
        row_filter.count(number, reason)
    for identities, reason in ((excluded, EXCLUDED_REASON), (known, KNOWN_REASON)):
        groups = assembled["compound_group"][identities.known(structures)]
        stays = ~row_filter.table["compound_group"].isin(set(groups))
        row_filter.keep(stays.to_numpy(bool), reason)
    scaffold_of = dict(zip(row_filter.table["pert_id"], row_filter.table["scaffold"], strict=True))
    pairs = pairs[pairs["key"].isin(scaffold_of)].reset_index(drop=True)
    scaffolds = pairs["key"].map(scaffold_of)
    chosen = set(pairs["key"][within_cap(pairs, scaffolds, settings.max_per_target)])
    row_filter.keep(row_filter.table["pert_id"].isin(chosen).to_numpy(bool), _NOT_CHOSEN)
    pairs = pairs[pairs["key"].isin(chosen)]
    compounds = _with_targets(row_filter.table, pairs, symbol_of)
    report = {
        **row_filter.report(),
        "found": activities["smiles"].nunique(),
        "pairs": _pair_report(pairs, dropped_pairs),
    }
    return Compounds(compounds), report


def _standardised_pool(
    activities: pd.DataFrame, settings: LigandSettings
) -> tuple[pd.DataFrame, collections.Counter[str]]:
    """Activities of the structures that may be chosen; `key` is `ligand:` and the InChIKey.

    Standardising takes a millisecond. So structures that reach no cut-off as they are written, and
    the weakest ligands of targets that have many more than the cap, are left out before.

    Returns:
      The activities, and the number of SMILES left out, by reason.
    """
    activities = activities.assign(key=activities["smiles"])
    pairs = pairs_of(activities, settings)[0]
    texts = sorted(set(pairs["key"][within_pool(pairs, _POOL * settings.max_per_target)]))
    num_strong = pairs["key"].nunique()
    counts = collections.Counter(
        {
            _WEAK: activities["key"].nunique() - num_strong,
            _NOT_CHOSEN: num_strong - len(texts),
        }
    )
    found = {text: standardise(text) for text in track(texts, "structures of ligands")}
    keys = {
        text: f"ligand:{structure.inchi_key}"
        for text, structure in found.items()
        if isinstance(structure, Structure)
    }
    counts.update(
        f"structure missing: {structure.reason}"
        for structure in found.values()
        if not isinstance(structure, Structure)
    )
    counts[_SAME] += len(keys) - len(set(keys.values()))
    activities = activities.assign(key=activities["key"].map(keys))
    return activities[activities["key"].notna()], counts


def _structures_of(pool: pd.DataFrame, keys: set[str]) -> pd.DataFrame:
    """`compounds.tables.RAW_COLUMNS` of ligands, sorted by `pert_id`.

    A ligand is called by its first name in the tables, else by its key.
    """
    rows = pool[pool["key"].isin(keys)].sort_values(["key", "smiles"], kind="stable")
    first = rows.drop_duplicates("key")
    named = rows[rows["ligand"].map(normalise_name) != ""].drop_duplicates("key")
    name_of = dict(zip(named["key"], named["ligand"], strict=True))
    with_key = rows[rows["inchi_key"].map(inchi_block).notna()].drop_duplicates("key")
    key_of = dict(zip(with_key["key"], with_key["inchi_key"], strict=True))
    return pd.DataFrame(
        {
            "pert_id": first["key"],
            "compound": [name_of.get(key, key) for key in first["key"]],
            "smiles": first["smiles"],
            "inchi_key": [key_of.get(key) for key in first["key"]],
            "moas": [()] * len(first),
            "targets": [()] * len(first),
        },
        dtype=object,
    ).reset_index(drop=True)


def _with_targets(
    table: pd.DataFrame, pairs: pd.DataFrame, symbol_of: Mapping[str, str]
) -> pd.DataFrame:
    """The compound table with targets by name, and actions."""
    named = pairs.assign(name=pairs["gene"].map(lambda gene: symbol_of.get(gene, gene)))
    rows_of = dict(iter(named.sort_values("name").groupby("key")))
    rows = [rows_of[key] for key in table["pert_id"]]
    table = table.assign(
        targets=pd.Series([tuple(part["name"]) for part in rows], index=table.index, dtype=object),
        actions=pd.Series(
            [tuple(part["action"]) for part in rows], index=table.index, dtype=object
        ),
        source=LIGANDS,
    )
    return table[list(COMPOUND_COLUMNS)]


def _pair_report(pairs: pd.DataFrame, dropped: Mapping[str, int]) -> dict[str, Any]:
    """Counts of pairs of ligand and target, by source and by action."""
    by_source = pairs.assign(source=pairs["source"].str.split("|")).explode("source")
    return {
        "kept": len(pairs),
        "dropped": {reason: number for reason, number in sorted(dropped.items()) if number},
        "targets": int(pairs["gene"].nunique()),
        "by_source": {
            source: {
                "ligands": int(part["key"].nunique()),
                "targets": int(part["gene"].nunique()),
            }
            for source, part in by_source.groupby("source")
        },
        "actions": {action or "unknown": n for action, n in pairs["action"].value_counts().items()},
        "actions_inferred_from_ec50": int(pairs["is_inferred"].sum()),
    }
