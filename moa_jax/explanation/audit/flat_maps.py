"""Whether explanations of signatures without effect are flat.

A compound that did nothing to the cells leaves noise, and an explanation of noise should name no
gene: its contributions should be spread as evenly as those for the same signature with its values
shuffled among the genes, where no pattern is left by construction. An explanation that is as
pointed for weak signatures as for strong ones finds patterns in noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from moa_jax.data.examples.features import EncodedExamples
from moa_jax.evaluation.bootstrap import interval, resample_counts
from moa_jax.schemas import InputError

_NUM_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Contrast:
    """A difference of means over compounds, with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class FlatMaps:
    """Evenness of explanations of strong, weak and shuffled signatures, means over compounds.

    Attributes:
      strong: of signatures with an effect.
      weak: of signatures without.
      shuffled: of the weak signatures with their values shuffled among the genes.
      weak_minus_strong: above 0 where maps of weak signatures are flatter.
      weak_minus_shuffled: 0 where they are as flat as those of noise, paired by compound.
    """

    strong: float
    weak: float
    shuffled: float
    weak_minus_strong: Contrast
    weak_minus_shuffled: Contrast

    @property
    def are_flat(self) -> bool:
        """Whether maps of weak signatures are flatter than others, and as flat as those of noise.

        As flat: the interval of the difference reaches 0, or the difference is less than a tenth
        of that between noise and strong signatures.
        """
        gap = self.weak_minus_shuffled
        as_noise = gap.high >= 0 or -gap.estimate <= 0.1 * (self.shuffled - self.strong)
        return self.weak_minus_strong.low > 0 and as_noise


def evenness(contributions: Float[np.ndarray, "example gene"]) -> Float[np.ndarray, " example"]:
    """Entropy of the shares of the absolute contributions, over that of equal shares.

    From 0, where one gene has all, to 1, where all have the same (Pielou 1966); 1 without any
    contribution.
    """
    size = np.abs(contributions.astype(np.float64))
    total = size.sum(axis=1, keepdims=True)
    shares = np.divide(size, total, out=np.full(size.shape, 1 / size.shape[1]), where=total > 0)
    return special.entr(shares).sum(axis=1) / np.log(size.shape[1])


def with_shuffled_genes(examples: EncodedExamples, *, seed: int) -> EncodedExamples:
    """The examples with the values of each signature shuffled among its measured genes."""
    rng = np.random.default_rng(seed)
    expression = examples.expression.copy()
    measured = np.flatnonzero(examples.gene_mask)
    expression[:, measured] = rng.permuted(expression[:, measured], axis=1)
    return dataclasses.replace(examples, expression=expression)


def flat_maps(
    contributions: Float[np.ndarray, "example gene"],
    of_shuffled: Float[np.ndarray, "example gene"],
    is_weak: Bool[np.ndarray, " example"],
    is_strong: Bool[np.ndarray, " example"],
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> FlatMaps:
    """Compares explanations of signatures with and without effect.

    Args:
      contributions: of the measured genes.
      of_shuffled: the same for `with_shuffled_genes`, with the same scores.
      is_weak: signatures without effect, such as those of vehicle or with a low TAS.
      is_strong: signatures with an effect.
      groups: compound group of each example.
      seed: seed of the resamples, which draw compounds.

    Raises:
      InputError: there is no weak or no strong signature.
    """
    if not is_weak.any() or not is_strong.any():
        raise InputError(
            f"there are {int(is_weak.sum())} signatures without effect and "
            f"{int(is_strong.sum())} with one; the comparison needs both."
        )
    names, unit = np.unique(np.asarray(groups, str), return_inverse=True)
    own, shuffled = evenness(contributions), evenness(of_shuffled)
    counts = resample_counts(len(names), num_resamples=_NUM_RESAMPLES, seed=seed)

    def resampled(
        values: Float[np.ndarray, " example"], rows: Bool[np.ndarray, " example"]
    ) -> Float[np.ndarray, " resample"]:
        """Mean over the compounds with such signatures, in each resample."""
        number = np.bincount(unit[rows], minlength=len(names))
        total = np.bincount(unit[rows], values[rows], minlength=len(names))
        present = np.flatnonzero(number)
        weights = counts[:, present].astype(np.float64)
        weighted = weights @ (total[present] / number[present])
        sums = weights.sum(axis=1)
        return np.divide(weighted, sums, out=np.full(len(sums), np.nan), where=sums > 0)

    strong, weak = resampled(own, is_strong), resampled(own, is_weak)
    noise = resampled(shuffled, is_weak)
    return FlatMaps(
        strong=float(strong[0]),
        weak=float(weak[0]),
        shuffled=float(noise[0]),
        weak_minus_strong=_contrast(weak - strong),
        weak_minus_shuffled=_contrast(weak - noise),
    )


def _contrast(samples: Float[np.ndarray, " resample"]) -> Contrast:
    return Contrast(float(samples[0]), *interval(samples[1:]))
