"""Gradient attributions for any function whose rows are independent, and for several scores.

A method is called with the function, an input, baselines and the directions of the scores, and
returns the contribution of every entry of the input to every score. Methods are hashable, so that a
compiled step can be cached for each. Where contributions should sum to `F(input) - F(baseline)`
(completeness: Sundararajan 2017, proposition 1), `baseline_weights` are the weights of the mean
over baselines.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from moa_jax.explanation.attribution.affine_paths import gradients_along_path
from moa_jax.explanation.attribution.target import Outputs

# Step of a low-discrepancy sequence in [0, 1): the fraction of the golden ratio.
_GOLDEN = (5**0.5 - 1) / 2


def gradients(
    outputs: Outputs,
    inputs: Float[Array, "row *feature"],
    directions: Float[Array, "example target moa"],
) -> Float[Array, "row target *feature"]:
    """Gradient of every score with respect to its example's input."""
    _, pullback = jax.vjp(outputs, inputs)
    (found,) = jax.vmap(pullback, in_axes=1, out_axes=1)(directions)
    return found


# Index of a point -> the point and the step that its gradient is multiplied by.
PointAt = Callable[
    [Int[Array, ""]], tuple[Float[Array, "row *feature"], Float[Array, "row *feature"]]
]


def weighted_gradients(
    outputs: Outputs,
    directions: Float[Array, "example target moa"],
    point_at: PointAt,
    num_points: int,
    block: int,
) -> Float[Array, "row target *feature"]:
    """Sum over points of gradient times step, `block` points at once."""

    def at(index: Int[Array, ""]) -> Float[Array, "row target *feature"]:
        point, step = point_at(index)
        return gradients(outputs, point, directions) * jnp.expand_dims(step, 1)

    return _sum_of_terms(at, num_points, block)


