"""Similarity measures of signatures for `SimilarityKnn`.

They compare signatures that are not standardised over the training set, as is usual in the field.
A gene that was not measured is 0 (no change) and in no gene set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from moa_jax.baselines.similarity.nearest_neighbours import cosine
from moa_jax.lincs.characteristic_direction import fit_background
from moa_jax.lincs.connectivity import extreme_sets
from moa_jax.lincs.extreme_scores import extreme_only, sscmap, xcos, xsum
from moa_jax.schemas import Examples

# XSum and XCos keep this many genes on each side of a reference (Wei 2022, of some 12,000 genes),
# but at most a quarter of all: 244 of 978 landmarks.
MAX_REFERENCE_GENES = 500


def zscores(examples: Examples) -> Float[np.ndarray, "example gene"]:
    """Signatures of the examples; 0 where a gene was not measured."""
    return np.where(examples.gene_mask, examples.expression, 0).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class CosineReferences:
    """References that are compared by the cosine similarity of features.

    Attributes:
      features: signatures -> features.
      references: features of the training examples.
    """

    features: Callable[[Float[np.ndarray, "example gene"]], Float[np.ndarray, "example feature"]]
    references: Float[np.ndarray, "reference feature"]

    def similarity(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        """Cosine to each reference."""
        return cosine(self.features(zscores(examples)), self.references)


@dataclasses.dataclass(frozen=True)
class Cosine:
    """Cosine similarity of the z-scores."""

    def fit(self, examples: Examples) -> CosineReferences:
        """Keeps the signatures."""
        return CosineReferences(np.asarray, zscores(examples))


@dataclasses.dataclass(frozen=True)
class Spearman:
    """Spearman correlation, with mean ranks for ties."""

    def fit(self, examples: Examples) -> CosineReferences:
        """Keeps the signatures' ranks."""
        return CosineReferences(_centred_ranks, _centred_ranks(zscores(examples)))


def _centred_ranks(
    signatures: Float[np.ndarray, "signature gene"],
) -> Float[np.ndarray, "signature gene"]:
    return rankdata(signatures, axis=1) - (signatures.shape[1] + 1) / 2


@dataclasses.dataclass(frozen=True)
class CharacteristicDirectionCosine:
    """Cosine similarity of characteristic directions.

    Level 5 has no replicates, so each direction is relative to the background of the training
    signatures (`Background`), not to the vehicle wells of its plate as in Clark 2014.

    Attributes:
      gamma: share of the measured covariance, in [0, 1).
    """

    gamma: float

    def fit(self, examples: Examples) -> CosineReferences:
        """Learns the background."""
        signatures = zscores(examples)
        background = fit_background(signatures, gamma=self.gamma)
        return CosineReferences(background.directions, background.directions(signatures))


@dataclasses.dataclass(frozen=True)
class ExtremeReferences:
    """References for the scores of `extreme_scores`.

    Attributes:
      score: a name of `SCORES`.
      set_size: highest and lowest genes of a query, each.
      measured: genes that were measured in training.
      references: training signatures; for XSum and XCos, their extreme genes alone.
    """

    score: str
    set_size: int
    measured: Bool[np.ndarray, " gene"]
    references: Float[np.ndarray, "reference gene"]

    def similarity(self, examples: Examples) -> Float[np.ndarray, "example reference"]:
        """The score of the examples' extreme genes with each reference."""
        queries = zscores(examples)
        up, down = extreme_sets(queries, self.set_size, measured=self.measured & examples.gene_mask)
        if self.score == "xsum":
            return xsum(up, down, self.references)
        score = {"xcos": xcos, "sscmap": sscmap}[self.score]
        return score(np.where(up | down, queries, 0.0), self.references)


@dataclasses.dataclass(frozen=True)
class ExtremeScore:
    """XSum, XCos or ssCMap.

    Attributes:
      score: `xsum`, `xcos` or `sscmap`.
      set_size: highest and lowest genes of a query, each.
    """

    score: str
    set_size: int

    def fit(self, examples: Examples) -> ExtremeReferences:
        """Keeps the signatures, for XSum and XCos their extreme genes alone."""
        references = zscores(examples)
        if self.score in ("xsum", "xcos"):
            num_kept = min(MAX_REFERENCE_GENES, max(1, references.shape[1] // 4))
            references = extreme_only(references, num_kept)
        return ExtremeReferences(self.score, self.set_size, examples.gene_mask, references)
