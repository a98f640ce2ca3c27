"""Structures with different InChIKeys that a model cannot distinguish."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.compounds.structures import Structure, standardise

_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, includeChirality=False)


def near_duplicates(smiles: Sequence[str | None]) -> list[str | None]:
    """A representative for each set of structures with Tanimoto similarity 1.0.

    Compares the counts of unfolded Morgan environments of radius 2 after standardisation, without
    chirality. Similarity 1.0 then means that every environment occurs equally often in both, so
    that formulas are equal: stereoisomers, and regioisomers with substituents too far apart for
    Morgan fingerprints. Folded or binary fingerprints would also merge homologues (decanol and
    dodecanol), since they do not count environments.

    Args:
      smiles: SMILES of each compound, None where unknown.

    Returns:
      The smallest standardised SMILES among the near-duplicates of each structure, independent of
      their order; None if a structure is unknown or cannot be standardised.
    """
    parents = {
        text: parent.smiles
        for text in set(smiles)
        if isinstance(parent := standardise(text), Structure)
    }
    smallest: dict[bytes, str] = {}
    for parent in sorted(set(parents.values())):
        smallest.setdefault(_environment_counts(parent), parent)
    return [
        smallest[_environment_counts(parents[text])] if text in parents else None for text in smiles
    ]


@functools.lru_cache(maxsize=2**16)
def _environment_counts(smiles: str) -> bytes:
    """Digest of the counts of a standardised structure's Morgan environments."""
    fingerprint = _GENERATOR.GetSparseCountFingerprint(Chem.MolFromSmiles(smiles))
    counts = sorted(fingerprint.GetNonzeroElements().items())
    return hashlib.blake2b(repr(counts).encode(), digest_size=16).digest()
