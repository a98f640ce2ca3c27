"""Random permutations in which nothing stays with its own unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from moa_jax.schemas import InputError

# Tried exchanges per item after the first arrangement; far more than mixing needs.
_EXCHANGES_PER_ITEM = 10


def permute_between_units(
    units: Sequence[str], *, rng: np.random.Generator, what: str
) -> Int[np.ndarray, " item"]:
    """Permutation that gives each item the place of an item of another unit.

    Units are laid side by side in random order and turned by at least the size of the largest,
    so that no item meets its own unit; random exchanges that keep this then mix the items.

    Args:
      units: unit of each item.
      rng: random numbers.
      what: what messages call the items.

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
            f"the {what} cannot be shuffled: {largest} of {count} are of "
            f"{names[sizes.argmax()]}, expected at most half."
        )
    place = rng.permutation(len(names))
    order = np.lexsort((rng.random(count), place[unit]))
    source = np.empty(count, np.int64)
    source[order] = np.roll(order, int(rng.integers(largest, count - largest + 1)))
    # Plain integers in lists: this loop is sequential by nature, and numpy scalars are slow.
    source_of, unit_of = source.tolist(), unit.tolist()
    for i, j in rng.integers(count, size=(_EXCHANGES_PER_ITEM * count, 2)).tolist():
        if unit_of[source_of[j]] != unit_of[i] and unit_of[source_of[i]] != unit_of[j]:
            source_of[i], source_of[j] = source_of[j], source_of[i]
    return np.array(source_of)
