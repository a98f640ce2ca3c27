"""Standardises structures of compound tables to one parent molecule.

Vendors register salts, mixtures with solvent and charged forms of one drug. Models, identities
and splits need the drug itself: counter-ions and solvents are removed, the largest organic
fragment is kept, and charges are neutralised where possible.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import ChainMap
from collections.abc import Mapping

from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds import MurckoScaffold

from moa_jax.compounds.salt_formers import tier

# Carbonates are salts although they contain carbon.
_CARBONIC_ACID = Chem.CanonSmiles("OC(O)=O")

# Covalently drawn salts, such as [Na]OC(=O)C; bonds of transition metals are part of the drug.
_ALKALI_BOND = Chem.MolFromSmarts("[Li,Na,K,Rb,Cs,Mg,Ca,Sr,Ba]~[!#1]")
# InChI's own limit; RDKit's recursion overflows the stack on far longer chains. A SMILES needs
# fewer than ten characters per atom.
MAX_ATOMS = 1023
_MAX_SMILES_LENGTH = 10 * MAX_ATOMS

_METAL_DISCONNECTOR = rdMolStandardize.MetalDisconnector()
_SALT_AND_SOLVENT_REMOVER = rdMolStandardize.FragmentRemover(leave_last=False)
_UNCHARGER = rdMolStandardize.Uncharger()


@dataclasses.dataclass(frozen=True)
class Structure:
    """A standardised molecule.

    Attributes:
      smiles: canonical isomeric SMILES, salt stripped and neutralised.
      inchi_key: standard InChIKey of that molecule.
      inchi_block: first block of the key, which ignores stereochemistry, isotopes and protonation.
      scaffold: SMILES of the Murcko scaffold without stereochemistry (Bemis and Murcko 1996),
        empty for acyclic molecules.
    """

    smiles: str
    inchi_key: str
    inchi_block: str
    scaffold: str


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Why a text is not a usable structure.

    Attributes:
      reason: `no structure` (missing or without atoms), `invalid SMILES`, `unspecified atom`
        (a wildcard), `too large` (more than `MAX_ATOMS` atoms), `only salt or solvent`,
        `inorganic` (no fragment with carbon) or `no InChIKey` (InChI cannot describe it).
    """

    reason: str


class _NoParentError(Exception):
    """Carries the reason of a `Rejection` out of the steps of `standardise`."""


# Structures that need not be standardised.
_REMEMBERED: ChainMap[str, Structure] = ChainMap()


def remember_structures(structures: Mapping[str, Structure]) -> None:
    """Structures by SMILES that the same version of RDKit made; they replace earlier ones."""
    _REMEMBERED.maps[:] = [structures]


@functools.lru_cache(maxsize=2**16)
def standardise(smiles: str | None) -> Structure | Rejection:
    """Standardised parent structure of a SMILES, or the reason why there is none; never raises.

    Text after the first blank is ignored: a name, or a CXSMILES extension with coordinates and
    stereo groups.
    """
    if smiles is None or not smiles.strip():
        return Rejection("no structure")
    if smiles in _REMEMBERED:
        return _REMEMBERED[smiles]
    with rdBase.BlockLogs():
        try:
            return _describe(_neutral_parent(_parse(smiles.split()[0])))
        except _NoParentError as reason:
            return Rejection(str(reason))


def _parse(smiles: str) -> Chem.Mol:
    """The molecule of a SMILES, with covalently drawn alkali salts split."""
    if len(smiles) > _MAX_SMILES_LENGTH:
        raise _NoParentError("too large")
    mol = Chem.MolFromSmiles(smiles) if smiles.isascii() else None
    if mol is None:
        raise _NoParentError("invalid SMILES")
    if not mol.GetNumAtoms():
        raise _NoParentError("no structure")
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise _NoParentError("too large")
    if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()):
        raise _NoParentError("unspecified atom")
    if mol.HasSubstructMatch(_ALKALI_BOND):
        mol = _METAL_DISCONNECTOR.Disconnect(mol)
    return mol


def _neutral_parent(mol: Chem.Mol) -> Chem.Mol:
    """The neutralised parent fragment: the lowest tier of `salt_formers`, then the largest."""
    remaining = _SALT_AND_SOLVENT_REMOVER.remove(mol)
    if not remaining.GetNumAtoms():
        raise _NoParentError("only salt or solvent")
    organic = [
        _UNCHARGER.uncharge(fragment)
        for fragment in Chem.GetMolFrags(remaining, asMols=True)
        if any(atom.GetAtomicNum() == 6 for atom in fragment.GetAtoms())
    ]
    if not organic:
        raise _NoParentError("inorganic")
    flat = [Chem.MolToSmiles(fragment, isomericSmiles=False) for fragment in organic]
    if set(flat) == {_CARBONIC_ACID}:
        raise _NoParentError("only salt or solvent")
    ranked = [
        (tier(name), mol) for mol, name in zip(organic, flat, strict=True) if name != _CARBONIC_ACID
    ]
    first = min(rank for rank, _ in ranked)
    return min((mol for rank, mol in ranked if rank == first), key=_largest_first)


def _largest_first(mol: Chem.Mol) -> tuple[int, float, str]:
    """Sort key: most heavy atoms first, then largest weight, then SMILES."""
    return -mol.GetNumHeavyAtoms(), -Descriptors.MolWt(mol), Chem.MolToSmiles(mol)


def _describe(mol: Chem.Mol) -> Structure:
    """Identifiers of a parent molecule.

    The canonical SMILES is parsed again to update hydrogen counts and stereo marks after
    neutralising, so that a standardised SMILES standardises to itself.
    """
    mol = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
    if mol is None:
        raise _NoParentError("invalid SMILES")
    inchi_key = Chem.MolToInchiKey(mol)
    if not inchi_key:
        raise _NoParentError("no InChIKey")
    return Structure(
        smiles=Chem.MolToSmiles(mol),
        inchi_key=inchi_key,
        inchi_block=inchi_key.split("-")[0],
        scaffold=MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False),
    )
