"""The simulated assay: a plate's level 3 values, with noise and typical laboratory errors."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from moa_jax import random_streams
from moa_jax.data.simulated.mechanisms import Mechanisms, response_log2
from moa_jax.data.simulated.screen import VEHICLE, PlateGroup, PlateMap
from moa_jax.data.simulated.settings import SimulationSettings

CLEAN, FAILED, EMPTY, SWAPPED = "", "failed signal", "no compound", "neighbour's profile"
_BAD_REASONS = (FAILED, EMPTY, SWAPPED)
_FLOOR_LOG2, _CEILING_LOG2 = 4.0, 15.0
# Remaining share of the spread between genes in wells with failed signal.
_FAILED_GAIN = 0.3
# Standard deviation between genes of the log of their noise.
_NOISE_SPREAD = 0.25


@dataclasses.dataclass(frozen=True)
class Plate:
    """One plate's values and the errors in its wells.

    Attributes:
      level3: log2 expression.
      reason: why a well is bad, empty if it is clean.
      swapped_pairs: for each well, the bead pairs (rows of `Assay.bead_pairs`) whose two genes are
        exchanged.
    """

    level3: Float32[np.ndarray, "well matrix_gene"]
    reason: tuple[str, ...]
    swapped_pairs: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Assay:
    """Properties common to all plates of a release.

    Attributes:
      noise_log2: replicate noise of each gene.
      position_loading: loading of each gene on the gradient over rows and columns.
      bead_pairs: matrix columns of the two landmarks of each bead colour.
    """

    noise_log2: Float[np.ndarray, " matrix_gene"]
    position_loading: Float[np.ndarray, "2 matrix_gene"]
    bead_pairs: Int[np.ndarray, "pair 2"]


def make_assay(settings: SimulationSettings, is_landmark: Bool[np.ndarray, " gene"]) -> Assay:
    """Draws each gene's noise and gradient, and pairs the landmarks on bead colours."""
    rng = random_streams.generator(settings.seed, "assay")
    num_genes = len(is_landmark)
    spread = np.exp(rng.normal(0, _NOISE_SPREAD, num_genes))
    order = rng.permutation(np.flatnonzero(is_landmark))
    return Assay(
        noise_log2=settings.noise_log2 * spread,
        position_loading=rng.normal(0, settings.position_effect_log2, (2, num_genes)),
        bead_pairs=order[: len(order) // 2 * 2].reshape(-1, 2),
    )


def run_plate(
    settings: SimulationSettings,
    assay: Assay,
    mechanisms: Mechanisms,
    *,
    plate_map: PlateMap,
    group: PlateGroup,
    replicate: int,
) -> Plate:
    """Level 3 of one plate; a pure function of the seed, the group and the replicate."""
    rng = random_streams.generator(
        settings.seed, "plate", group.index * settings.replicates + replicate
    )
    shift = response_log2(
        settings,
        mechanisms,
        drug=plate_map.drug,
        dose_um=plate_map.dose_um,
        cell_line=group.cell_line,
        time_h=group.time_h,
    )
    num_wells, num_genes = shift.shape
    reason = np.where(
        rng.random(num_wells) < settings.bad_well_rate, rng.choice(_BAD_REASONS, num_wells), CLEAN
    )
    # A vehicle well without compound is correct.
    reason[(reason == EMPTY) & (plate_map.drug == VEHICLE)] = CLEAN
    shift[reason == EMPTY] = 0.0
    swapped = np.flatnonzero(reason == SWAPPED)
    shift[swapped] = shift[(swapped + 1) % num_wells]

    values = mechanisms.baseline[group.cell_line] + shift
    values += rng.normal(0, settings.plate_effect_log2, num_genes)
    values += _gradient(plate_map, rng) @ assay.position_loading
    values += rng.normal(0, settings.well_effect_log2, (num_wells, 1))
    values += rng.normal(0, 1, shift.shape) * assay.noise_log2
    failed = reason == FAILED
    centre = values[failed].mean(axis=1, keepdims=True)
    values[failed] = centre + _FAILED_GAIN * (values[failed] - centre)
    values[failed] += rng.normal(0, 2 * settings.noise_log2, values[failed].shape)

    swapped_pairs = _swap_bead_pairs(settings, assay, values, rng)
    # Rounded, so that files do not depend on the last bits of floating-point functions.
    level3 = np.round(np.clip(values, _FLOOR_LOG2, _CEILING_LOG2), 4).astype(np.float32)
    return Plate(level3, tuple(reason.tolist()), swapped_pairs)


def _gradient(plate_map: PlateMap, rng: np.random.Generator) -> Float[np.ndarray, "well 2"]:
    """Row and column position in [-1, 1], each with the plate's own strength and direction."""
    place = np.stack([plate_map.row, plate_map.column], axis=1).astype(np.float64)
    place = 2 * place / np.maximum(place.max(axis=0), 1) - 1
    return place * rng.normal(0, 1, 2)


def _swap_bead_pairs(
    settings: SimulationSettings,
    assay: Assay,
    values: Float[np.ndarray, "well matrix_gene"],
    rng: np.random.Generator,
) -> tuple[tuple[int, ...], ...]:
    """Exchanges, in place, the two genes of some bead pairs in some wells."""
    in_well = rng.random(len(values)) < settings.peak_swap_well_rate
    chosen = rng.random((len(values), len(assay.bead_pairs))) < settings.peak_swap_pair_rate
    chosen &= in_well[:, None]
    for well, pair in np.argwhere(chosen).tolist():
        first, second = assay.bead_pairs[pair].tolist()
        values[well, [first, second]] = values[well, [second, first]]
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in chosen)
