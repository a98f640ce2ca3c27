"""Whether explanations of signatures without effect are flat, on the folds of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.explanation_audit.faithful import ROUGH_STEPS
from experiments.explanation_audit.folds import ScoredSignatures
from moa_jax.data.examples.pooling import signature_strength
from moa_jax.explanation.attribution.chunked_attribution import attribute
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.audit.flat_maps import Contrast, FlatMaps, flat_maps, with_shuffled_genes
from moa_jax.schemas import Examples

# Signatures with the lowest and the highest strength of a fold that are compared.
SHARE = 0.25


def strength_of(examples: Examples) -> Float[np.ndarray, " example"]:
    """Transcriptional activity scores or, if any is unknown, root mean square z-scores."""
    tas = examples.table["tas"].to_numpy(float)
    return signature_strength(examples) if np.isnan(tas).any() else tas


def flat_maps_of_folds(
    folds: Sequence[ScoredSignatures],
    values: Sequence[Float[np.ndarray, "example 1 gene"]],
    *,
    seed: int,
) -> FlatMaps:
    """Explanations of the weakest and the strongest signatures, and of shuffled weak ones.

    The score is the same for a signature and its shuffled copy: the answer for its compound.

    Args:
      folds: test signatures of each fold.
      values: their integrated gradients.
      seed: seed of the shuffles and resamples.
    """
    maps, shuffled, weak, strong, groups = [], [], [], [], []
    for scored, own in zip(folds, values, strict=True):
        strength, measured = strength_of(scored.examples), scored.examples.gene_mask
        low, high = np.quantile(strength, [SHARE, 1 - SHARE])
        rows = np.flatnonzero(strength <= low)
        weakest = scored.take(rows)
        of_shuffled = np.zeros_like(own[:, 0])
        of_shuffled[rows] = attribute(
            weakest.predictor,
            with_shuffled_genes(weakest.encoded, seed=seed),
            weakest.attribution_target,
            weakest.directions,
            IntegratedGradients(ROUGH_STEPS),
            baselines=weakest.zero,
        ).values[:, 0]
        maps.append(own[:, 0, measured])
        shuffled.append(of_shuffled[:, measured])
        weak.append(strength <= low)
        strong.append((strength >= high) & (strength > low))
        groups += scored.examples.groups
    parts = map(np.concatenate, (maps, shuffled, weak, strong))
    return flat_maps(*parts, groups, seed=seed)


def flat_rows(found: FlatMaps) -> list[dict[str, Any]]:
    """The comparison as rows of a table."""
    return [
        {
            "evenness, strongest quarter": round(found.strong, 3),
            "weakest quarter": round(found.weak, 3),
            "weakest, genes shuffled": round(found.shuffled, 3),
            "weakest - strongest": _interval(found.weak_minus_strong),
            "weakest - shuffled": _interval(found.weak_minus_shuffled),
            "flat": "yes" if found.are_flat else "no",
        }
    ]


def _interval(contrast: Contrast) -> str:
    return f"{contrast.estimate:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}]"
