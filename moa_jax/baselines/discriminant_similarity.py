"""Similarity learned from labels, in the style of DrSim (Wei 2022)."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from moa_jax.baselines.similarity_measures import CosineReferences, zscores
from moa_jax.data.labels import strata
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class DiscriminantCosine:
    """Cosine in the space in which linear discriminant analysis tells the MoAs apart.

    Principal components are taken first, since there are fewer signatures of an MoA than genes.
    The class of a signature is its stratum. DrSim scores a query by its median similarity to the
    references of a class; here its nearest compounds vote, as for every other measure.

    Attributes:
      num_components: principal components, fewer where there are fewer signatures or genes.
    """

    num_components: int

    def fit(self, examples: Examples) -> CosineReferences:
        """Learns the space; where there is nothing to tell apart, all are equally similar."""
        signatures, classes = zscores(examples), strata(examples)
        num_classes = len(np.unique(classes))
        if not 2 <= num_classes < len(classes):
            return CosineReferences(_nowhere, _nowhere(signatures))
        # The last of as many components as signatures is 0 once they are centred.
        num_components = min(self.num_components, len(signatures) - 1, signatures.shape[1])
        space = make_pipeline(PCA(num_components, svd_solver="full"), LinearDiscriminantAnalysis())
        with threadpool_limits(limits=1, user_api="blas"):
            space.fit(signatures, classes)
        return CosineReferences(_Projection(space), _Projection(space)(signatures))


@dataclasses.dataclass(frozen=True)
class _Projection:
    """Into the space of discriminants."""

    space: Pipeline

    def __call__(
        self, signatures: Float[np.ndarray, "signature gene"]
    ) -> Float[np.ndarray, "signature discriminant"]:
        return self.space.transform(signatures)


def _nowhere(
    signatures: Float[np.ndarray, "signature gene"],
) -> Float[np.ndarray, "signature discriminant"]:
    return np.zeros((len(signatures), 1))
