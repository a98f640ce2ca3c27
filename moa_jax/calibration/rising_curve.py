"""A probability that rises with a score: logistic regression on its logarithm, piecewise linear.

Beta calibration has three parameters, which millions of improbable pairs decide, so that it fails
among the few probable ones. Isotonic regression needs more pairs there than are known. This lies
between the two: log odds are a line between knots, which may only rise, and changes of its slope
are penalised.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, special

# Decimal logarithms of scores. Smaller scores count as the first.
KNOTS = np.array([-6.0, -5.0, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0])
# Penalty on squared changes of the slope: log odds per tenfold score.
PENALTY = 0.1
# Width of the bins that scores are counted in, in decimal logarithms.
_BIN = 0.02


@dataclasses.dataclass(frozen=True)
class RisingCurve:
    """Log odds as a function of the logarithm of a score.

    Attributes:
      log_odds: at each of `KNOTS`; they do not fall.
    """

    log_odds: tuple[float, ...]

    def __call__(self, scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Probabilities of scores between 0 and 1."""
        return special.expit(np.interp(_logs(scores), KNOTS, self.log_odds))

    def shifted(self, log_odds: float) -> RisingCurve:
        """The curve with all odds multiplied by a constant, given as its logarithm."""
        return RisingCurve(tuple(value + log_odds for value in self.log_odds))


def fit_rising_curve(
    scores: Float[np.ndarray, " pair"], is_right: Bool[np.ndarray, " pair"]
) -> RisingCurve:
    """The curve with the greatest penalised likelihood.

    Args:
      scores: between 0 and 1.
      is_right: whether each is right; some are and some are not.
    """
    place = np.rint((_logs(scores) - KNOTS[0]) / _BIN).astype(int)
    count = np.bincount(place).astype(float)
    right = np.bincount(place, is_right, minlength=len(count))
    logs = KNOTS[0] + _BIN * np.arange(len(count))
    # Column k: how far each score is on the way from knot k to the next.
    widths = np.diff(KNOTS)
    reached = np.clip((logs[:, None] - KNOTS[:-1]) / widths, 0.0, 1.0)
    basis = np.concatenate([np.ones((len(logs), 1)), reached * widths], axis=1)

    def loss(weights: Float[np.ndarray, " knot"]) -> tuple[float, Float[np.ndarray, " knot"]]:
        log_odds = basis @ weights
        change = np.diff(weights[1:])
        value = count @ np.logaddexp(0, log_odds) - right @ log_odds
        slope = basis.T @ (count * special.expit(log_odds) - right)
        slope[1:-1] -= PENALTY * change
        slope[2:] += PENALTY * change
        return float(value + 0.5 * PENALTY * change @ change), slope

    base = special.logit((is_right.sum() + 0.5) / (len(is_right) + 1.0))
    fitted = optimize.minimize(
        loss,
        x0=np.concatenate([[base - 1.0], np.ones(len(widths))]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None), *[(0.0, None)] * len(widths)],
        options={"ftol": 1e-13, "gtol": 1e-6, "maxiter": 5000, "maxfun": 10_000},
    ).x
    return RisingCurve(
        tuple(float(fitted[0] + rise) for rise in np.cumsum([0.0, *fitted[1:] * widths]))
    )


def _logs(scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.log10(np.clip(scores.astype(np.float64), 10.0 ** KNOTS[0], 1.0))
