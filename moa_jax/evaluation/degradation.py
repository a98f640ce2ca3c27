"""How much a method's score falls with the level of noise."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class DegradationCurve:
    """One score of one method over the levels of one kind of noise.

    Attributes:
      levels: ascending; the first is 0, without noise.
      scores: the score at each level, higher is better; leading axes are repetitions, such as
        bootstrap draws, and every result has them too.
      chance: the score of a random ranking, from which scores are counted.
    """

    levels: Float[np.ndarray, " level"]
    scores: Float[np.ndarray, "*draw level"]
    chance: float = 0.0

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or self.levels[0] != 0 or (np.diff(self.levels) <= 0).any():
            raise InputError(
                f"a degradation curve has the levels {self.levels.tolist()}; expected 0, then "
                "higher ones in ascending order."
            )

    @property
    def relative(self) -> Float[np.ndarray, "*draw level"]:
        """Scores as shares of the clean score, both above chance; NaN where that is 0 or less."""
        above = self.scores - self.chance
        clean = above[..., :1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(clean > 0, above / clean, np.nan)

    @property
    def area(self) -> Float[np.ndarray, "*draw"]:
        """Mean of `relative` over the range of levels, by trapezoids: 1 means no loss."""
        return np.asarray(np.trapezoid(self.relative, self.levels, axis=-1) / self.levels[-1])

    def loss_at(self, level: float) -> Float[np.ndarray, "*draw"]:
        """Share of the clean score that is lost at a level, interpolated linearly.

        Raises:
          InputError: the level is outside the curve.
        """
        if not 0 <= level <= self.levels[-1]:
            raise InputError(
                f"there is no loss at the level {level}; the curve has levels from 0 to "
                f"{self.levels[-1]}."
            )
        right = max(1, int(np.searchsorted(self.levels, level)))
        width = self.levels[right] - self.levels[right - 1]
        share = (level - self.levels[right - 1]) / width
        relative = self.relative
        return np.asarray(1 - (1 - share) * relative[..., right - 1] - share * relative[..., right])


def area_difference(
    first: DegradationCurve, second: DegradationCurve
) -> Float[np.ndarray, "*draw"]:
    """`area` of the first method minus that of the second, for each repetition.

    Above 0 the first degrades more slowly, relative to its clean score. Paired repetitions (the
    same compounds for both) give the interval of the difference.

    Raises:
      InputError: the two have different levels.
    """
    if not np.array_equal(first.levels, second.levels):
        raise InputError(
            f"two degradation curves have the levels {first.levels.tolist()} and "
            f"{second.levels.tolist()}; expected the same."
        )
    return np.asarray(first.area - second.area)
