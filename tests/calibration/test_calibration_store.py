"""What a run keeps of its validation and test parts comes back as it was."""

import dataclasses

import numpy as np
import pytest

from moa_jax.calibration.calibration_store import (
    CALIBRATION_FILE,
    HELD_OUT_FILE,
    read_calibration_store,
    read_held_out,
    write_calibration_store,
    write_held_out,
)
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.schemas import InputError
from moa_jax.training.fusion_fit import OutOfFoldAnswers
from tests.synthetic import make_raw_examples


def test_held_out_signatures_come_back(tmp_path):
    examples = make_raw_examples(6)
    smiles = (None, None, *examples.smiles[2:])
    targets = (("A", "B"), ("A", "B"), (), (), (), ())
    other_moas = ((), (), ("moa of another list",), (), (), ())
    examples = dataclasses.replace(
        examples, smiles=smiles, targets=targets, actions=(), other_moas=other_moas
    )
    write_held_out(tmp_path, examples)
    back = read_held_out(tmp_path, examples.moas)
    for field in dataclasses.fields(examples):
        ours, theirs = getattr(examples, field.name), getattr(back, field.name)
        if field.name == "table":
            assert theirs.equals(ours)
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(theirs, ours)
        else:
            assert theirs == ours
    first = (tmp_path / HELD_OUT_FILE).read_bytes()
    write_held_out(tmp_path, examples)
    assert (tmp_path / HELD_OUT_FILE).read_bytes() == first


def test_answers_are_pooled_by_compound(tmp_path):
    examples = make_raw_examples(6)
    probs = np.random.default_rng(0).random((2, 6, 3)).astype(np.float32)
    # The second compound's mechanism was not trained on, and two compounds have a structure.
    learnable = examples.labels.copy()
    learnable[2:4] = 0
    first = np.arange(4)
    write_calibration_store(
        tmp_path,
        {
            "fusion": OutOfFoldAnswers(examples, probs[0], learnable),
            "structure": OutOfFoldAnswers(examples.take(first), probs[1][first], learnable[first]),
        },
    )
    back = read_calibration_store(tmp_path, examples.moas)
    assert set(back) == {"fusion", "structure"}
    for view, of_view, count in zip(back, probs, (6, 4), strict=True):
        rows = np.arange(count)
        pooled, labels, groups = pool_by_compound(
            of_view[rows], examples.labels[rows], examples.groups[:count]
        )
        kept = back[view]
        np.testing.assert_allclose(kept.probs, pooled, rtol=1e-6)
        np.testing.assert_array_equal(kept.labels, labels)
        assert kept.groups == groups
        assert kept.is_learnable.tolist() == [True, False, True][: count // 2]
    strength = np.sqrt((examples.expression.astype(float) ** 2).mean(axis=1))
    expected = strength.reshape(3, 2).mean(axis=1)
    np.testing.assert_allclose(back["fusion"].strength, expected, rtol=1e-6)


def test_what_is_absent_or_of_another_model_is_refused(tmp_path):
    examples = make_raw_examples(6)
    with pytest.raises(InputError, match="has no out-of-fold answers"):
        read_calibration_store(tmp_path, examples.moas)
    with pytest.raises(InputError, match="has no signatures of a test part"):
        read_held_out(tmp_path, examples.moas)
    answers = OutOfFoldAnswers(examples, np.full((6, 3), 1 / 3), examples.labels)
    write_calibration_store(tmp_path, {"fusion": answers})
    with pytest.raises(InputError, match=f"{CALIBRATION_FILE} is not about the 2 MoAs"):
        read_calibration_store(tmp_path, ("a", "b"))
