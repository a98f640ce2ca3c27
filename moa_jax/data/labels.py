"""Names of MoAs as columns of labels over a fixed vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32


def label_matrix(
    names: Sequence[tuple[str, ...]], moas: tuple[str, ...], *, any_case: bool = False
) -> Float32[np.ndarray, "row moa"]:
    """1 where a row's names contain the MoA; names outside the vocabulary count nothing.

    Args:
      names: MoAs of each row.
      moas: the vocabulary.
      any_case: a name that the vocabulary lacks means the first MoA that differs in case alone,
        as names of another source do.
    """
    column = {moa: index for index, moa in enumerate(moas)}
    folded = {moa.casefold(): column[moa] for moa in reversed(moas)} if any_case else {}
    labels = np.zeros((len(names), len(moas)), np.float32)
    for row, found in enumerate(names):
        columns = [column.get(name, folded.get(name.casefold())) for name in found]
        labels[row, [index for index in columns if index is not None]] = 1
    return labels
