"""What compounds do to their targets: stated by ligand tables, else by names of mechanisms."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import pandas as pd

from moa_jax.compounds.actions import action_of_all, one_action
from moa_jax.compounds.identity import inchi_block, normalise_name
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.schemas import LIGANDS, Compounds

STATED = "stated by a ligand table"
CONFLICTING = "ligand tables disagree"
BY_MOA = "by the mechanism's name"
UNKNOWN = "unknown"

# (identity, Entrez id) -> actions stated.
_Stated = dict[tuple[str, str], set[str]]


def with_actions(
    compounds: Compounds, activities: pd.DataFrame, identifiers: GeneIdentifiers
) -> tuple[Compounds, dict[str, int]]:
    """Fills the actions of the release's and the structure-only compounds; targets stay the same.

    An action that a ligand table states for the compound, by name or first InChIKey block, and for
    the target comes first. Otherwise all of a compound's mechanisms must state the same one
    (`action_of_all`), which then holds for all its targets. Ligands have actions already.

    Args:
      compounds: all compounds.
      activities: `ligand_sources.LigandActivities.table`.
      identifiers: names of genes.

    Returns:
      The compounds, and the number of pairs of compound and target by where their action is from.
    """
    stated = _stated_actions(activities)
    counts: collections.Counter[str] = collections.Counter()
    table = compounds.table
    actions = []
    for row in table.itertuples(index=False):
        if row.source == LIGANDS:
            actions.append(row.actions)
            continue
        by_moa = action_of_all(row.moas)
        found = []
        for target in row.targets:
            gene = identifiers.resolve(target).entrez_id or ""
            known = set().union(
                *(
                    stated.get((name, gene), set())
                    for name in _identities(row.compound, row.inchi_key)
                )
            )
            action = one_action(known) if known else by_moa
            found.append(action)
            counts[_origin(known, action)] += 1
        actions.append(tuple(found))
    filled = table.assign(actions=pd.Series(actions, index=table.index, dtype=object))
    return Compounds(filled), dict(sorted(counts.items()))


def _origin(stated: set[str], action: str) -> str:
    if stated:
        return STATED if action else CONFLICTING
    return BY_MOA if action else UNKNOWN


def _stated_actions(activities: pd.DataFrame) -> _Stated:
    """Actions by the identities of their ligands."""
    stated: _Stated = collections.defaultdict(set)
    rows = activities[activities["action"] != ""]
    rows = rows[["ligand", "smiles", "inchi_key", "gene", "action"]].drop_duplicates()
    for row in rows.itertuples(index=False):
        structure = standardise(row.smiles)
        keys = {row.inchi_key, structure.inchi_key if isinstance(structure, Structure) else ""}
        for key in keys:
            for identity in _identities(row.ligand, key):
                stated[identity, row.gene].add(row.action)
    return stated


def _identities(name: str | None, inchi_key: str | None) -> Iterator[str]:
    """The name and the first InChIKey block of a compound, as far as they are known."""
    if normalised := normalise_name(name):
        yield f"name {normalised}"
    if block := inchi_block(inchi_key):
        yield f"block {block}"
