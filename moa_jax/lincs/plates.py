"""Level 4 from level 3: robust z-scores within each plate (Subramanian 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from moa_jax.schemas import InputError

# The median absolute deviation of a normal distribution times this is its standard deviation.
MAD_TO_STD = 1.4826

# A smaller deviation is raised to this, so that a gene at the detection limit cannot explode.
MIN_MAD = 0.1

# Fewer reference wells have no spread to divide by.
MIN_REFERENCE_WELLS = 2


def robust_zscore(
    values: Float[np.ndarray, "profile gene"],
    *,
    plate: Sequence[str | None] | np.ndarray | pd.Series,
    control: Bool[np.ndarray, " profile"] | None = None,
) -> Float32[np.ndarray, "profile gene"]:
    """Robust z-score per plate and gene: (x - median) / (1.4826 * max(MAD, 0.1)).

    Args:
      values: level 3 expression, log2.
      plate: plate of each profile.
      control: which profiles are vehicle wells. Medians and deviations come from these wells of
        the plate (ZSVC); with None they come from all its wells (ZSPC).

    Raises:
      InputError: a profile has no plate, or a plate has fewer than two reference wells.
    """
    codes, plates = pd.factorize(np.asarray(plate, dtype=object))
    if len(codes) != len(values):
        raise InputError(f"{len(values)} profiles have {len(codes)} plate names.")
    if (codes < 0).any():
        raise InputError(f"profile {int(np.argmax(codes < 0)) + 1} has no plate to normalise by.")
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(plates) + 1))
    scores = np.empty(values.shape, dtype=np.float32)
    for name, start, end in zip(plates, ends[:-1], ends[1:], strict=True):
        wells = order[start:end]
        reference = wells if control is None else wells[control[wells]]
        if len(reference) < MIN_REFERENCE_WELLS:
            kind = "wells" if control is None else "vehicle wells"
            raise InputError(
                f"plate {name} has {len(reference)} {kind}; "
                f"at least {MIN_REFERENCE_WELLS} are needed for a z-score."
            )
        background = values[reference].astype(np.float64)
        median = np.median(background, axis=0)
        mad = np.median(np.abs(background - median), axis=0)
        scores[wells] = (values[wells] - median) / (MAD_TO_STD * np.maximum(mad, MIN_MAD))
    return scores
