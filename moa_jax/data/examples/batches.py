"""Batches as a pure function of (seed, step), padded to a few fixed sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from moa_jax.compounds.molecular_graph import MolecularGraph, num_atom_features, num_bond_features
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.schemas import Batch, MoleculeBatch

# Atom and bond counts are padded to multiples of these per example of a shard (at least the
# minimum), so that a run compiles only a few programs.
ATOM_BUCKET, MIN_ATOM_BUCKET = 8, 512
BOND_BUCKET, MIN_BOND_BUCKET = 16, 1024


def training_rows(
    num_examples: int, batch_size: int, *, seed: int, step: int
) -> Int[np.ndarray, " batch"]:
    """Rows of a step's batch: consecutive pieces of an endless shuffled stream.

    Each epoch is a permutation that depends only on `(seed, epoch)`, so that every example is seen
    once per epoch and steps can be computed in any order.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // num_examples
    orders = {
        epoch: np.random.default_rng([seed, epoch]).permutation(num_examples)
        for epoch in range(epochs[0], epochs[-1] + 1)
    }
    return np.array(
        [
            orders[epoch][place]
            for epoch, place in zip(epochs, positions % num_examples, strict=True)
        ]
    )


def evaluation_batches(
    examples: EncodedExamples, batch_size: int, *, num_shards: int
) -> Iterator[Batch]:
    """All examples in order; the last batch is padded with masked rows."""
    for start in range(0, examples.num_examples, batch_size):
        rows = np.arange(start, min(start + batch_size, examples.num_examples))
        yield make_batch(examples, rows, batch_size, num_shards=num_shards)


def make_batch(
    examples: EncodedExamples,
    rows: Int[np.ndarray, " row"],
    batch_size: int,
    *,
    num_shards: int,
) -> Batch:
    """Gathers rows into a batch of `batch_size`, padding with masked rows.

    Args:
      examples: encoded examples.
      rows: rows to take, at most `batch_size`.
      batch_size: rows of the batch, a multiple of `num_shards`.
      num_shards: number of devices that the batch is split over.
    """
    if batch_size % num_shards:
        raise ValueError(f"batch size {batch_size} is not a multiple of {num_shards} shards.")
    padding = batch_size - len(rows)
    real = np.arange(batch_size) < len(rows)
    rows = np.concatenate([rows, np.zeros(padding, rows.dtype)])
    structure = examples.structure[rows]
    molecules = [
        examples.molecules[row] if valid else None
        for row, valid in zip(structure, real, strict=True)
    ]
    size = batch_size // num_shards
    return Batch(
        expression=examples.expression[rows],
        gene_mask=examples.has_expression[rows][:, None] & examples.gene_mask,
        cell_line=examples.cell_line[rows],
        log_dose=examples.log_dose[rows],
        dose_mask=examples.dose_mask[rows],
        log_time=examples.log_time[rows],
        time_mask=examples.time_mask[rows],
        molecules=_stack([molecules[start : start + size] for start in range(0, batch_size, size)]),
        fingerprint=examples.fingerprints[structure],
        substructures=examples.substructures[structure],
        labels=examples.labels[rows],
        label_mask=examples.label_mask[rows] & real[:, None],
        weight=examples.weight[rows],
        expression_mask=examples.has_expression[rows],
        structure_mask=examples.has_structure[rows],
        example_mask=real,
        row=rows.astype(np.int32),
        left_out=examples.left_out_of(rows),
    )


def _stack(shards: list[list[MolecularGraph | None]]) -> MoleculeBatch:
    """Flattens each shard's molecules and pads all shards to the same size."""
    atoms = max(sum(graph.num_atoms for graph in shard if graph) for shard in shards)
    bonds = max(sum(graph.num_bonds for graph in shard if graph) for shard in shards)
    num_atoms = _bucket(atoms, max(MIN_ATOM_BUCKET, ATOM_BUCKET * len(shards[0])))
    num_bonds = _bucket(bonds, max(MIN_BOND_BUCKET, BOND_BUCKET * len(shards[0])))
    flat = [_flatten(shard, num_atoms, num_bonds) for shard in shards]
    return MoleculeBatch(**{name: np.stack([shard[name] for shard in flat]) for name in flat[0]})


def _bucket(count: int, multiple: int) -> int:
    return max(1, -(-count // multiple)) * multiple


def _flatten(
    shard: list[MolecularGraph | None], num_atoms: int, num_bonds: int
) -> dict[str, np.ndarray]:
    atom_features = np.zeros((num_atoms, num_atom_features), np.float32)
    bond_features = np.zeros((num_bonds, num_bond_features), np.float32)
    senders, receivers = np.zeros(num_bonds, np.int32), np.zeros(num_bonds, np.int32)
    owner = np.zeros(num_atoms, np.int32)
    atom, bond = 0, 0
    for row, graph in enumerate(shard):
        if graph is None:
            continue
        atom_end, bond_end = atom + graph.num_atoms, bond + graph.num_bonds
        atom_features[atom:atom_end] = graph.atom_features
        bond_features[bond:bond_end] = graph.bond_features
        senders[bond:bond_end] = graph.senders + atom
        receivers[bond:bond_end] = graph.receivers + atom
        owner[atom:atom_end] = row
        atom, bond = atom_end, bond_end
    return {
        "atom_features": atom_features,
        "bond_features": bond_features,
        "senders": senders,
        "receivers": receivers,
        "owner": owner,
        "atom_mask": np.arange(num_atoms) < atom,
        "bond_mask": np.arange(num_bonds) < bond,
    }
