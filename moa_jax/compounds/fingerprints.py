"""Morgan fingerprints and their similarity."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, UInt8
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.schemas import InputError


def morgan_fingerprints(
    smiles: Sequence[str | None], *, radius: int = 2, num_bits: int = 2048
) -> Float32[np.ndarray, "compound bit"]:
    """Folded Morgan fingerprints as 0 and 1 (Rogers and Hahn 2010).

    Args:
      smiles: SMILES of each compound; None gives a row of zeros.
      radius: number of bonds that an atom's environment reaches.
      num_bits: length of the folded fingerprint.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    fingerprints = np.zeros((len(smiles), num_bits), np.float32)
    for row, text in enumerate(smiles):
        if text is not None:
            packed = _packed_fingerprint(text, radius, num_bits)
            fingerprints[row] = np.unpackbits(packed, count=num_bits)
    return fingerprints


@functools.lru_cache(maxsize=2**16)
def _packed_fingerprint(smiles: str, radius: int, num_bits: int) -> UInt8[np.ndarray, " byte"]:
    """One fingerprint packed into bytes, so that many can be cached."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InputError(f"the SMILES {smiles!r} is invalid, so it has no fingerprint.")
    return np.packbits(_generator(radius, num_bits).GetFingerprintAsNumPy(mol))


@functools.lru_cache(maxsize=8)
def _generator(radius: int, num_bits: int) -> rdFingerprintGenerator.FingerprintGenerator64:
    """RDKit's generator; constructing it is slower than computing one fingerprint."""
    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=num_bits)


def tanimoto(
    a: Float[np.ndarray, "m bit"], b: Float[np.ndarray, "n bit"]
) -> Float[np.ndarray, "m n"]:
    """Tanimoto similarity of every row of `a` with every row of `b`.

    |a and b| / |a or b| of the set bits; 0 if neither row has any, as in RDKit.

    Args:
      a: rows of 0 and 1.
      b: rows of 0 and 1.
    """
    shared = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
