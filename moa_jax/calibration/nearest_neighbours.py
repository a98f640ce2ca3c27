"""Similarity of compounds to the training data, by structure and by expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics.pairwise import cosine_similarity

from moa_jax.compounds.fingerprints import morgan_fingerprints, tanimoto

# Rows whose similarities to all training rows are computed at a time.
_BLOCK_ROWS = 1024


def nearest_tanimoto(
    smiles: Sequence[str | None], train_smiles: Sequence[str | None]
) -> Float[np.ndarray, " compound"]:
    """Largest Tanimoto similarity of each structure to a training structure.

    See `nearest_structures`.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    references = sorted({text for text in train_smiles if text is not None})
    return nearest_structures(smiles, references)[0]


def nearest_structures(
    smiles: Sequence[str | None], references: Sequence[str]
) -> tuple[Float[np.ndarray, " compound"], Int[np.ndarray, " compound"]]:
    """Largest Tanimoto similarity of each structure to a reference, and the first such reference.

    On folded Morgan fingerprints (radius 2, 2,048 bits). NaN and -1 if the structure is unknown or
    there is no reference.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    nearest, places = np.full(len(smiles), np.nan), np.full(len(smiles), -1)
    known = np.flatnonzero([text is not None for text in smiles])
    if not len(references):
        return nearest, places
    fingerprints = morgan_fingerprints(references)
    for start in range(0, len(known), _BLOCK_ROWS):
        block = known[start : start + _BLOCK_ROWS]
        queries = morgan_fingerprints([smiles[row] for row in block])
        similarity = tanimoto(queries, fingerprints)
        places[block] = similarity.argmax(axis=1)
        nearest[block] = similarity.max(axis=1)
    return nearest, places


def nearest_cosine(
    expression: Float[np.ndarray, "example gene"], train_expression: Float[np.ndarray, "train gene"]
) -> Float[np.ndarray, " example"]:
    """Largest cosine of each signature with a training signature; NaN without any.

    Genes should be on the scale that the methods use; a row of zeros has cosine 0.
    """
    nearest = np.full(len(expression), np.nan)
    if not len(train_expression):
        return nearest
    for start in range(0, len(expression), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        nearest[block] = cosine_similarity(expression[block], train_expression).max(axis=1)
    return nearest
