"""A broader class of mechanisms for compounds whose mechanism itself is not sure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from moa_jax.knowledge.mechanism_hierarchy import MechanismClasses

# Least probability of a class that is stated, and of a mechanism that needs no broader class.
MIN_BROADER_PROBABILITY = 0.8
# Place of the class where none is stated.
NO_CLASS = -1


def broader_answers(
    probs: Float[np.ndarray, "compound moa"], classes: MechanismClasses
) -> tuple[Int[np.ndarray, " compound"], Float[np.ndarray, " compound"]]:
    """The narrowest class of each compound's first mechanism that is sure enough.

    The probability of a class is the sum of those of its mechanisms. The narrowest class is the one
    with the fewest mechanisms, of several the more probable one.

    Args:
      probs: calibrated probabilities of the mechanisms.
      classes: of these mechanisms.

    Returns:
      Places of the classes, and their probabilities. `NO_CLASS` and NaN where the first mechanism
      has `MIN_BROADER_PROBABILITY` itself, or none of its classes has.
    """
    of_class = probs @ classes.members.T
    first = probs.argmax(axis=1)
    is_candidate = classes.members[:, first].T & (of_class >= MIN_BROADER_PROBABILITY)
    is_candidate &= probs.max(axis=1, keepdims=True) < MIN_BROADER_PROBABILITY
    sizes = classes.members.sum(axis=1)
    # Sizes are whole numbers and probabilities at most 1.
    rank = np.where(is_candidate, sizes - of_class / 2, np.inf)
    found = is_candidate.any(axis=1)
    place = np.where(found, rank.argmin(axis=1) if len(sizes) else 0, NO_CLASS)
    probability = np.full(len(probs), np.nan)
    rows = np.flatnonzero(found)
    probability[rows] = of_class[rows, place[rows]]
    return place, probability
