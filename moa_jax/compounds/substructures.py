"""Counts of substructures, by several families of fingerprints.

No single fingerprint is best for all mechanisms; averaging similarities over several works better
(Riniker and Landrum 2013, https://doi.org/10.1186/1758-2946-5-26, compare those used here).
"""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8
from rdkit import Chem, rdBase
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from moa_jax.schemas import InputError

# Length of a hashed fingerprint.
NUM_HASHED = 1024
# MACCS keys with RDKit's unused key 0.
NUM_KEYS = 167
# Family -> number of columns, in the order of the columns. Environments of radius 2 and 3,
# environments of pharmacophore classes, atom pairs, torsions, paths of up to 6 bonds, MACCS keys.
SUBSTRUCTURE_FAMILIES = {
    "morgan2": NUM_HASHED,
    "morgan3": NUM_HASHED,
    "feature_morgan2": NUM_HASHED,
    "atom_pairs": NUM_HASHED,
    "torsions": NUM_HASHED,
    "paths": NUM_HASHED,
    "maccs": NUM_KEYS,
}
# A MACCS key without a pattern; the others are isotopes (1) and several fragments (166).
AROMATIC_RINGS_KEY = 125
# Counts that need not be computed.
_REMEMBERED: ChainMap[str, UInt8[np.ndarray, " substructure"]] = ChainMap()


def remember_counts(counts: Mapping[str, UInt8[np.ndarray, " substructure"]]) -> None:
    """Counts by SMILES that the same version of RDKit computed; they replace earlier ones."""
    _REMEMBERED.maps[:] = [counts]


