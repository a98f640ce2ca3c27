"""leak-proof-cmap's JSON splits, made up and real."""

import collections
import dataclasses
import json

import numpy as np
import pytest

from moa_jax.data.leaks import check_no_leaks
from moa_jax.data.published_splits import read_leak_proof_cmap
from moa_jax.data.splits import split_rows
from moa_jax.schemas import InputError
from tests.data.split_sets import LINES, moved, screen_examples

SCREEN = screen_examples()
MOAS = SCREEN.moas


def entry(lines, moas):
    return {"cell_lines": list(lines), "moas": list(moas)}


@pytest.fixture
def value():
    """Two inner folds; MoA 9 and LINE5 are in no part of the first."""
    return {
        "allowed_tvt_types": ["train", "val", "test"],
        "name": "made up",
        "train": [entry(LINES[:2], MOAS[:5]), entry(LINES[:4], MOAS[2:7])],
        "val": [entry(LINES[2:4], MOAS[5:7]), entry(LINES[5:], MOAS[:2])],
        "test": [entry(LINES[4:5], [moa.upper() for moa in MOAS[7:9]])],
    }


def written(tmp_path, value):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("inner_fold", "lines", "moas"),
    [
        (0, (range(2), range(2, 4), [4]), (range(5), range(5, 7), range(7, 9))),
        (1, (range(4), [5], [4]), (range(2, 7), range(2), range(7, 9))),
    ],
)
def test_a_signature_is_where_its_line_and_all_its_moas_are(
    tmp_path, value, inner_fold, lines, moas
):
    split = read_leak_proof_cmap(written(tmp_path, value), SCREEN, inner_fold=inner_fold)
    parts = ("train", "validation", "test")
    for row, (line, labels) in enumerate(
        zip(SCREEN.table["cell_line"], SCREEN.labels, strict=True)
    ):
        carried = set(np.flatnonzero(labels))
        expected = [
            part
            for part, of_lines, of_moas in zip(parts, lines, moas, strict=True)
            if LINES.index(line) in of_lines and carried <= set(of_moas)
        ]
        assert split.parts[f"SIG{row}"] == (expected or ["unused"])[0]
    assert (split.rule, split.unit, split.fold, split.num_folds) == (
        ("leak_proof_cmap", "sig_id", inner_fold, 2)
    )
    assert split.held_out == MOAS[7:9]
    assert all(len(rows) for rows in split_rows(split, SCREEN).values())
    # Compound 14 has the MoAs 4 and 5, of two parts of the first fold.
    table = SCREEN.table
    of_two = {split.parts[key] for key in table["sig_id"][table["pert_id"] == "P14"]}
    assert of_two == ({"unused"} if inner_fold == 0 else {"train", "unused"})


def test_all_forms_of_a_compound_count_together(tmp_path, value):
    """A salt of another MoA makes its compound one of two parts."""
    groups = tuple("G01" if group == "G08" else group for group in SCREEN.groups)
    joined = dataclasses.replace(SCREEN, groups=groups)
    split = read_leak_proof_cmap(written(tmp_path, value), joined)
    keys = SCREEN.table["sig_id"][SCREEN.table["pert_id"].isin(["P01", "P08"])]
    assert {split.parts[key] for key in keys} == {"unused"}


def test_unknown_lines_and_unlabelled_compounds_are_unused(tmp_path, value):
    bare = dataclasses.replace(
        SCREEN,
        table=SCREEN.table.assign(cell_line=[None] * 120 + list(SCREEN.table["cell_line"][120:])),
        labels=np.where(np.arange(240)[:, None] < 180, SCREEN.labels, 0).astype(np.float32),
    )
    split = read_leak_proof_cmap(written(tmp_path, value), bare)
    keys = [f"SIG{row}" for row in (*range(120), *range(180, 240))]
    assert {split.parts[key] for key in keys} == {"unused"}


@pytest.mark.parametrize(
    ("part", "field", "leak", "message"),
    [
        ("val", "moas", MOAS[0], "MoA MoA 0 crosses"),
        ("val", "cell_lines", LINES[0], "cell line LINE0 crosses"),
        ("test", "cell_lines", LINES[2], "cell line LINE2 crosses"),
    ],
)
def test_a_published_split_that_leaks_is_refused(tmp_path, value, *, part, field, leak, message):
    value[part][0][field].append(leak)
    with pytest.raises(InputError, match=rf"the leak_proof_cmap split .* leaks: .*{message}"):
        read_leak_proof_cmap(written(tmp_path, value), SCREEN)


def test_a_planted_crossing_is_refused_with_its_rows(tmp_path, value):
    split = read_leak_proof_cmap(written(tmp_path, value), SCREEN)
    tested = next(key for key, part in sorted(split.parts.items()) if part == "test")
    with pytest.raises(InputError, match=rf"MoA MoA \d crosses \({tested} in train, SIG"):
        check_no_leaks(moved(split, [tested], "train"), SCREEN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": []}, "is not a leak-proof-cmap split: test is list"),
        ({"train": "all"}, "train is str"),
        ({"val": [{"moas": ["a"]}] * 2}, r"has no list of names in val\[0\].cell_lines"),
        ({"val": [entry("A", "B"), 7]}, r"has no list of names in val\[1\].cell_lines"),
        ({"test": [entry("A", [7])]}, r"has no list of names in test\[0\].moas"),
        ({"val": [entry("A", "B")]}, "2 training and 1 validation parts"),
    ],
)
def test_another_file_is_refused(tmp_path, value, change, message):
    with pytest.raises(InputError, match=f"split.json {message}|split.json .*{message}"):
        read_leak_proof_cmap(written(tmp_path, value | change), SCREEN)


def test_a_missing_inner_fold_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="inner_fold is 2, expected 0 to 1"):
        read_leak_proof_cmap(written(tmp_path, value), SCREEN, inner_fold=2)


def test_the_real_files_keep_their_promise(real_data):
    """Every published pair, on a screen of their own cell lines and MoAs."""
    paths = sorted((real_data / "splits_leakproof_cmap").glob("*.json"))
    assert len(paths) == 25
    for path in paths:
        content = json.loads(path.read_text())
        for inner_fold in range(5):
            pairs = {part: content[part][0 if part == "test" else inner_fold]
                     for part in ("train", "val", "test")}  # fmt: skip
            known = [sorted(entry["moas"])[:3] for entry in pairs.values()]
            lines = [line for entry in pairs.values() for line in sorted(entry["cell_lines"])[:2]]
            screen = screen_examples(lines=tuple(lines), num_moas=9)
            screen = dataclasses.replace(screen, moas=tuple(moa for moas in known for moa in moas))
            split = read_leak_proof_cmap(path, screen, inner_fold=inner_fold)
            counts = collections.Counter(split.parts.values())
            assert min(counts[part] for part in ("train", "validation", "test")) >= 10
            assert split.held_out == tuple(sorted(known[2]))
