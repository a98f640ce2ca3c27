"""Characteristic direction of differential expression (Clark 2014).

b ~ V (g S + (1 - g) s I)^-1 V^T (mu1 - mu0), of unit length: the difference of the means, rotated
away from directions of large variance within groups. The columns of V are principal components, S
is the covariance within groups in their coordinates, s its mean variance, and g shrinks S
towards s I.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float64

# Clark 2014's shrinkage.
GAMMA = 0.5

# Components with a smaller share of the largest singular value vary by rounding only.
_RELATIVE_RANK = 1e-10


@dataclasses.dataclass(frozen=True)
class Background:
    """Mean and covariance of signatures, to which each signature is compared.

    A level 5 signature has no replicates: it is used as its own mean, and the covariance of many
    signatures replaces that within groups.

    Attributes:
      mean: mean signature.
      components: principal components of the signatures.
      covariance: g S + (1 - g) s I in their coordinates.
    """

    mean: Float64[np.ndarray, " gene"]
    components: Float64[np.ndarray, "gene component"]
    covariance: Float64[np.ndarray, "component component"]

    def directions(
        self, signatures: Float[np.ndarray, "signature gene"]
    ) -> Float64[np.ndarray, "signature gene"]:
        """Characteristic direction of each signature; zeros for one equal to the mean."""
        differences = (signatures - self.mean) @ self.components
        return _unit(np.linalg.solve(self.covariance, differences.T).T @ self.components.T)


def fit_background(
    signatures: Float[np.ndarray, "signature gene"], *, gamma: float = GAMMA
) -> Background:
    """Estimates mean and covariance from at least two signatures.

    Args:
      signatures: the background.
      gamma: weight of the sample covariance, in [0, 1), against equal variances.
    """
    mean = signatures.mean(axis=0, dtype=np.float64)
    within = signatures - mean
    components = _components(within)
    coordinates = within @ components
    covariance = coordinates.T @ coordinates / (len(within) - 1)
    return Background(mean, components, _shrunk(covariance, gamma))


def _components(
    rows: Float64[np.ndarray, "row gene"],
) -> Float64[np.ndarray, "gene component"]:
    """Orthonormal basis of the rows, in order of decreasing variance."""
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    return basis[singular > _RELATIVE_RANK * singular.max(initial=0)].T


def _shrunk(
    covariance: Float64[np.ndarray, "component component"], gamma: float
) -> Float64[np.ndarray, "component component"]:
    size = len(covariance)
    mean_variance = np.trace(covariance) / max(size, 1)
    return gamma * covariance + (1 - gamma) * mean_variance * np.eye(size)


def _unit(rows: Float64[np.ndarray, "row gene"]) -> Float64[np.ndarray, "row gene"]:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)
