"""Integrated gradients along a path that moves the least sensitive entries first."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from moa_jax.explanation.gradients import Method
from moa_jax.explanation.scores import Outputs


@dataclasses.dataclass(frozen=True)
class GuidedIntegratedGradients(Method):
    """Guided integrated gradients (Kapishnikov 2021, algorithm 1, without anchors).

    Every step spends the same share of the distance between baseline and input. It moves the
    entries with the smallest gradients, each once and all the way, until the share is spent; the
    last one moves as far as is left. The gradient of a move is taken at its middle. The path
    begins at the mean of the baselines, so there should be one.

    Attributes:
      num_steps: steps of the path; each takes two gradients.
    """

    num_steps: int = 64

    def num_points(self, num_baselines: int) -> int:
        """Number of gradients that are taken per example and at once."""
        del num_baselines
        return 1

    def __call__(
        self,
        outputs: Outputs,
        inputs: Float[Array, "example feature"],
        baselines: Float[Array, "example baseline feature"],
        directions: Float[Array, "example target moa"],
        *,
        keys: Array,
        block: int = 64,
    ) -> Float[Array, "example target feature"]:
        """See `gradients.Method.__call__`; every target has a path of its own."""
        del keys, block
        start = baselines.mean(axis=1)
        share = jnp.abs(inputs - start).sum(axis=1, keepdims=True) / self.num_steps

        def slope(point: Array, direction: Array) -> Array:
            return jax.grad(lambda point: jnp.sum(outputs(point) * direction))(point)

        def of_target(direction: Float[Array, "example moa"]) -> Float[Array, "example feature"]:
            def walk(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
                point, total = carry
                move = _cheapest_move(jnp.abs(slope(point, direction)), inputs - point, share)
                total = total + slope(point + move / 2, direction) * move
                return (point + move, total), None

            (_, total), _ = jax.lax.scan(
                walk, (start, jnp.zeros_like(inputs)), None, length=self.num_steps
            )
            return total

        return jax.lax.map(of_target, jnp.swapaxes(directions, 0, 1)).swapaxes(0, 1)


def _cheapest_move(
    sensitivity: Float[Array, "example feature"],
    way: Float[Array, "example feature"],
    share: Float[Array, "example 1"],
) -> Float[Array, "example feature"]:
    """Moves along `way`, least sensitive first, of total length `share`."""
    length = jnp.abs(way)
    # Entries that have arrived come last, where they cost nothing.
    order = jnp.argsort(jnp.where(length > 0, sensitivity, jnp.inf), axis=1)
    ordered = jnp.take_along_axis(length, order, axis=1)
    before = jnp.cumsum(ordered, axis=1) - ordered
    part = jnp.clip((share - before) / jnp.where(ordered > 0, ordered, 1.0), 0.0, 1.0)
    back = jnp.argsort(order, axis=1)
    return way * jnp.take_along_axis(part, back, axis=1)
