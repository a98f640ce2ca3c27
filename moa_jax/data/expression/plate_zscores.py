"""Level 4 from level 3, relative to a plate's vehicle wells or all of its wells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.expression.option_names import OptionNames
from moa_jax.lincs.metadata.pert_types import VEHICLE_PERT_TYPE, vehicles
from moa_jax.lincs.metadata.releases import ALIASES
from moa_jax.lincs.plates import MIN_REFERENCE_WELLS, plates_and_lines, robust_zscore
from moa_jax.schemas import InputError

POPULATION, VEHICLE = REFERENCES = ("population", "vehicle")


def check_plates(wells: pd.DataFrame, source: str) -> None:
    """Refuses wells without plate.

    Args:
      wells: output of `harmonise_instinfo`.
      source: name of their table in messages.
    """
    nameless = wells["plate"].isna()
    if nameless.any():
        raise InputError(
            f"{source} has no plate ({', '.join(ALIASES['plate'][:3])}) for the well "
            f"{wells['inst_id'][nameless].iloc[0]}; level 3 is normalised by plate."
        )


def check_vehicles(wells: pd.DataFrame, source: str, options: OptionNames) -> None:
    """Refuses plates, and cell lines on plates, without enough vehicle wells.

    Args:
      wells: output of `harmonise_instinfo` for whole plates.
      source: name of their table in messages.
      options: option names in messages.
    """
    instead = f"{options.zscore_reference}={POPULATION} uses all wells of the plate"
    vehicle = vehicles(wells["pert_type"])
    if not vehicle.any():
        raise InputError(
            f"{source} marks no vehicle well ({VEHICLE_PERT_TYPE} as pert_type, or a name such as "
            f"DMSO); {instead} instead."
        )
    codes, names = plates_and_lines(wells["plate"].to_numpy(object), wells["cell_line"])
    num_wells = np.bincount(codes)
    num_vehicles = np.bincount(codes[vehicle], minlength=len(names))
    few = np.flatnonzero(num_vehicles < MIN_REFERENCE_WELLS)
    if len(few):
        fits = (num_wells >= MIN_REFERENCE_WELLS).all()
        more = f", one of {len(few)} that lack them" if len(few) > 1 else ""
        raise InputError(
            f"plate {names[few[0]]} has {num_vehicles[few[0]]} vehicle wells in {source}{more}; at "
            f"least {MIN_REFERENCE_WELLS} are needed for a z-score"
            + (f"; {instead} instead." if fits else ".")
        )


def zscores_of_plates(
    values: Float32[np.ndarray, "profile gene"], wells: pd.DataFrame, reference: str
) -> Float32[np.ndarray, "profile gene"]:
    """Robust z-scores of wells against the reference of their plate and cell line.

    Args:
      values: log2 expression.
      wells: output of `harmonise_instinfo`, row by row with `values`, for whole plates.
      reference: one of `REFERENCES`.

    Raises:
      InputError: see `lincs.plates.robust_zscore`.
    """
    return robust_zscore(
        values,
        plate=wells["plate"],
        cell_line=wells["cell_line"],
        control=vehicles(wells["pert_type"]) if reference == VEHICLE else None,
    )
