"""A user's wells made into signatures: level 3 or 4 to level 5, as a release is prepared."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.expression.level_and_scale import check_scale_name
from moa_jax.data.expression.option_names import OptionNames
from moa_jax.data.expression.plate_zscores import (
    POPULATION,
    REFERENCES,
    VEHICLE,
    check_plates,
    check_vehicles,
)
from moa_jax.data.expression.well_signatures import Wells
from moa_jax.data.preparation.settings import LEVELS
from moa_jax.lincs.metadata.pert_types import controls, vehicles
from moa_jax.lincs.metadata.releases import AMOUNT_TEXTS
from moa_jax.lincs.replicates import signature_ids
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError


@dataclasses.dataclass(frozen=True)
class PlateSettings:
    """How a user's matrix is to be read.

    Attributes:
      level: 3 (log2 expression of wells), 4 (z-scores of wells) or 5 (signatures); None to take
        it from the file.
      zscore_reference: what level 3 is compared with: `vehicle`, the plate's vehicle wells, or
        `population`, all its wells.
      scale: what the numbers are, one of `level_evidence.SCALES`; None to take it from them.
      keep_controls: at level 5, keep vehicles and other controls, for comparisons of the wells
        themselves; else they are left out and get no answer.
    """

    level: int | None = None
    zscore_reference: str = VEHICLE
    scale: str | None = None
    keep_controls: bool = False

    def __post_init__(self) -> None:
        if self.level not in (None, *LEVELS):
            raise InputError(f"the level is {self.level}; it must be one of 3, 4 and 5.")
        if self.zscore_reference not in REFERENCES:
            raise InputError(
                f"the reference of z-scores is {self.zscore_reference!r}; it must be {VEHICLE} or "
                f"{POPULATION}."
            )
        check_scale_name(self.scale, OptionNames())

    @classmethod
    def of_options(cls, level: str, zscore_reference: str, scale: str = "") -> PlateSettings:
        """Settings from a program's options; `--level` and `--scale` are empty where not given.

        Raises:
          InputError: one of them is not what it can be.
        """
        if level and not level.isdecimal():
            raise InputError(f"--level={level} is not a whole number.")
        return cls(int(level) if level else None, zscore_reference, scale or None)


def signatures_of_wells(
    values: Float32[np.ndarray, "profile gene"],
    instances: pd.DataFrame,
    settings: PlateSettings,
    source: str,
) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, dict[str, Any]]:
    """Signatures of a user's wells.

    At level 3 wells become robust z-scores against the reference of their plate and cell line.
    Replicates, grouped by sig_id or else by perturbation, cell line, dose, time and batch, become
    one signature (MODZ).
    Wells of controls, and wells that the metadata mark as failed, make none; failed ones are no
    reference either. A well without pert_id is a compound of its own.

    Args:
      values: what was measured, over the model's genes.
      instances: what `harmonise_instinfo` returns, row by row with `values`.
      settings: `level` 3 or 4, the reference, and the scale of `values`.
      source: what to call the metadata in messages.

    Returns:
      Signatures; `SIGNATURE_COLUMNS` and `AMOUNT_TEXTS`; and counts of wells, as JSON values.

    Raises:
      InputError: level 3 has a well without plate, or a plate or cell line on it without enough
        vehicle wells; no well is left; or wells cannot be grouped.
    """
    num_wells = len(instances)
    passed = instances["qc_pass"].fillna(True).to_numpy(bool)
    values, instances = values[passed], instances[passed].reset_index(drop=True)
    vehicle = vehicles(instances["pert_type"])
    if settings.level == 3:
        check_plates(instances, source)
        if settings.zscore_reference == VEHICLE:
            check_vehicles(instances, source, OptionNames())
    treated = ~controls(instances["pert_type"])
    if not treated.any():
        raise InputError(
            f"{source} has no well of a compound: of {num_wells} wells, {(~passed).sum()} "
            f"failed quality control and {len(instances)} are controls."
        )
    wells = instances[treated].reset_index(drop=True)
    wells["pert_id"] = wells["pert_id"].fillna(wells["inst_id"])
    wells["sig_id"] = signature_ids(wells)
    places = pd.Index(instances["inst_id"])
    expression, table, _ = Wells(
        table=instances,
        read=lambda ids: values[places.get_indexer(ids)],
        num_genes=values.shape[1],
        level=settings.level,
        scale=settings.scale,
        zscore_reference=settings.zscore_reference,
    ).signatures(wells)
    report = {
        "wells": num_wells,
        "failed_quality_control": int((~passed).sum()),
        "vehicle_wells": int(vehicle.sum()),
        "control_wells": int((~treated).sum()),
        "wells_used": len(wells),
        "plates": int(instances["plate"].nunique()),
        "replicates_per_signature": {
            str(int(size)): count
            for size, count in sorted(collections.Counter(table["n_replicates"]).items())
        },
    }
    return expression, table[[*SIGNATURE_COLUMNS, *AMOUNT_TEXTS]], report