def _sum_of_terms(
    term: Callable[[Int[Array, ""]], Float[Array, "..."]], count: int, block: int
) -> Float[Array, "..."]:
    """Sum of what `term` returns for each index below `count`, `block` indices at once."""

    def at(index: Int[Array, ""]) -> Float[Array, "..."]:
        return jnp.where(index < count, term(jnp.minimum(index, count - 1)), 0.0)

    block = min(block, count)
    blocks = jnp.arange(-(-count // block) * block).reshape(-1, block)
    shape = jax.eval_shape(at, blocks[0, 0])
    total, _ = jax.lax.scan(
        lambda total, indices: (total + jax.vmap(at)(indices).sum(axis=0), None),
        jnp.zeros(shape.shape, shape.dtype),
        blocks,
    )
    return total


def gauss_legendre(
    num_steps: int,
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Points in [0, 1] and weights that sum to 1, for an integral over [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(num_steps)
    return (points + 1) / 2, weights / 2


@dataclasses.dataclass(frozen=True)
class Method(abc.ABC):
    """Attributes scores to the entries of an input."""

    @abc.abstractmethod
    def num_points(self, num_baselines: int) -> int:
        """Number of points per example that may be evaluated at once."""

    @abc.abstractmethod
    def __call__(
        self,
        outputs: Outputs,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        directions: Float[Array, "example target moa"],
        *,
        keys: Array,
        block: int = 64,
    ) -> Float[Array, "row target *feature"]:
        """Contributions of every entry of the input to every score.

        Args:
          outputs: the function; row b of its result depends only on row b of the input.
          inputs: the input.
          baselines: what it is compared with, one or several per row.
          directions: the scores as weights of the outputs.
          keys: one random key per row.
          block: points that are evaluated at once; bounds the memory.
        """

    def baseline_weights(self, num_baselines: int) -> Float[np.ndarray, " baseline"]:
        """Weight of each baseline in the score from which contributions are counted."""
        return np.full(num_baselines, 1 / num_baselines, np.float32)


@dataclasses.dataclass(frozen=True)
class GradientMethod(Method):
    """A method that sums gradients at `num_samples` points that are known beforehand."""

    num_samples = 1

    def num_points(self, num_baselines: int) -> int:
        """See `Method.num_points`."""
        del num_baselines
        return self.num_samples

    @abc.abstractmethod
    def point_at(
        self,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        keys: Array,
    ) -> PointAt:
        """The points; `keys` holds one random key per row."""

    def __call__(
        self,
        outputs: Outputs,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        directions: Float[Array, "example target moa"],
        *,
        keys: Array,
        block: int = 64,
    ) -> Float[Array, "row target *feature"]:
        """See `Method.__call__`."""
        point_at = self.point_at(inputs, baselines, keys)
        return weighted_gradients(outputs, directions, point_at, self.num_samples, block)


@dataclasses.dataclass(frozen=True)
class IntegratedGradients(Method):
    """Integral of the gradient along straight lines from the baselines (Sundararajan 2017, eq. 1).

    Mean over the baselines, by Gauss-Legendre quadrature, which is exact for polynomials of degree
    up to `2 num_steps - 1`.

    Attributes:
      num_steps: gradients per line.
    """

    num_steps: int = 64

    def num_points(self, num_baselines: int) -> int:
        """See `Method.num_points`: one per baseline."""
        return num_baselines

    def __call__(
        self,
        outputs: Outputs,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        directions: Float[Array, "example target moa"],
        *,
        keys: Array,
        block: int = 64,
    ) -> Float[Array, "row target *feature"]:
        """See `Method.__call__`."""
        del keys
        places, weights = map(jnp.float32, gauss_legendre(self.num_steps))
        changes = inputs[:, None] - baselines

        def of_line(line: Int[Array, ""]) -> Float[Array, "row target *feature"]:
            path = baselines[:, line], changes[:, line]
            found = gradients_along_path(
                outputs, path, places, weights, jnp.swapaxes(directions, 0, 1)
            )
            return jnp.swapaxes(found, 0, 1) * jnp.expand_dims(path[1], 1)

        num_lines = baselines.shape[1]
        return _sum_of_terms(of_line, num_lines, block) / num_lines


@dataclasses.dataclass(frozen=True)
class ExpectedGradients(GradientMethod):
    """Mean over baselines and over random places on the line to each (Erion 2021, eq. 3).

    Baselines are taken in turn, and places follow a low-discrepancy sequence with a random start,
    which lowers the variance and leaves the expectation unchanged.

    Attributes:
      num_samples: gradients per example.
    """

    num_samples: int = 64

    def point_at(
        self,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        keys: Array,
    ) -> PointAt:
        """See `GradientMethod.point_at`."""
        num_baselines = baselines.shape[1]
        starts = jax.vmap(jax.random.uniform)(keys)
        shape = (-1, *[1] * (inputs.ndim - 1))

        def at(index: Int[Array, ""]) -> tuple[Array, Array]:
            turn, which = index // num_baselines, index % num_baselines
            # Each baseline gets the whole sequence, not every n-th place of it.
            places = (starts + turn * _GOLDEN + which / num_baselines) % 1.0
            length = inputs - baselines[:, which]
            point = baselines[:, which] + places.reshape(shape) * length
            return point, length / self.num_samples

        return at

    def baseline_weights(self, num_baselines: int) -> Float[np.ndarray, " baseline"]:
        """See `Method.baseline_weights`."""
        turns = np.bincount(np.arange(self.num_samples) % num_baselines, minlength=num_baselines)
        return (turns / self.num_samples).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class InputXGradient(GradientMethod):
    """Difference from the baseline times the gradient at the input (Shrikumar 2016)."""

    def point_at(
        self,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        keys: Array,
    ) -> PointAt:
        """See `GradientMethod.point_at`."""
        del keys
        return lambda index: (inputs, inputs - baselines.mean(axis=1))


@dataclasses.dataclass(frozen=True)
class SmoothGrad(GradientMethod):
    """Mean gradient under noise (Smilkov 2017, section 2), times the difference from the baseline.

    Attributes:
      num_samples: gradients per example.
      noise: standard deviation of the noise, in units of the input.
    """

    num_samples: int = 32
    noise: float = 0.5

    def point_at(
        self,
        inputs: Float[Array, "row *feature"],
        baselines: Float[Array, "row baseline *feature"],
        keys: Array,
    ) -> PointAt:
        """See `GradientMethod.point_at`."""
        step = (inputs - baselines.mean(axis=1)) / self.num_samples
        return lambda index: (inputs + self.noise * _noise(keys, index, inputs), step)


def _noise(
    keys: Array, index: Int[Array, ""], inputs: Float[Array, "row *feature"]
) -> Float[Array, "row *feature"]:
    """Normal draws that depend only on the example's key and the index."""
    return jax.vmap(
        lambda key: jax.random.normal(jax.random.fold_in(key, index), inputs.shape[1:])
    )(keys)
