"""Atom scores summed over substructures, compared with random connected parts.

Substructures: fragments between BRICS bonds (Degen 2008, https://doi.org/10.1002/cmdc.200800178),
the Murcko scaffold and its side chains (Bemis and Murcko 1996), ring systems and functional groups.
Neighbouring atoms have similar scores, so the comparison is with connected parts of the same size,
not with random atoms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from rdkit import Chem, rdBase
from rdkit.Chem import BRICS
from rdkit.Chem.Scaffolds import MurckoScaffold

from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.explanation.evidence.functional_groups import functional_groups
from moa_jax.schemas import InputError

# Random parts that each substructure is compared with.
NUM_RANDOM = 500
# Atom property with an atom's index.
_NUMBER = "atom_number"


@dataclasses.dataclass(frozen=True)
class Substructure:
    """A substructure of a molecule.

    Attributes:
      kind: `fragment`, `scaffold`, `side chain`, `ring system` or `functional group`.
      name: its SMILES, or the name of the functional group.
      atoms: its atoms, ascending, in the order of the molecule's SMILES.
    """

    kind: str
    name: str
    atoms: tuple[int, ...]


def substructures(smiles: str) -> tuple[Substructure, ...]:
    """The substructures of a molecule by kind, each in the order of its first atom.

    Fragments partition the atoms, as do scaffold and side chains together. Fused and spiro rings
    are one system; functional groups may overlap. An acyclic molecule has no scaffold and is one
    side chain.

    Raises:
      InputError: RDKit cannot read the SMILES.
    """
    mol = _molecule(smiles)
    scaffold = _scaffold(mol)
    rest = sorted(set(range(mol.GetNumAtoms())) - set(scaffold))
    pieces = {
        "fragment": _fragments(mol),
        "scaffold": [scaffold] if scaffold else [],
        "side chain": _connected(mol, rest),
        "ring system": _ring_systems(mol),
    }
    return (
        *(
            Substructure(kind, Chem.MolFragmentToSmiles(mol, list(atoms)), atoms)
            for kind, parts in pieces.items()
            for atoms in parts
        ),
        *(Substructure("functional group", *group) for group in functional_groups(mol)),
    )


def substructure_scores(
    smiles: str,
    atom_scores: Float[np.ndarray, " atom"],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Sums atom scores over the substructures of a molecule.

    Each is compared with `NUM_RANDOM` random connected parts of its size, grown from a random atom
    by random neighbours.

    Args:
      smiles: the molecule.
      atom_scores: signed score of each heavy atom, in the order of the SMILES.
      seed: seed of the random parts.

    Returns:
      One row per substructure, in the order of `substructures`: `kind`, `name`, `atoms`,
      `num_atoms`, `sum`, `mean`, `random_mean` (mean sum of random parts of that size),
      `percentile` (share of random parts with a smaller sum, ties counting half), `p_value`
      (two-sided) and `q_value` (Benjamini-Hochberg over the rows). NaN from `random_mean` on for
      the whole molecule.

    Raises:
      InputError: RDKit cannot read the SMILES, or it has another number of atoms.
    """
    mol = _molecule(smiles)
    if mol.GetNumAtoms() != len(atom_scores):
        raise InputError(
            f"there are {len(atom_scores)} atom scores for {smiles!r}, which has "
            f"{mol.GetNumAtoms()} heavy atoms."
        )
    rng = np.random.default_rng(seed)
    pieces = substructures(smiles)
    random_sums = {
        size: _random_sums(mol, atom_scores, size, rng)
        for size in sorted({len(piece.atoms) for piece in pieces})
    }
    rows = []
    for piece in pieces:
        total = float(atom_scores[list(piece.atoms)].sum())
        of_random = random_sums[len(piece.atoms)]
        rows.append(
            {
                **dataclasses.asdict(piece),
                "num_atoms": len(piece.atoms),
                "sum": total,
                "mean": total / len(piece.atoms),
                **_against(total, of_random),
            }
        )
    table = pd.DataFrame(rows)
    return table.assign(q_value=adjusted_p_values(table["p_value"].to_numpy(float)))


