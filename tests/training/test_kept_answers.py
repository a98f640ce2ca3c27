"""What a run keeps of its validation and test parts comes back as it was."""

import dataclasses

import numpy as np
import pytest

from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.schemas import InputError
from moa_jax.training.kept_answers import (
    HELD_OUT_FILE,
    VALIDATION_FILE,
    read_held_out,
    read_validation_answers,
    write_held_out,
    write_validation_answers,
)
from tests.synthetic import make_raw_examples


def test_held_out_signatures_come_back(tmp_path):
    examples = make_raw_examples(6)
    smiles = (None, None, *examples.smiles[2:])
    targets = (("A", "B"), ("A", "B"), (), (), (), ())
    examples = dataclasses.replace(examples, smiles=smiles, targets=targets)
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


def test_validation_answers_are_pooled_by_compound(tmp_path):
    examples = make_raw_examples(6)
    probs = np.random.default_rng(0).random((2, 6, 3))
    write_validation_answers(tmp_path, examples, {"fusion": probs[0], "expression": probs[1]})
    back = read_validation_answers(tmp_path, examples.moas)
    assert set(back.probs) == {"fusion", "expression"}
    for view, of_view in zip(("fusion", "expression"), probs, strict=True):
        pooled, labels, groups = pool_by_compound(of_view, examples.labels, examples.groups)
        np.testing.assert_array_equal(back.probs[view], pooled)
        np.testing.assert_array_equal(back.labels, labels)
        assert back.groups == groups
    strength = np.sqrt((examples.expression.astype(float) ** 2).mean(axis=1))
    np.testing.assert_allclose(back.strength, strength.reshape(3, 2).mean(axis=1), rtol=1e-6)


def test_what_is_absent_or_of_another_model_is_refused(tmp_path):
    examples = make_raw_examples(6)
    with pytest.raises(InputError, match="keeps no answers for validation compounds"):
        read_validation_answers(tmp_path, examples.moas)
    with pytest.raises(InputError, match="keeps no signatures that it was tested on"):
        read_held_out(tmp_path, examples.moas)
    write_validation_answers(tmp_path, examples, {"fusion": np.full((6, 3), 1 / 3)})
    with pytest.raises(InputError, match=f"{VALIDATION_FILE} is not about the 2 MoAs"):
        read_validation_answers(tmp_path, ("a", "b"))
