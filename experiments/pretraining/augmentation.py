"""Model-guided augmentation: noisy signatures join the training where a model vouches for them.

DeepCE (Pham 2021, section "Data augmentation") trains on reliable signatures, predicts the others
from structure, cell line and dose, and keeps those whose prediction correlates with what was
measured.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.evaluation.profile_correlation import pearson_by_signature
from moa_jax.schemas import Examples


def is_reliable(examples: Examples, *, min_cc_q75: float) -> Bool[np.ndarray, " example"]:
    """Signatures whose replicates agree: `cc_q75` is at least `min_cc_q75`.

    Where no agreement is told a signature counts as reliable.
    """
    agreement = examples.table["cc_q75"].to_numpy(np.float64, na_value=np.nan)
    return examples.has_expression & ~(agreement < min_cc_q75)


def well_predicted(
    predicted: Float[np.ndarray, "example gene"], examples: Examples, *, min_pearson: float
) -> Bool[np.ndarray, " example"]:
    """Signatures that are predicted with a Pearson correlation above `min_pearson`.

    A prediction or a signature that is constant vouches for nothing.
    """
    correlation = pearson_by_signature(predicted, examples.expression, examples.gene_mask)
    return examples.has_expression & (np.nan_to_num(correlation, nan=-1.0) > min_pearson)
