"""Fills in removed genes from those that are left, so that no replacement gives them away.

A gene that is set to a constant looks like no gene of a real signature, and a model's answer to
that says little of what it uses. ROAD (Rong 2022, section 4) replaces a pixel by a weighted mean
of its neighbours, which are removed in part themselves, by solving one linear system. The
neighbours of a gene are the genes that it is correlated with: the system of all their linear
regressions on each other is that of a Gaussian's conditional mean.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class Imputer:
    """Mean and precision matrix of genes over signatures.

    Attributes:
      mean: mean of each gene.
      precision: inverse of their covariance.
    """

    mean: Float[Array | np.ndarray, " gene"]
    precision: Float[Array | np.ndarray, "gene gene"]


jax.tree_util.register_dataclass(Imputer, data_fields=["mean", "precision"], meta_fields=[])


def fit_imputer(
    expression: Float[np.ndarray, "signature gene"], *, shrinkage: float = 0.1
) -> Imputer:
    """Fits the imputer to (training) signatures.

    Args:
      expression: signatures, in the units in which genes will be imputed.
      shrinkage: share of the covariance that is replaced by its diagonal (Ledoit and Wolf 2004
        in its simplest form), in (0, 1]; without it fewer signatures than genes have no inverse.

    Raises:
      InputError: there are fewer than two signatures, or the shrinkage is out of range.
    """
    if len(expression) < 2 or not 0 < shrinkage <= 1:
        raise InputError(
            f"the imputer got {len(expression)} signatures and shrinkage {shrinkage}; expected "
            "two or more, and a number in (0, 1]."
        )
    values = expression.astype(np.float64)
    covariance = np.cov(values, rowvar=False).reshape(values.shape[1], -1)
    # A gene that never varies is told by nothing and tells nothing.
    variance = np.maximum(np.diag(covariance), 1e-6)
    covariance = (1 - shrinkage) * covariance
    np.fill_diagonal(covariance, variance)
    precision = np.linalg.inv(covariance)
    return Imputer(values.mean(axis=0).astype(np.float32), precision.astype(np.float32))


def impute(
    imputer: Imputer,
    expression: Float[Array, "example gene"],
    unknown: Bool[Array, "example gene"],
) -> Float[Array, "example gene"]:
    """Signatures whose unknown genes have their expected value given the known ones.

    For the unknown genes u and the known ones k, `mean_u - P_uu^-1 P_uk (x_k - mean_k)` with the
    precision matrix P (Eaton 1983). One linear system per example, after another.
    """

    def of_example(one: tuple[Array, Array]) -> Float[Array, " gene"]:
        values, gone = one
        known = jnp.where(gone, 0.0, values - imputer.mean)
        pairs = gone[:, None] & gone[None, :]
        system = jnp.where(pairs, imputer.precision, jnp.eye(len(values)))
        told = -jnp.matmul(imputer.precision, known, precision="highest")
        solution = jax.scipy.linalg.solve(system, jnp.where(gone, told, 0.0), assume_a="pos")
        return jnp.where(gone, imputer.mean + solution, values)

    return jax.lax.map(of_example, (expression, unknown))
