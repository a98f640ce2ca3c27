"""The contract of a split: its rows, its manifest, and its fit to the data."""

import dataclasses
import json

import numpy as np
import pytest

from moa_jax.data.splits.manifest import check_split_fits, read_split, split_rows, write_split
from moa_jax.data.splits.rules import make_split
from moa_jax.schemas import PARTS, InputError, Split
from tests.data.splits.split_sets import screen_examples
from tests.small_sets import examples


def split_of(parts, **changes):
    fields = {"rule": "compound", "seed": 0, "fold": 0, "num_folds": 5, "parts": parts}
    return Split(**fields | changes)


@pytest.fixture
def three():
    return examples(np.ones((4, 1)), ["A", "A", "B", "C"], pert_ids=["P1", "P1", "P2", "P3"])


def test_rows_follow_the_compound_or_the_signature(three):
    by_compound = split_of({"P1": "test", "P2": "train", "P3": "unused"})
    by_signature = split_of(
        {"SIG0": "train", "SIG1": "validation", "SIG2": "unused", "SIG3": "train"}, unit="sig_id"
    )
    assert tuple(split_rows(by_compound, three)) == PARTS
    assert [rows.tolist() for rows in split_rows(by_compound, three).values()] == [[2], [], [0, 1]]
    assert [rows.tolist() for rows in split_rows(by_signature, three).values()] == [[0, 3], [1], []]
    for split in (by_compound, by_signature):
        check_split_fits(split, three)


def test_what_does_not_fit_is_named(three):
    parts = {"P1": "test", "P9": "train", "P8": "unused"}
    message = (
        r"the compound split \(fold 0 of 5\) does not fit the data: no part for P2, P3; "
        r"the data lack P8, P9\.$"
    )
    with pytest.raises(InputError, match=message):
        check_split_fits(split_of(parts), three)
    with pytest.raises(InputError, match=r"no part for P2, P3\.$"):
        split_rows(split_of(parts), three)


def test_long_lists_of_culprits_are_cut():
    many = examples(np.ones((300, 1)), [f"G{row}" for row in range(300)])
    with pytest.raises(InputError, match=r"no part for (P-G\d+, ){4}P-G\d+ and 295 more\.$"):
        check_split_fits(split_of({}), many)


def test_two_signatures_of_one_name_cannot_be_told_apart(three):
    table = three.table.assign(sig_id=["S1", "S2", "S2", "S3"])
    twice = dataclasses.replace(three, table=table)
    split = split_of(dict.fromkeys(("S1", "S2", "S3"), "train"), unit="sig_id")
    with pytest.raises(InputError, match="several signatures have the id S2"):
        check_split_fits(split, twice)


@pytest.mark.parametrize("rule", ["compound", "cell_line", "unseen_moa"])
def test_the_manifest_round_trips(tmp_path, rule):
    split = make_split(rule, screen_examples(), fold=2, seed=5)
    assert (split.rule, split.seed, split.fold, split.num_folds) == (rule, 5, 2, 5)
    write_split(tmp_path / "split.json", split)
    first = (tmp_path / "split.json").read_bytes()
    assert read_split(tmp_path / "split.json") == split
    write_split(tmp_path / "split.json", split)
    assert (tmp_path / "split.json").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "0"}, "has fold = '0', expected int"),
        ({"parts": []}, r"has parts = \[\], expected dict"),
        ({"parts": {"P1": "holdout"}}, "names the part holdout; parts are train, .*, unused"),
        ({"unit": "plate"}, "has unit = 'plate', expected pert_id or sig_id"),
        ({"held_out": "MCF7"}, "has held_out = 'MCF7', expected list"),
        ({"extra": 1}, "not a split's manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, change, message):
    value = dataclasses.asdict(split_of({"P1": "train"})) | {"held_out": []} | change
    (tmp_path / "split.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=f"split.json.*{message}"):
        read_split(tmp_path / "split.json")


def test_a_manifest_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "split.json").write_text("[1]")
    with pytest.raises(InputError, match="not a split's manifest"):
        read_split(tmp_path / "split.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {"P1": "holdout"}}, "the split names the part holdout"),
        ({"unit": "compound"}, "the split has unit = 'compound'"),
    ],
)
def test_a_split_with_unknown_words_cannot_be_made(change, message):
    with pytest.raises(InputError, match=message):
        split_of(**{"parts": {}} | change)
