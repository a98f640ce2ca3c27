import collections
import dataclasses
import json
import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from moa_jax.data.examples import strata
from moa_jax.data.splits import (
    check_no_crossing,
    compound_folds,
    compound_split,
    read_split,
    split_by_unit,
    split_rows,
    write_split,
)
from moa_jax.schemas import PARTS, InputError, Split
from tests.small_sets import examples, planted_examples


def split_of(parts):
    return Split(rule="compound", seed=0, fold=0, num_folds=5, parts=parts)


@pytest.fixture
def planted():
    return planted_examples(num_compounds=40, num_moas=4, num_signatures=3)


def test_folds_are_scikit_learns(planted):
    folds = compound_folds(planted, num_folds=5, seed=3)
    direct = StratifiedGroupKFold(5, shuffle=True, random_state=3)
    parts = direct.split(planted.expression, strata(planted), np.array(planted.groups))
    for fold, (_, test) in enumerate(parts):
        np.testing.assert_array_equal(np.flatnonzero(folds == fold), test)


def test_folds_are_deterministic_and_depend_on_the_seed(planted):
    first = compound_folds(planted, seed=1)
    np.testing.assert_array_equal(first, compound_folds(planted, seed=1))
    assert (first != compound_folds(planted, seed=2)).any()


def test_folds_keep_compounds_whole_and_spread_moas(planted):
    folds = compound_folds(planted)
    fold_of = collections.defaultdict(set)
    for group, fold in zip(planted.groups, folds, strict=True):
        fold_of[group].add(fold)
    assert all(len(found) == 1 for found in fold_of.values())
    counts = np.array([np.bincount(strata(planted)[folds == fold]) for fold in range(5)])
    np.testing.assert_array_equal(counts, 6)


def test_rare_classes_do_not_warn():
    labels = np.eye(2)[[0] * 10 + [1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compound_folds(examples(labels, [f"G{row}" for row in range(11)]))


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5])
def test_parts_cover_everything_once_without_crossing(planted, fraction):
    folds = compound_folds(planted, seed=7)
    for fold in range(5):
        split = compound_split(planted, fold=fold, seed=7, validation_fraction=fraction)
        check_no_crossing(split, planted)
        rows = split_rows(split, planted)
        assert tuple(rows) == PARTS
        np.testing.assert_array_equal(
            np.sort(np.concatenate(list(rows.values()))), np.arange(planted.num_examples)
        )
        np.testing.assert_array_equal(rows["test"], np.flatnonzero(folds == fold))
        share = len(rows["validation"]) / (planted.num_examples - len(rows["test"]))
        assert share == pytest.approx(fraction, abs=0.05)


def test_the_manifest_round_trips(tmp_path, planted):
    split = compound_split(planted, fold=2, seed=5, validation_fraction=0.2)
    assert (split.rule, split.seed, split.fold, split.num_folds) == ("compound", 5, 2, 5)
    write_split(tmp_path / "split.json", split)
    first = (tmp_path / "split.json").read_bytes()
    assert read_split(tmp_path / "split.json") == split
    write_split(tmp_path / "split.json", split)
    assert (tmp_path / "split.json").read_bytes() == first


def test_another_rule_keeps_its_own_unit_whole(planted):
    units = [str(int(group[1:]) // 2) for group in planted.groups]
    split = split_by_unit(
        "scaffold", planted, units, fold=0, num_folds=4, seed=0, validation_fraction=0.2
    )
    parts_of = collections.defaultdict(set)
    for unit, pert_id in zip(units, planted.table["pert_id"], strict=True):
        parts_of[unit].add(split.parts[pert_id])
    assert split.rule == "scaffold"
    assert all(len(parts) == 1 for parts in parts_of.values())


def test_a_planted_group_crossing_is_found():
    leaky = examples(np.ones((3, 1)), ["A", "A", "B"], pert_ids=["P1", "P2", "P3"])
    split = split_of({"P1": "train", "P2": "test", "P3": "test"})
    message = r"compound group A crosses \(P1 in train, P2 in test\)\.$"
    with pytest.raises(InputError, match=message):
        check_no_crossing(split, leaky)


def test_a_planted_structure_crossing_is_found():
    # Two enantiomers and the sodium salt of lactic acid under three groups: one InChIKey block.
    smiles = ["C[C@H](O)C(=O)O", "C[C@@H](O)C(=O)O", "CC(O)C(=O)[O-].[Na+]", "CCO", None]
    leaky = examples(
        np.ones((5, 1)),
        ["A", "B", "C", "D", "E"],
        smiles=smiles,
        pert_ids=["P1", "P2", "P3", "P4", "P5"],
    )
    parts = {"P1": "train", "P2": "validation", "P3": "test", "P4": "test", "P5": "train"}
    message = (
        r"InChIKey block JVTAAEKCZFNVCJ crosses "
        r"\(P1 in train, P2 in validation, P3 in test\)\.$"
    )
    with pytest.raises(InputError, match=message):
        check_no_crossing(split_of(parts), leaky)
    check_no_crossing(split_of({**parts, "P2": "train", "P3": "train"}), leaky)


def test_every_crossing_and_every_missing_part_is_named():
    leaky = examples(
        np.ones((6, 1)),
        ["A", "A", "B", "B", "C", "C"],
        pert_ids=["P1", "P2", "P3", "P4", "P5", "P6"],
    )
    parts = {"P1": "train", "P2": "test", "P3": "train", "P4": "validation"}
    with pytest.raises(InputError) as refusal:
        check_no_crossing(split_of(parts), leaky)
    for words in ("no part for P5, P6", "compound group A crosses", "compound group B crosses"):
        assert words in str(refusal.value)
    with pytest.raises(InputError, match="no part for P5, P6"):
        split_rows(split_of(parts), leaky)


def test_parts_of_absent_compounds_are_legal():
    only = examples([[1.0]], ["A"], pert_ids=["P1"])
    split = split_of({"P1": "test", "P2": "train"})
    check_no_crossing(split, only)
    assert [len(rows) for rows in split_rows(split, only).values()] == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": 5}, "fold is 5, expected 0 to 4"),
        ({"fold": -1}, "fold is -1"),
        ({"validation_fraction": 0.6}, "validation_fraction is 0.6, expected 0 to 0.5"),
        ({"num_folds": 1, "fold": 0}, "cannot make 1 folds"),
        ({"num_folds": 41}, "40 units cannot make 41 folds"),
        ({"validation_fraction": 0.03}, "32 units cannot make 33 folds"),
    ],
)
def test_arguments_out_of_range_are_refused(planted, change, message):
    arguments = {"fold": 0, "num_folds": 5, "seed": 0, "validation_fraction": 0.1} | change
    with pytest.raises(InputError, match=message):
        compound_split(planted, **arguments)


def test_classes_smaller_than_the_folds_are_refused():
    each_its_own = examples(np.eye(6), [f"G{row}" for row in range(6)])
    with pytest.raises(InputError, match="no class has 5 examples"):
        compound_folds(each_its_own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "0"}, "has fold = '0', expected int"),
        ({"parts": []}, r"has parts = \[\], expected dict"),
        ({"parts": {"P1": "holdout"}}, "names the part holdout"),
        ({"extra": 1}, "not a split's manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, change, message):
    value = dataclasses.asdict(split_of({"P1": "train"})) | change
    (tmp_path / "split.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=f"split.json.*{message}"):
        read_split(tmp_path / "split.json")


def test_a_manifest_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "split.json").write_text("[1]")
    with pytest.raises(InputError, match="not a split's manifest"):
        read_split(tmp_path / "split.json")
