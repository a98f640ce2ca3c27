"""How slowly a method's score falls as the noise rises."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class DegradationCurve:
    """One score of one method over the levels of one kind of noise.

    Attributes:
      levels: ascending; the first is 0, where nothing is disturbed.
      scores: the score at each level, higher is better; leading axes, where there are any, are
        repetitions such as bootstrap draws, and every result has them too.
      chance: the score of a method that knows nothing; scores are measured from there.
    """

    levels: Float[np.ndarray, " level"]
    scores: Float[np.ndarray, "*draw level"]
    chance: float = 0.0

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or self.levels[0] != 0 or (np.diff(self.levels) <= 0).any():
            raise InputError(
                f"a degradation curve has the levels {self.levels.tolist()}, expected 0 and "
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
        """Area under `relative` by trapezoids over the range of levels: 1 means no loss."""
        return np.asarray(np.trapezoid(self.relative, self.levels, axis=-1) / self.levels[-1])

    def loss_at(self, level: float) -> Float[np.ndarray, "*draw"]:
        """Share of the clean score that is lost at a level, linear between the measured ones.

        Raises:
          InputError: the level lies beyond the curve.
        """
        if not 0 <= level <= self.levels[-1]:
            raise InputError(
                f"the loss at the level {level} was asked for, but the curve reaches from 0 to "
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
    """By how much the first method keeps more of its clean score, repetition by repetition.

    Above 0 the first degrades more slowly, however good the two are without noise. Repetitions
    that are paired (the same compounds drawn for both) give the interval of the difference.

    Raises:
      InputError: the two were measured at other levels.
    """
    if not np.array_equal(first.levels, second.levels):
        raise InputError(
            f"two degradation curves have the levels {first.levels.tolist()} and "
            f"{second.levels.tolist()}, expected the same."
        )
    return np.asarray(first.area - second.area)
