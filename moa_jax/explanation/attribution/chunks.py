"""Runs a jitted step over examples in chunks of one shape, so that it is compiled once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.schemas import Batch, GraphArrays, InputError, MoleculeBatch
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.sharding import shard

# Default number of rows (examples times points) that are evaluated at once.
MAX_ROWS = 1024

# (parameters, batch, graph, arrays of the same examples) -> arrays with one row per example.
Step = Callable[[Any, Batch, GraphArrays, dict[str, jax.Array]], Any]


def run_in_chunks(
    step: Step,
    predictor: Predictor,
    examples: EncodedExamples,
    own: Mapping[str, np.ndarray],
    *,
    size: int,
) -> Any:
    """Runs a step over all examples and concatenates its results.

    Args:
      step: the step.
      predictor: the model.
      examples: encoded examples.
      own: other arrays with one row per example, also passed in chunks.
      size: examples per chunk, from `chunk_size`.

    Raises:
      InputError: there is no example, or an array of `own` has another number of rows.
    """
    if not examples.num_examples:
        raise InputError("there are no examples to explain.")
    for name, values in own.items():
        if len(values) != examples.num_examples:
            raise InputError(
                f"there are {name} of {len(values)} examples, but {examples.num_examples} examples "
                "to explain."
            )
    parts = []
    for start, batch in chunks(examples, size, num_shards=predictor.mesh.size):
        rows = np.minimum(np.arange(start, start + size), examples.num_examples - 1)
        given = shard({name: values[rows] for name, values in own.items()}, predictor.mesh)
        on_device = shard(batch, predictor.mesh)
        parts.append(jax.device_get(step(predictor.params, on_device, predictor.graph, given)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: examples.num_examples], *parts)


def chunk_size(num_examples: int, points: int, max_rows: int, num_shards: int) -> int:
    """Examples per chunk: as many as `max_rows` allows, a multiple of the shards."""
    size = max(1, min(max_rows // points, num_examples))
    return -(-size // num_shards) * num_shards


def chunks(examples: EncodedExamples, size: int, *, num_shards: int) -> Iterator[tuple[int, Batch]]:
    """First row and batch of every chunk, all of one shape."""
    batches = list(evaluation_batches(examples, size, num_shards=num_shards))
    num_atoms = max(batch.molecules.atom_mask.shape[1] for batch in batches)
    num_bonds = max(batch.molecules.bond_mask.shape[1] for batch in batches)
    for place, batch in enumerate(batches):
        molecules = batch.molecules
        atoms = num_atoms - molecules.atom_mask.shape[1]
        bonds = num_bonds - molecules.bond_mask.shape[1]
        padded = {
            field.name: _padded(
                getattr(molecules, field.name),
                atoms if field.name in ("atom_features", "owner", "atom_mask") else bonds,
            )
            for field in dataclasses.fields(molecules)
        }
        yield place * size, dataclasses.replace(batch, molecules=MoleculeBatch(**padded))


def _padded(values: np.ndarray, more: int) -> np.ndarray:
    """Appends zeros to the second axis."""
    return np.pad(values, [(0, 0), (0, more), *[(0, 0)] * (values.ndim - 2)])
