"""The molecule as a graph: heavy atoms with features, bonds in both directions.

Features are 0 or 1; `ATOM_FEATURES` and `BOND_FEATURES` name the columns. Stereochemistry is given
by CIP labels, which do not depend on the order of atoms: `R` and `S` for centres, `r` and `s` for
pseudoasymmetric ones such as cis- and trans-1,4-cyclohexanes, `E` and `Z` for double bonds (Hanson
et al. 2018, assigned by RDKit's rdCIPLabeler).
"""

from __future__ import annotations

import dataclasses
import functools
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float32, Int32
from rdkit import Chem, rdBase
from rdkit.Chem import rdCIPLabeler

from moa_jax.schemas import InputError

# Values that are not listed count as the last entry.
_ELEMENTS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I", "other")
_DEGREES = ("0", "1", "2", "3", "4", "more")
_CHARGES = ("0", "+1", "-1", "+2 or more", "-2 or less")
_HYDROGENS = ("0", "1", "2", "3", "more")
_HYBRIDISATIONS = ("SP", "SP2", "SP3", "SP3D", "SP3D2", "other")
_CENTRES = ("R", "S", "r", "s", "none")
_BOND_TYPES = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC", "other")
_DOUBLE_BONDS = ("E", "Z", "e", "z", "none")


def _named(kind: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{kind} {value}" for value in values)


ATOM_FEATURES: tuple[str, ...] = (
    *_named("element", _ELEMENTS),
    *_named("degree", _DEGREES),
    *_named("charge", _CHARGES),
    *_named("hydrogens", _HYDROGENS),
    *_named("hybridisation", _HYBRIDISATIONS),
    *_named("chirality", _CENTRES),
    "aromatic",
    "in ring",
)
BOND_FEATURES: tuple[str, ...] = (
    *_named("type", _BOND_TYPES),
    *_named("stereo", _DOUBLE_BONDS),
    "conjugated",
    "in ring",
)
num_atom_features: int = len(ATOM_FEATURES)
num_bond_features: int = len(BOND_FEATURES)

# Limit for a few highly symmetric cages that would take minutes; they stay unlabelled.
_MAX_CIP_ITERATIONS = 1_000_000


@dataclasses.dataclass(frozen=True)
class MolecularGraph:
    """One molecule. Each chemical bond is stored as two consecutive directed bonds.

    Attributes:
      atom_features: one row per heavy atom, columns `ATOM_FEATURES`.
      bond_features: one row per directed bond, columns `BOND_FEATURES`.
      senders: atom where the directed bond starts.
      receivers: atom where it ends.
    """

    atom_features: Float32[np.ndarray, "atom atom_feature"]
    bond_features: Float32[np.ndarray, "bond bond_feature"]
    senders: Int32[np.ndarray, " bond"]
    receivers: Int32[np.ndarray, " bond"]

    @property
    def num_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atom_features)

    @property
    def num_bonds(self) -> int:
        """Number of directed bonds, twice the chemical ones."""
        return len(self.senders)


@dataclasses.dataclass(frozen=True)
class MolecularGraphs(Sequence[MolecularGraph | None]):
    """Graphs of structures, each made when it is read: kernel experts need none.

    Attributes:
      smiles: SMILES of each structure; None for no structure.
    """

    smiles: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.smiles)

    def __getitem__(self, row: SupportsIndex) -> MolecularGraph | None:
        smiles = self.smiles[row]
        return None if smiles is None else molecular_graph(smiles)


# Graphs that need not be computed.
_REMEMBERED: ChainMap[str, MolecularGraph] = ChainMap()


def remember_graphs(graphs: Mapping[str, MolecularGraph]) -> None:
    """Graphs by SMILES that the same version of RDKit made; they replace earlier ones."""
    _REMEMBERED.maps[:] = [graphs]


@functools.lru_cache(maxsize=2**13)
def molecular_graph(smiles: str) -> MolecularGraph:
    """Featurised graph of a molecule; atoms are in the order of the SMILES.

    The arrays are cached and shared, so callers must not modify them.

    Raises:
      InputError: RDKit cannot read the SMILES, or it has no atom.
    """
    return _REMEMBERED[smiles] if smiles in _REMEMBERED else _graph(smiles)


def _graph(smiles: str) -> MolecularGraph:
    """See `molecular_graph`."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None or not mol.GetNumAtoms():
            raise InputError(f"the SMILES {smiles!r} describes no molecule.")
        try:
            rdCIPLabeler.AssignCIPLabels(mol, maxRecursiveIterations=_MAX_CIP_ITERATIONS)
        except RuntimeError:
            Chem.RemoveStereochemistry(mol)
    atoms = [_atom_row(atom) for atom in mol.GetAtoms()]
    bonds = [_bond_row(bond) for bond in mol.GetBonds()]
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    forward = np.asarray(ends, np.int32).reshape(-1, 2)
    both = np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, 2)
    bond_features = np.asarray(bonds, np.float32).reshape(-1, num_bond_features)
    return MolecularGraph(
        atom_features=np.asarray(atoms, np.float32),
        bond_features=np.repeat(bond_features, 2, axis=0),
        senders=np.ascontiguousarray(both[:, 0]),
        receivers=np.ascontiguousarray(both[:, 1]),
    )


def _one_hot(value: str, values: tuple[str, ...]) -> list[bool]:
    """One-hot encoding of `value`, or of the last entry if `values` lacks it."""
    found = value if value in values else values[-1]
    return [found == candidate for candidate in values]


def _charge_name(charge: int) -> str:
    if charge >= 2:
        return "+2 or more"
    if charge <= -2:
        return "-2 or less"
    return f"{charge:+d}" if charge else "0"


def _cip_label(part: Chem.Atom | Chem.Bond) -> str:
    return part.GetProp("_CIPCode") if part.HasProp("_CIPCode") else "none"


def _atom_row(atom: Chem.Atom) -> list[bool]:
    """Values of `ATOM_FEATURES` for one atom."""
    return [
        *_one_hot(atom.GetSymbol(), _ELEMENTS),
        *_one_hot(str(atom.GetDegree()), _DEGREES),
        *_one_hot(_charge_name(atom.GetFormalCharge()), _CHARGES),
        *_one_hot(str(atom.GetTotalNumHs()), _HYDROGENS),
        *_one_hot(atom.GetHybridization().name, _HYBRIDISATIONS),
        *_one_hot(_cip_label(atom), _CENTRES),
        atom.GetIsAromatic(),
        atom.IsInRing(),
    ]


def _bond_row(bond: Chem.Bond) -> list[bool]:
    """Values of `BOND_FEATURES` for one bond."""
    return [
        *_one_hot(bond.GetBondType().name, _BOND_TYPES),
        *_one_hot(_cip_label(bond), _DOUBLE_BONDS),
        bond.GetIsConjugated(),
        bond.IsInRing(),
    ]
