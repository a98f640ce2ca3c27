"""Plate layout of the screen: drugs and doses in wells."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from moa_jax import random_streams
from moa_jax.data.simulated.settings import SimulationSettings

VEHICLE = -1


@dataclasses.dataclass(frozen=True)
class PlateMap:
    """One plate map: the contents of each used well.

    Attributes:
      drug: row of the drug table, or `VEHICLE`.
      dose_um: dose in micromolar; 1 in vehicle wells, where it is not used.
      wells: names such as `A01`.
      row: row of the well, 0 first.
      column: column of the well, 0 first.
    """

    drug: Int[np.ndarray, " well"]
    dose_um: Float[np.ndarray, " well"]
    wells: tuple[str, ...]
    row: Int[np.ndarray, " well"]
    column: Int[np.ndarray, " well"]


@dataclasses.dataclass(frozen=True)
class PlateGroup:
    """Replicate plates of one map, cell line and time; one signature per well of the map.

    Attributes:
      index: place of the group in the screen.
      repeat: which run of the screen.
      map_index: which plate map.
      cell_line: index into the settings' cell lines.
      time_h: treatment time in hours.
      name: beginning of the group's signature names, such as `SIM001.01_SIM1_24H`.
    """

    index: int
    repeat: int
    map_index: int
    cell_line: int
    time_h: float
    name: str

    def plate_name(self, replicate: int) -> str:
        """Name of the plate of replicate 0, 1, ..."""
        return f"{self.name}_X{replicate + 1}_B1"


def plate_maps(settings: SimulationSettings, num_drugs: int) -> tuple[PlateMap, ...]:
    """Places every drug at every dose, in random order, on as many maps as needed."""
    rng = random_streams.generator(settings.seed, "plate maps")
    treatments = [(drug, dose) for drug in range(num_drugs) for dose in settings.doses_um]
    order = rng.permutation(len(treatments))
    room = settings.wells_per_plate - settings.vehicle_wells_per_plate
    num_rows = max(1, int(np.sqrt(settings.wells_per_plate * 2 / 3)))
    maps = []
    for start in range(0, len(order), room):
        chosen = [treatments[place] for place in order[start : start + room].tolist()]
        chosen += [(VEHICLE, 1.0)] * settings.vehicle_wells_per_plate
        mixed = [chosen[place] for place in rng.permutation(len(chosen)).tolist()]
        place = np.arange(len(mixed))
        row, column = place % num_rows, place // num_rows
        wells = tuple(
            f"{chr(ord('A') + r)}{c + 1:02d}"
            for r, c in zip(row.tolist(), column.tolist(), strict=True)
        )
        maps.append(
            PlateMap(
                drug=np.array([drug for drug, _ in mixed]),
                dose_um=np.array([dose for _, dose in mixed], dtype=np.float64),
                wells=wells,
                row=row,
                column=column,
            )
        )
    return tuple(maps)


def plate_groups(settings: SimulationSettings, num_maps: int) -> Iterator[PlateGroup]:
    """Every group of the screen, in the order of the files."""
    index = 0
    for repeat in range(settings.repeats):
        for map_index in range(num_maps):
            for cell_line, cell_name in enumerate(settings.cell_lines):
                for time_h in settings.times_h:
                    name = f"SIM{repeat + 1:03d}.{map_index + 1:02d}_{cell_name}_{time_h:g}H"
                    yield PlateGroup(index, repeat, map_index, cell_line, time_h, name)
                    index += 1
