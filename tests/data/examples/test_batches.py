"""Batches: a pure function of (seed, step) that loses nothing and invents nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moa_jax.data.examples.batches import evaluation_batches, make_batch, training_rows
from tests.synthetic import SMILES, make_examples


@given(
    num_examples=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 5),
    num_epochs=st.integers(1, 3),
)
def test_every_example_is_seen_once_an_epoch(num_examples, batch_size, seed, num_epochs):
    steps = -(-num_epochs * num_examples // batch_size)
    stream = np.concatenate(
        [training_rows(num_examples, batch_size, seed=seed, step=step) for step in range(steps)]
    )
    epochs = stream[: num_epochs * num_examples].reshape(num_epochs, num_examples)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [range(num_examples)] * num_epochs)


def test_epochs_and_seeds_differ_and_steps_repeat():
    rows = lambda seed, step: training_rows(50, 50, seed=seed, step=step)  # noqa: E731 (4 uses)
    assert (rows(0, 0) != rows(0, 1)).any()
    assert (rows(0, 0) != rows(1, 0)).any()
    np.testing.assert_array_equal(rows(3, 7), rows(3, 7))


@pytest.mark.parametrize("num_shards", [1, 2, 4])
def test_molecules_come_back_whole(num_shards):
    examples = make_examples()
    batch = make_batch(examples, np.arange(8), 8, num_shards=num_shards)
    molecules, size = batch.molecules, 8 // num_shards
    for row in range(8):
        graph = examples.molecules[examples.structure[row]]
        shard, owner = divmod(row, size)
        atoms = np.flatnonzero(molecules.atom_mask[shard] & (molecules.owner[shard] == owner))
        if graph is None:
            assert atoms.size == 0
            continue
        np.testing.assert_array_equal(molecules.atom_features[shard, atoms], graph.atom_features)
        bonds = np.flatnonzero(
            molecules.bond_mask[shard] & np.isin(molecules.senders[shard], atoms)
        )
        np.testing.assert_array_equal(molecules.bond_features[shard, bonds], graph.bond_features)
        np.testing.assert_array_equal(molecules.senders[shard, bonds] - atoms[0], graph.senders)
        np.testing.assert_array_equal(molecules.receivers[shard, bonds] - atoms[0], graph.receivers)


def test_evaluation_pads_the_last_batch_with_masked_rows():
    examples = make_examples(10)
    batches = list(evaluation_batches(examples, 4, num_shards=2))
    assert [int(batch.example_mask.sum()) for batch in batches] == [4, 4, 2]
    together = np.concatenate([batch.expression[batch.example_mask] for batch in batches])
    np.testing.assert_array_equal(together, examples.expression)
    assert not batches[-1].label_mask[~batches[-1].example_mask].any()


def test_shapes_fall_into_few_buckets():
    examples = make_examples(64)
    shapes = {
        make_batch(
            examples, training_rows(64, 16, seed=0, step=step), 16, num_shards=1
        ).molecules.atom_mask.shape
        for step in range(40)
    }
    assert len(shapes) == 1


def test_a_batch_must_split_evenly():
    with pytest.raises(ValueError, match="not a multiple of 3"):
        make_batch(make_examples(), np.arange(8), 8, num_shards=3)


def test_structures_missing_in_the_vocabulary_are_masked():
    batch = make_batch(make_examples(), np.arange(8), 8, num_shards=1)
    np.testing.assert_array_equal(batch.structure_mask, np.arange(8) % 7 != len(SMILES))