def substructure_counts(smiles: Sequence[str | None]) -> UInt8[np.ndarray, "compound substructure"]:
    """Concatenated counts of all families, at most 255; MACCS keys are 0 or 1.

    Args:
      smiles: SMILES of each compound; None gives a row of zeros.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    counts = np.zeros((len(smiles), sum(SUBSTRUCTURE_FAMILIES.values())), np.uint8)
    for row, text in enumerate(smiles):
        if text is not None:
            counts[row] = _counts(text)
    return counts


def counts_without_atoms(
    smiles: str, removed: Bool[np.ndarray, "group atom"]
) -> UInt8[np.ndarray, "group substructure"]:
    """Counts of the occurrences without removed atoms, for all families.

    The remaining occurrences are those of the whole molecule, with their neighbours, hydrogens and
    rings. Recounting on a cut molecule would create new substructures, such as an amine from an
    amide. MACCS keys 1 and 166, which have no pattern, are unchanged.

    Args:
      smiles: SMILES of the compound.
      removed: atoms to leave out, for each group; atoms are in the order of the SMILES.

    Raises:
      InputError: RDKit cannot read the SMILES, or it has another number of atoms.
    """
    mol = _read(smiles)
    if removed.shape[1] != mol.GetNumAtoms():
        raise InputError(
            f"the SMILES {smiles!r} has {mol.GetNumAtoms()} atoms, but {removed.shape[1]} were "
            "given."
        )
    columns, atoms, starts = _occurrences(smiles)
    holds = np.zeros((len(columns), removed.shape[1]), np.float32)
    holds[np.repeat(np.arange(len(columns)), np.diff(starts)), atoms] = 1.0
    kept = holds @ removed.T.astype(np.float32) == 0
    counts = np.stack(
        [
            np.bincount(columns[of_group], minlength=sum(SUBSTRUCTURE_FAMILIES.values()))
            for of_group in kept.T
        ]
    )
    keys = slice(counts.shape[1] - NUM_KEYS, None)
    counts[:, keys] = counts[:, keys] > _key_thresholds()
    for key in (1, NUM_KEYS - 1):
        counts[:, keys][:, key] = _counts(smiles)[keys][key]
    return np.minimum(counts, 255).astype(np.uint8)


def atoms_within(smiles: str, radius: int) -> Bool[np.ndarray, "atom atom"]:
    """Whether two atoms are at most `radius` bonds apart; never for different fragments.

    Args:
      smiles: SMILES of the compound; atoms are in its order.
      radius: number of bonds.

    Raises:
      InputError: RDKit cannot read the SMILES.
    """
    return Chem.GetDistanceMatrix(_read(smiles)) <= radius


@functools.lru_cache(maxsize=2**10)
def _occurrences(
    smiles: str,
) -> tuple[
    Int[np.ndarray, " occurrence"], Int[np.ndarray, " entry"], Int[np.ndarray, " occurrence_end"]
]:
    """Columns of all occurrences, their atoms, and the offsets of each occurrence's atoms.

    Occurrences of a MACCS key are the matches of its pattern.
    """
    mol, found, start = _read(smiles), [], 0
    for generator in _generators():
        output = rdFingerprintGenerator.AdditionalOutput()
        output.AllocateAtomsPerBit()
        generator.GetCountFingerprint(mol, additionalOutput=output)
        found += [
            (start + bit, atoms)
            for bit, matches in output.GetAtomsPerBit().items()
            for atoms in matches
        ]
        start += NUM_HASHED
    for key, pattern in _key_patterns().items():
        found += [(start + key, atoms) for atoms in mol.GetSubstructMatches(pattern)]
    found += [
        (start + AROMATIC_RINGS_KEY, ring)
        for ring in mol.GetRingInfo().AtomRings()
        if all(mol.GetAtomWithIdx(atom).GetIsAromatic() for atom in ring)
    ]
    sizes = [len(atoms) for _, atoms in found]
    columns = np.array([column for column, _ in found], np.int64)
    entries = np.array([atom for _, atoms in found for atom in atoms], np.int64)
    return columns, entries, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


@functools.cache
def _key_patterns() -> dict[int, Chem.Mol]:
    """Pattern of every MACCS key that has one."""
    return {
        key: Chem.MolFromSmarts(pattern)
        for key, (pattern, _) in MACCSkeys.smartsPatts.items()
        if pattern != "?"
    }


@functools.cache
def _key_thresholds() -> Int[np.ndarray, " key"]:
    """Number of matches above which a MACCS key is set."""
    thresholds = np.zeros(NUM_KEYS, np.int64)
    for key, (_, count) in MACCSkeys.smartsPatts.items():
        thresholds[key] = count
    thresholds[AROMATIC_RINGS_KEY] = 1
    return thresholds


def _read(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(f"the SMILES {smiles!r} is invalid, so its substructures are unknown.")
    return mol


@functools.lru_cache(maxsize=2**15)
def _counts(smiles: str) -> UInt8[np.ndarray, " substructure"]:
    counts = _REMEMBERED[smiles] if smiles in _REMEMBERED else _counted(smiles)
    # The cached array itself is returned.
    counts.flags.writeable = False
    return counts


def _counted(smiles: str) -> UInt8[np.ndarray, " substructure"]:
    mol = _read(smiles)
    hashed = [
        np.minimum(generator.GetCountFingerprintAsNumPy(mol), 255) for generator in _generators()
    ]
    keys = np.frombuffer(MACCSkeys.GenMACCSKeys(mol).ToBitString().encode(), np.uint8) - ord("0")
    return np.concatenate([*hashed, keys]).astype(np.uint8)


@functools.cache
def _generators() -> tuple[rdFingerprintGenerator.FingerprintGenerator64, ...]:
    """RDKit's generators of the hashed families, in the order of `SUBSTRUCTURE_FAMILIES`."""
    make = rdFingerprintGenerator
    return (
        make.GetMorganGenerator(radius=2, fpSize=NUM_HASHED),
        make.GetMorganGenerator(radius=3, fpSize=NUM_HASHED),
        make.GetMorganGenerator(
            radius=2,
            fpSize=NUM_HASHED,
            atomInvariantsGenerator=make.GetMorganFeatureAtomInvGen(),
        ),
        make.GetAtomPairGenerator(fpSize=NUM_HASHED),
        make.GetTopologicalTorsionGenerator(fpSize=NUM_HASHED),
        make.GetRDKitFPGenerator(maxPath=6, fpSize=NUM_HASHED),
    )
