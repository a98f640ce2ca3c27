"""Where between baseline and input gradients are taken, and what each of them weighs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from moa_jax.schemas import InputError

QUADRATURES = ("left", "right", "midpoint", "trapezoid", "gauss_legendre")


def quadrature(
    name: str, num_steps: int
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Points in [0, 1] and weights that sum to 1, for an integral over [0, 1].

    Riemann sums with `num_steps` intervals (left, right, midpoint); the trapezoid rule, whose
    points are the `num_steps` ends of intervals; Gauss and Legendre's rule, exact for
    polynomials of degree up to `2 num_steps - 1`.

    Raises:
      InputError: there is no such rule, or it has too few steps.
    """
    least = 2 if name == "trapezoid" else 1
    if name not in QUADRATURES or num_steps < least:
        raise InputError(
            f"the quadrature is {name!r} with {num_steps} steps; expected one of "
            f"{', '.join(QUADRATURES)} with at least {least}."
        )
    if name == "gauss_legendre":
        points, weights = np.polynomial.legendre.leggauss(num_steps)
        return (points + 1) / 2, weights / 2
    if name == "trapezoid":
        weights = np.full(num_steps, 1 / (num_steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, num_steps), weights
    offset = {"left": 0.0, "midpoint": 0.5, "right": 1.0}[name]
    return (np.arange(num_steps) + offset) / num_steps, np.full(num_steps, 1 / num_steps)
