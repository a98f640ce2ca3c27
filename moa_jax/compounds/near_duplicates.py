"""Structures that a model cannot tell apart although their InChIKeys differ."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.compounds.structures import Structure, standardise

_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, includeChirality=False)


def near_duplicates(smiles: Sequence[str | None]) -> list[str | None]:
    """For each structure the one that stands for all that have Tanimoto similarity 1.0 to it.

    Compared are the counts of the unfolded Morgan environments of radius 2, without chirality
    and after standardisation. Similarity 1.0 then means that every environment of two bonds
    occurs equally often in both, which includes the formula: stereoisomers, and regioisomers
    whose substituents are too far apart for any Morgan fingerprint to see. Folded or binary
    fingerprints would also call every longer member of a homologous series (decanol and
    dodecanol) one compound, since they only say which environments occur.

    Args:
      smiles: SMILES of each compound, None where unknown.

    Returns:
      The smallest standardised SMILES among the near-duplicates of each structure; None where
      a structure is unknown or cannot be standardised. It does not depend on the order.
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
