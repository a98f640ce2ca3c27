"""Substructure counts: how often each piece of a molecule occurs, by several ways of cutting it.

No single fingerprint is best for all mechanisms; similarities averaged over several are
(Riniker and Landrum 2013, https://doi.org/10.1186/1758-2946-5-26, compare those used here).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from rdkit import Chem, rdBase
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from moa_jax.schemas import InputError

# Length of a hashed view.
NUM_HASHED = 1024
# MACCS keys with RDKit's unused key 0.
NUM_KEYS = 167
# View -> its number of columns, in the order of the columns. Environments of radius 2 and 3,
# environments of pharmacophore classes, atom pairs, torsions, paths of up to 6 bonds, MACCS keys.
SUBSTRUCTURE_VIEWS = {
    "morgan2": NUM_HASHED,
    "morgan3": NUM_HASHED,
    "feature_morgan2": NUM_HASHED,
    "atom_pairs": NUM_HASHED,
    "torsions": NUM_HASHED,
    "paths": NUM_HASHED,
    "maccs": NUM_KEYS,
}


def substructure_counts(smiles: Sequence[str | None]) -> UInt8[np.ndarray, "compound substructure"]:
    """Counts of all views side by side, at most 255; MACCS keys are 0 or 1.

    Args:
      smiles: SMILES of each compound; None gives a row of zeros.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    counts = np.zeros((len(smiles), sum(SUBSTRUCTURE_VIEWS.values())), np.uint8)
    for row, text in enumerate(smiles):
        if text is not None:
            counts[row] = _counts(text)
    return counts


@functools.lru_cache(maxsize=2**15)
def _counts(smiles: str) -> UInt8[np.ndarray, " substructure"]:
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(f"the SMILES {smiles!r} is invalid, so its substructures are unknown.")
    hashed = [
        np.minimum(generator.GetCountFingerprintAsNumPy(mol), 255) for generator in _generators()
    ]
    keys = np.frombuffer(MACCSkeys.GenMACCSKeys(mol).ToBitString().encode(), np.uint8) - ord("0")
    counts = np.concatenate([*hashed, keys]).astype(np.uint8)
    # The cache hands out the array itself.
    counts.flags.writeable = False
    return counts


@functools.cache
def _generators() -> tuple[rdFingerprintGenerator.FingerprintGenerator64, ...]:
    """RDKit's generators of the hashed views, in the order of `SUBSTRUCTURE_VIEWS`."""
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
