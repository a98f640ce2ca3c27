"""The two genes of a bead colour, which are measured together and separated by deconvolution."""

from __future__ import annotations

import collections

import numpy as np
import pandas as pd
from jaxtyping import Int, Int32

from moa_jax.schemas import InputError, require_columns


def bead_pairs(genes: pd.DataFrame) -> Int[np.ndarray, "pair 2"]:
    """Expression columns of the two genes of each bead colour, sorted; may be empty.

    Raises:
      InputError: the gene table has no column `bead`, or more than two genes have one bead.
    """
    require_columns(genes, ("bead",), "the gene table")
    columns_of = collections.defaultdict(list)
    for column, bead in enumerate(genes["bead"]):
        if isinstance(bead, str) and bead:
            columns_of[bead].append(column)
    crowded = sorted(bead for bead, columns in columns_of.items() if len(columns) > 2)
    if crowded:
        raise InputError(
            f"the gene table has {len(columns_of[crowded[0]])} genes with the bead {crowded[0]}; "
            "expected at most two."
        )
    pairs = sorted(columns for columns in columns_of.values() if len(columns) == 2)
    return np.array(pairs, np.int64).reshape(-1, 2)


def bead_partners(genes: pd.DataFrame) -> Int32[np.ndarray, " gene"]:
    """Column of the gene on the same bead colour; the gene's own if none is known.

    Raises:
      InputError: see `bead_pairs`.
    """
    partners = np.arange(len(genes), dtype=np.int32)
    first, second = bead_pairs(genes).T
    partners[first], partners[second] = second, first
    return partners
