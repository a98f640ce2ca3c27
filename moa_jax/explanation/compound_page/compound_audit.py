"""The audit of one compound's explanation, from the attributions of its signatures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from moa_jax.explanation.attribution.modality_shares import MODALITIES
from moa_jax.explanation.audit.checks import (
    Check,
    completeness_check,
    deletion_areas,
    deletion_check,
    dependence_check,
    no_genes_check,
    relevance_check,
    stability_check,
)
from moa_jax.explanation.audit.stability import agreement_of_pairs, overlap_of_all_pairs
from moa_jax.explanation.compound_page.signature_attributions import SignatureAttributions
from moa_jax.schemas import Examples

# Largest number of first genes whose overlap measures stability.
NUM_FIRST_GENES = 50


def compound_checks(
    found: SignatureAttributions, own: Examples, rows: Int[np.ndarray, " signature"]
) -> tuple[Check, ...]:
    """The audit of one compound's explanation by genes.

    Args:
      found: attributions of many signatures.
      own: the compound's signatures, or its structure alone.
      rows: rows of their attributions.
    """
    return tuple(_checks(found, own, rows)) if own.has_expression.any() else (no_genes_check(),)


def _checks(
    found: SignatureAttributions, own: Examples, rows: Int[np.ndarray, " signature"]
) -> Iterator[Check]:
    shares = found.modalities[rows, 0].mean(axis=0).astype(np.float64)
    yield relevance_check(dict(zip(MODALITIES, shares.tolist(), strict=True)))
    yield completeness_check(found.gap[rows].astype(np.float64))
    areas = []
    for replacement, of_one in found.curves.items():
        curves = {name: curves.take(rows) for name, curves in of_one.items()}
        areas.append(deletion_areas(replacement, **curves))
    yield deletion_check(areas)
    contributions = found.genes[rows, 0]
    num_genes = contributions.shape[1]
    k = max(1, min(NUM_FIRST_GENES, num_genes // 4))
    change = np.where(own.gene_mask, own.expression, 0.0)
    yield stability_check(
        overlap_of_all_pairs(contributions, k=k),
        k=k,
        num_genes=num_genes,
        of_signatures=overlap_of_all_pairs(change, k=k, by_size=True),
    )
    compared = agreement_of_pairs(contributions, found.shuffled[rows], k=k).spearman
    known = compared[~np.isnan(compared)]
    yield dependence_check(float(known.mean()) if len(known) else float("nan"))