def _against(total: float, of_random: Float[np.ndarray, " random"]) -> dict[str, float]:
    """A sum compared with those of random parts; p-values count the substructure itself."""
    if not len(of_random):
        return dict.fromkeys(("random_mean", "percentile", "p_value"), np.nan)
    # The order of summation may change the last digits.
    slack = 1e-9 * max(1.0, float(np.abs(of_random).max()))
    below = (of_random < total - slack).sum()
    above = (of_random > total + slack).sum()
    equal = len(of_random) - below - above
    tail = (1 + equal + min(below, above)) / (1 + len(of_random))
    return {
        "random_mean": float(of_random.mean()),
        "percentile": float((below + 0.5 * equal) / len(of_random)),
        "p_value": min(1.0, 2 * float(tail)),
    }


def _random_sums(
    mol: Chem.Mol,
    atom_scores: Float[np.ndarray, " atom"],
    size: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " random"]:
    """Sums over random connected parts; empty if no component is larger than `size`."""
    starts = [atom for part in Chem.GetMolFrags(mol) if len(part) > size for atom in part]
    if not starts:
        return np.zeros(0)
    neighbours = _neighbours(mol)
    sums = np.zeros(NUM_RANDOM)
    for row, start in enumerate(rng.choice(starts, NUM_RANDOM)):
        chosen, border = {int(start)}, set(neighbours[start])
        while len(chosen) < size:
            grown = sorted(border)[rng.integers(len(border))]
            chosen.add(grown)
            border = (border | set(neighbours[grown])) - chosen
        sums[row] = atom_scores[sorted(chosen)].sum()
    return sums


def _molecule(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise InputError(f"the SMILES {smiles!r} describes no molecule.")
    return mol


def _neighbours(mol: Chem.Mol) -> list[list[int]]:
    return [[other.GetIdx() for other in atom.GetNeighbors()] for atom in mol.GetAtoms()]


def _connected(mol: Chem.Mol, atoms: Sequence[int]) -> list[tuple[int, ...]]:
    """Connected components of the atoms, in the order of their first atom."""
    neighbours, left, parts = _neighbours(mol), set(atoms), []
    for first in sorted(atoms):
        part, reached = set(), {first} & left
        while reached:
            part |= reached
            left -= reached
            reached = {other for atom in reached for other in neighbours[atom]} & left
        if part:
            parts.append(tuple(sorted(part)))
    return parts


def _fragments(mol: Chem.Mol) -> list[tuple[int, ...]]:
    bonds = [mol.GetBondBetweenAtoms(*ends).GetIdx() for ends, _ in BRICS.FindBRICSBonds(mol)]
    cut = Chem.FragmentOnBonds(mol, sorted(bonds), addDummies=False) if bonds else mol
    return sorted(tuple(sorted(part)) for part in Chem.GetMolFrags(cut))


def _scaffold(mol: Chem.Mol) -> tuple[int, ...]:
    numbered = Chem.Mol(mol)
    for atom in numbered.GetAtoms():
        atom.SetIntProp(_NUMBER, atom.GetIdx())
    scaffold = MurckoScaffold.GetScaffoldForMol(numbered)
    return tuple(sorted(atom.GetIntProp(_NUMBER) for atom in scaffold.GetAtoms()))


def _ring_systems(mol: Chem.Mol) -> list[tuple[int, ...]]:
    """Rings, merged where they have an atom in common."""
    systems: list[set[int]] = []
    for ring in mol.GetRingInfo().AtomRings():
        touching = [system for system in systems if system & set(ring)]
        systems = [system for system in systems if not system & set(ring)]
        systems.append(set(ring).union(*touching))
    return sorted(tuple(sorted(system)) for system in systems)
