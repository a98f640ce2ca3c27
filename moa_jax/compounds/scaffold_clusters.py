"""Scaffold units, which the `scaffold` split keeps together.

The unit of a molecule with rings is its Murcko scaffold (Bemis and Murcko 1996). Acyclic molecules
have none; they are clustered by similarity (Butina 1999) instead of being one unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from rdkit.ML.Cluster import Butina

from moa_jax.compounds.fingerprints import morgan_fingerprints, tanimoto
from moa_jax.compounds.structures import Structure, standardise

# Smallest similarity of an acyclic molecule to its cluster's centre; unrelated molecules rarely
# reach it with Morgan fingerprints of radius 2.
MIN_SIMILARITY = 0.4


def scaffold_units(smiles: Sequence[str | None]) -> list[str | None]:
    """Scaffold unit of each structure.

    Args:
      smiles: SMILES of each compound, None where unknown.

    Returns:
      The Murcko scaffold's SMILES; for acyclic molecules `acyclic like <SMILES>` with the
      cluster's centre; None if a structure is unknown or cannot be standardised. Units depend on
      the set of structures, not on their order.
    """
    parents = _parents(smiles)
    centre_of = _acyclic_clusters(
        sorted({parent.smiles for parent in parents.values() if not parent.scaffold})
    )
    unit_of = {
        text: parent.scaffold or f"acyclic like {centre_of[parent.smiles]}"
        for text, parent in parents.items()
    }
    return [unit_of.get(text) for text in smiles]


def units_reached(
    smiles: Sequence[str | None], reference: Sequence[str | None]
) -> list[tuple[str, ...]]:
    """Scaffold units of `reference` that other structures are similar to.

    Args:
      smiles: SMILES of the other structures, None where unknown.
      reference: structures that define the units.

    Returns:
      For a structure with rings its Murcko scaffold; for an acyclic one every unit of
      `reference` with a member of similarity `MIN_SIMILARITY` or more, sorted.
    """
    members = {
        text: unit
        for text, unit in zip(reference, scaffold_units(reference), strict=True)
        if unit is not None and unit.startswith("acyclic like ")
    }
    known = sorted(members)
    parents = _parents(smiles)
    acyclic = sorted({parent.smiles for parent in parents.values() if not parent.scaffold})
    centres = [_parents([text])[text].smiles for text in known]
    near = _similarity(acyclic, centres) >= MIN_SIMILARITY
    reached = {
        text: tuple(sorted({members[known[column]] for column in np.flatnonzero(row)}))
        for text, row in zip(acyclic, near, strict=True)
    }
    unit_of = {
        text: (parent.scaffold,) if parent.scaffold else reached[parent.smiles]
        for text, parent in parents.items()
    }
    return [unit_of.get(text, ()) for text in smiles]


def _parents(smiles: Sequence[str | None]) -> dict[str, Structure]:
    """Standardised structure of every distinct SMILES that has one."""
    return {
        text: parent
        for text in set(smiles)
        if text is not None and isinstance(parent := standardise(text), Structure)
    }


def _acyclic_clusters(smiles: list[str]) -> dict[str, str]:
    """Centre of each molecule's Butina cluster."""
    if not smiles:
        return {}
    distance = 1 - _similarity(smiles, smiles)
    # RDKit expects the lower triangle, row by row.
    clusters = Butina.ClusterData(
        distance[np.tril_indices(len(smiles), -1)],
        len(smiles),
        1 - MIN_SIMILARITY,
        isDistData=True,
        reordering=True,
    )
    return {smiles[row]: smiles[cluster[0]] for cluster in clusters for row in cluster}


def _similarity(first: Sequence[str], second: Sequence[str]) -> Float64[np.ndarray, "first second"]:
    """Tanimoto similarity of every pair."""
    fingerprints = [morgan_fingerprints(smiles).astype(np.float64) for smiles in (first, second)]
    return tanimoto(*fingerprints)
