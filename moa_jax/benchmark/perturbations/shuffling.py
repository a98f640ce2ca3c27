"""Random permutations in which no item stays within its own unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from moa_jax.schemas import InputError

# Attempted exchanges per item after the initial arrangement; far more than mixing needs.
_EXCHANGES_PER_ITEM = 10


def permute_between_units(
    units: Sequence[str], *, rng: np.random.Generator, what: str
) -> Int[np.ndarray, " item"]:
    """Permutation that gives each item the content of an item of another unit.

    The units are concatenated in random order and rotated by at least the size of the largest
    unit, so that no item meets its own unit; random exchanges that preserve this mix the items.

    Args:
      units: unit of each item.
      rng: random number generator.
      what: name of the items in messages.

    Returns:
      For each item, the item whose content it gets.

    Raises:
      InputError: one unit has more than half of the items.
    """
    names, unit, sizes = np.unique(
        np.asarray(units, dtype=str), return_inverse=True, return_counts=True
    )
    count, largest = len(unit), int(sizes.max(initial=0))
    if not count:
        return np.empty(0, np.int64)
    if 2 * largest > count:
        raise InputError(
            f"the {what} cannot be shuffled: {largest} of {count} belong to "
            f"{names[sizes.argmax()]}, expected at most half."
        )
    place = rng.permutation(len(names))
    order = np.lexsort((rng.random(count), place[unit]))
    source = np.empty(count, np.int64)
    source[order] = np.roll(order, int(rng.integers(largest, count - largest + 1)))
    # Lists of plain integers: the loop is sequential, and numpy scalars are slow.
    source_of, unit_of = source.tolist(), unit.tolist()
    for i, j in rng.integers(count, size=(_EXCHANGES_PER_ITEM * count, 2)).tolist():
        if unit_of[source_of[j]] != unit_of[i] and unit_of[source_of[i]] != unit_of[j]:
            source_of[i], source_of[j] = source_of[j], source_of[i]
    return np.array(source_of)
