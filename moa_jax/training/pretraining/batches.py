"""Batches for pretraining, in which compounds stay together: a pure function of (seed, step)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.struct
import numpy as np
from jaxtyping import Int, Int32

from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.features import EncodedExamples, FeatureSpec, encode
from moa_jax.schemas import Examples
from moa_jax.training.pretraining.molecules import Properties, standardised_descriptors


@flax.struct.dataclass
class PretrainingBatch:
    """A batch with additional targets. Every field may also hold shapes or shardings.

    Attributes:
      batch: the `schemas.Batch`; its labels are not used.
      compound: `[batch]`, number of each example's compound.
      descriptors: `[batch, descriptor]`, standardised; zeros if the structure is unknown.
    """

    batch: Any
    compound: Any
    descriptors: Any


@dataclasses.dataclass(frozen=True)
class PretrainingSet:
    """Encoded examples with their compounds and descriptors.

    Attributes:
      encoded: the examples.
      compound: number of each example's compound.
      descriptors: one row per structure of `encoded`, the last for none.
    """

    encoded: EncodedExamples
    compound: Int32[np.ndarray, " example"]
    descriptors: Properties

    def batch(
        self,
        batch_size: int,
        *,
        rows_per_compound: int,
        seed: int,
        step: int,
        num_shards: int,
    ) -> PretrainingBatch:
        """The batch of a step, on the host."""
        rows = compound_rows(
            self.compound, batch_size, rows_per_compound=rows_per_compound, seed=seed, step=step
        )
        return PretrainingBatch(
            batch=make_batch(self.encoded, rows, batch_size, num_shards=num_shards),
            compound=self.compound[rows],
            descriptors=self.descriptors[self.encoded.structure[rows]],
        )


def pretraining_set(examples: Examples, features: FeatureSpec) -> PretrainingSet:
    """Encodes examples for pretraining; their labels are set to zero."""
    blind = dataclasses.replace(examples, labels=np.zeros_like(examples.labels))
    distinct = tuple(sorted({smiles for smiles in examples.smiles if smiles is not None}))
    return PretrainingSet(
        encoded=encode(blind, features),
        compound=_numbers(examples.groups),
        descriptors=standardised_descriptors(distinct),
    )


def compound_rows(
    compound: Int[np.ndarray, " example"],
    batch_size: int,
    *,
    rows_per_compound: int,
    seed: int,
    step: int,
) -> Int[np.ndarray, " batch"]:
    """Rows of the batch of a step, from a stream in which compounds stay together.

    Every epoch is a new order of all rows in blocks of at most `rows_per_compound` rows of one
    compound. The end of a batch may cut a block.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // len(compound)
    orders = {
        epoch: _order(compound, rows_per_compound, seed, epoch)
        for epoch in range(epochs[0], epochs[-1] + 1)
    }
    return np.array(
        [
            orders[epoch][place]
            for epoch, place in zip(epochs, positions % len(compound), strict=True)
        ]
    )


def _order(
    compound: Int[np.ndarray, " example"], longest: int, seed: int, epoch: int
) -> Int[np.ndarray, " example"]:
    """All rows in blocks of at most `longest` of one compound, the blocks in random order."""
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(compound))
    shuffled = shuffled[np.argsort(compound[shuffled], kind="stable")]
    _, first, count = np.unique(compound[shuffled], return_index=True, return_counts=True)
    within = np.arange(len(compound)) - np.repeat(first, count)
    block = np.cumsum(within % longest == 0) - 1
    return shuffled[np.argsort(rng.permutation(block[-1] + 1)[block], kind="stable")]


def _numbers(groups: Sequence[str]) -> Int32[np.ndarray, " example"]:
    _, numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return numbers.astype(np.int32)
