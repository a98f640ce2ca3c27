"""Model-guided augmentation: noisy signatures are trained on if a model predicts them well.

DeepCE (Pham 2021, section "Data augmentation") trains on reliable signatures, predicts the others
from structure, cell line and dose, and keeps those that correlate with their prediction.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from experiments.pretraining.profile_correlation import pearson_by_signature
from moa_jax.schemas import Examples


def is_reliable(examples: Examples, *, min_cc_q75: float) -> Bool[np.ndarray, " example"]:
    """Signatures whose `cc_q75` is at least `min_cc_q75`, or unknown."""
    agreement = examples.table["cc_q75"].to_numpy(np.float64, na_value=np.nan)
    return examples.has_expression & ~(agreement < min_cc_q75)


def well_predicted(
    predicted: Float[np.ndarray, "example gene"], examples: Examples, *, min_pearson: float
) -> Bool[np.ndarray, " example"]:
    """Signatures that are predicted with a Pearson correlation above `min_pearson`.

    A constant prediction or signature counts as badly predicted.
    """
    correlation = pearson_by_signature(predicted, examples.expression, examples.gene_mask)
    return examples.has_expression & (np.nan_to_num(correlation, nan=-1.0) > min_pearson)
