"""Groups a user's signatures by drug, so that a drug with several ids gets one answer."""

from __future__ import annotations

import dataclasses

from moa_jax.compounds.identity import compound_groups, normalise_name
from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import compound_of_sample
from moa_jax.schemas import Examples

# Separator of the ids of one drug.
ID_SEPARATOR = "|"
# A name of at least so many different structures is generic ("drug", "unknown") and ignored.
_STRUCTURES_OF_NO_NAME = 3


def one_group_per_drug(examples: Examples) -> Examples:
    """Merges ids that share a structure or a name into one group per drug.

    Structures are compared by the first block of the InChIKey, which ignores stereochemistry and
    salts, and names by `identity.normalise_name`; samples of one Broad compound
    (`BRD-K12343256-001-02-6`) are merged, too. Names of three or more different structures are
    ignored.

    Args:
      examples: examples with one `pert_id` per compound.

    Returns:
      The examples with each drug's ids, sorted and joined by `ID_SEPARATOR`, as groups; a drug's
      structure is added to those of its ids that lack it.
    """
    pert_ids = [str(pert_id) for pert_id in examples.table["pert_id"]]
    compounds = [compound_of_sample(pert_id.upper()) for pert_id in pert_ids]
    blocks: dict[str, str | None] = {}
    names: dict[str, str | None] = {}
    for compound, smiles, name in zip(
        compounds, examples.smiles, examples.table["compound"], strict=True
    ):
        found = standardise(smiles)
        block = found.inchi_block if isinstance(found, Structure) else None
        blocks[compound] = blocks.get(compound) or block
        names[compound] = names.get(compound) or (name if isinstance(name, str) else None)
    structures_of: dict[str, set[str | None]] = {}
    for compound, name in names.items():
        structures_of.setdefault(normalise_name(name), set()).add(blocks[compound])
    useful = [
        name if len(structures_of[normalise_name(name)] - {None}) < _STRUCTURES_OF_NO_NAME else None
        for name in names.values()
    ]
    drug_of = dict(zip(blocks, compound_groups(list(blocks.values()), useful), strict=True))
    ids_of: dict[str, set[str]] = {}
    for pert_id, compound in zip(pert_ids, compounds, strict=True):
        ids_of.setdefault(drug_of[compound], set()).add(pert_id)
    joined = {pert_id: ID_SEPARATOR.join(sorted(ids)) for ids in ids_of.values() for pert_id in ids}
    groups = tuple(joined[pert_id] for pert_id in pert_ids)
    smiles_of: dict[str, str] = {}
    for group, smiles in sorted(
        (group, smiles)
        for group, smiles in zip(groups, examples.smiles, strict=True)
        if smiles is not None
    ):
        smiles_of.setdefault(group, smiles)
    smiles = tuple(
        own if own is not None else smiles_of.get(group)
        for own, group in zip(examples.smiles, groups, strict=True)
    )
    return dataclasses.replace(examples, groups=groups, smiles=smiles)
