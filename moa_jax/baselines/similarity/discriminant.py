"""Similarity by linear discriminant analysis, after DrSim (Wei 2022)."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from moa_jax.baselines.similarity.measures import CosineReferences, zscores
from moa_jax.data.examples.labels import strata
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class DiscriminantCosine:
    """Cosine similarity in the space of a linear discriminant analysis of the MoAs.

    Principal components are computed first, since an MoA has fewer signatures than there are genes.
    The class of a signature is its stratum. DrSim scores a query by its median similarity to the
    references of a class; here its nearest compounds vote, as for every other measure.

    Attributes:
      num_components: number of principal components, fewer if there are fewer signatures or genes.
    """

    num_components: int

    def fit(self, examples: Examples) -> CosineReferences:
        """Fits the space; if there are too few classes, all similarities are equal."""
        signatures, classes = zscores(examples), strata(examples)
        num_classes = len(np.unique(classes))
        if not 2 <= num_classes < len(classes):
            return CosineReferences(_nowhere, _nowhere(signatures))
        # With as many components as signatures, the last would be 0 after centring.
        num_components = min(self.num_components, len(signatures) - 1, signatures.shape[1])
        space = make_pipeline(PCA(num_components, svd_solver="full"), LinearDiscriminantAnalysis())
        with threadpool_limits(limits=1, user_api="blas"):
            space.fit(signatures, classes)
        return CosineReferences(_Projection(space), _Projection(space)(signatures))


@dataclasses.dataclass(frozen=True)
class _Projection:
    """Projection into the discriminant space."""

    space: Pipeline

    def __call__(
        self, signatures: Float[np.ndarray, "signature gene"]
    ) -> Float[np.ndarray, "signature discriminant"]:
        return self.space.transform(signatures)


def _nowhere(
    signatures: Float[np.ndarray, "signature gene"],
) -> Float[np.ndarray, "signature discriminant"]:
    return np.zeros((len(signatures), 1))
