"""The page of contradicted labels: who is listed, what it shows, and that it loads nothing."""

import shutil

import numpy as np
import pandas as pd
import pytest

from experiments.label_audit import page
from experiments.label_audit.contradictions import (
    HeldOut,
    SharedTargets,
    contradictions,
    held_out_of,
    joined,
)
from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.predictions.result_tables import read_csv
from moa_jax.report.html import write_page
from moa_jax.schemas import InputError
from moa_jax.training.runs.run_folder import open_run
from tests.browser import browser  # noqa: F401 (a fixture)
from tests.predict.files import formulas
from tests.report.pages import cells_of, parse
from tests.synthetic import make_dataset, make_raw_examples

pytestmark = pytest.mark.slow

HOSTILE = "=cmd|<script>document.title='x'</script>\"'><img src=https://evil.example/x onerror=1>"
MOAS = ("kinase inhibitor", HOSTILE, "agonist")
# Group, labels, probabilities, targets, MoAs of the four nearest.
COMPOUNDS = [
    # The model and all near compounds have the second MoA.
    ("G0", [1, 0, 0], [0.1, 0.8, 0.1], ("T1",), [1, 1, 2, 2]),
    # The same, but one neighbour carries the label.
    ("G1", [1, 0, 0], [0.1, 0.8, 0.1], (), [1, 1, 0, 2]),
    # Nobody near carries the answer.
    ("G2", [1, 0, 0], [0.1, 0.8, 0.1], (), [2, 2, 2, 2]),
    # The answer is a label, so that the silence on the other one is no contradiction.
    ("G3", [1, 0, 1], [0.9, 0.08, 0.02], (), [0, 0, 1, 1]),
    # Targets support the label.
    ("G4", [0, 0, 1], [0.1, 0.7, 0.2], ("T2", "T3"), [1, 1, 0, 0]),
    # The answer is missing: most of those near carry it, and one the label, too.
    ("G5", [1, 0, 0], [0.35, 0.05, 0.6], ("T4",), [2, 2, 2, 0]),
    ("G6", [0, 1, 0], [0.2, 0.6, 0.2], (), [1, 1, 1, 1]),
    ("G7", [0, 0, 1], [0.2, 0.2, 0.6], (), [1, 1, 1, 1]),
]


def nearest_of(moas):
    return pd.DataFrame(
        {
            "expert": ["signature_kernel"] * 2 + ["structure_kernel"] * 2,
            "group": [f"N{number}" for number in range(4)],
            "compound": [f"{HOSTILE}{number}" for number in range(4)],
            "moas": [(MOAS[moa],) for moa in moas],
            "similarity": [0.9, 0.8, 0.7, 0.6],
        }
    )


@pytest.fixture(scope="module")
def found():
    groups, labels, probs, targets, near = zip(*COMPOUNDS, strict=True)
    table = pd.DataFrame({"group": groups, "targets": targets, "confidence": 0.75})
    table["compound"] = [f"{HOSTILE}{group}" for group in groups]
    table["smiles"] = ["CC(=O)Oc1ccccc1C(=O)O", *[None] * (len(groups) - 1)]
    table["is_answered"] = table["group"] != "G5"
    nearest = {group: nearest_of(moas) for group, moas in zip(groups, near, strict=True)}
    return HeldOut(table, np.array(probs), np.array(labels, float), nearest, MOAS)


@pytest.fixture(scope="module")
def shared():
    carried = [[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    targets = [("T1",), ("T1", "T9"), ("T1", "T8"), ("T2", "T3"), ("T2",)]
    return SharedTargets(
        ("A", "B", "C", "G9", "D"), tuple(map(frozenset, targets)), np.array(carried, float)
    )


@pytest.fixture(scope="module")
def listed(found, shared):
    return contradictions(found, shared)


def test_listed_is_what_model_and_neighbours_contradict(listed):
    assert [one.group for one in listed] == ["G0", "G4", "G5"]
    np.testing.assert_allclose([one.score for one in listed], [0.7, 0.5, 0.25])
    assert [one.answer for one in listed] == [HOSTILE, HOSTILE, "agonist"]
    assert [list(one.notes["moa"]) for one in listed] == [
        ["kinase inhibitor"],
        ["agonist"],
        ["agonist"],
    ]
    assert [one.notes["kind"].iloc[0] for one in listed] == [
        "label doubted",
        "label doubted",
        "label missing",
    ]
    assert [one.notes["num_carrying_answer"].iloc[0] for one in listed] == [2, 2, 3]


def test_targets_support_what_more_of_those_that_share_one_carry(listed, shared):
    first, second, third = listed
    # Jaccard indices 1, 1/2 and 1/2: those of the answer weigh 1.5 of 2.
    assert first.num_sharing == 3
    assert (first.answer_share, first.label_share) == (0.75, 0.25)
    assert (second.answer_share, second.label_share) == pytest.approx((1 / 3, 2 / 3))
    sides = [one.targets_support for one in listed]
    assert sides == ["the model", "the label", "not known"]
    assert third.num_sharing == 0
    # A compound is not evidence for itself.
    assert shared.shares("G9", ("T3",))[0] == 0
    main, apart = page.parted(listed)
    assert ([one.group for one in main], [one.group for one in apart]) == (["G0", "G5"], ["G4"])


def test_targets_and_labels_of_a_compound_are_those_of_all_its_samples():
    compounds = pd.DataFrame(
        {
            "compound_group": ["A", "A", "B", "C", None],
            "moas": [("x",), ("Y",), ("x",), (), ("x",)],
            "targets": [("T1",), ("T2",), (), ("T1",), ("T1",)],
        }
    )
    shared = SharedTargets.of(compounds, ("x", "y"))
    assert (shared.groups, shared.targets) == (("A",), (frozenset({"T1", "T2"}),))
    np.testing.assert_array_equal(shared.labels, [[1, 1]])


@pytest.fixture(scope="module")
def written(listed, found, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "labels.html"
    write_page(path, page.label_page(listed, found, {"release": HOSTILE}))
    return path


def test_the_page_shows_everything_and_loads_nothing(written, found):
    source = written.read_text()
    assert "<script>document" not in source
    tree = parse(source)
    policies = [meta.attributes.get("content") for meta in tree.all("meta")]
    assert any((policy or "").startswith("default-src 'none'; ") for policy in policies)
    assert [element for tag in ("img", "link", "iframe") for element in tree.all(tag)] == []
    assert len(list(tree.all("script"))) == 1
    assert all(link.attributes["href"].startswith("#") for link in tree.all("a"))
    first, apart, *evidence = tree.all("table")
    rows = cells_of(first)[1:]
    assert [row[0] for row in rows] == [f"{HOSTILE}G0", f"{HOSTILE}G5"]
    assert rows[0][2:] == [MOAS[0], MOAS[0], HOSTILE, ".750", ".700", "2 of 4", "the model"]
    assert rows[1][3:5] == ["lacks agonist", "agonist (cannot tell)"]
    assert [row[0] for row in cells_of(apart)[1:]] == [f"{HOSTILE}G4"]
    # One compound after the other, with structure where it is known.
    assert len(evidence) == 2
    assert [row[-1] for row in cells_of(evidence[0])[1:]] == ["the answer"] * 2 + [""] * 2
    assert [row[3] for row in cells_of(evidence[1])[1:]] == [".900", ".800", ".700", ".600"]
    heads = [head.text for head in tree.all("h2")]
    assert heads[3:] == [f"1. {HOSTILE}G0", f"2. {HOSTILE}G5"]
    assert len([svg for svg in tree.all("svg") if svg.attributes.get("role") == "img"]) == 1
    # Two of eight answers are labels of their compounds beside those contradicted.
    assert f"{found.is_right.mean():.0%} of 8" in next(tree.all("dl")).text


@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_opens_and_fits(browser, written, width):  # noqa: F811 (the fixture)
    browser.open(written, width)
    assert browser.console() == []
    assert browser.requests() == [written.as_uri()]
    assert browser.overflow() == 0
    assert browser.driver.title != "x"


def test_equal_contradictions_give_equal_bytes(written, listed, found, tmp_path):
    write_page(tmp_path / "labels.html", page.label_page(listed, found, {"release": HOSTILE}))
    assert (tmp_path / "labels.html").read_bytes() == written.read_bytes()


def test_a_page_without_contradictions(found, tmp_path):
    write_page(tmp_path / "labels.html", page.label_page([], found, {}))
    tree = parse((tmp_path / "labels.html").read_text())
    assert "No label is contradicted." in next(tree.all("main")).text
    assert list(tree.all("table")) == []


def test_the_table_is_safe_for_spreadsheets(listed, tmp_path):
    page.write_csv(tmp_path / "table.csv", page.contradiction_table(listed))
    assert formulas(tmp_path / "table.csv") == []
    table = read_csv(tmp_path / "table.csv", [])
    assert table["compound"].tolist() == [one.name for one in listed]
    assert table["margin"].tolist() == pytest.approx([0.7, 0.5, 0.25])


def test_the_command_asks_each_fold_about_what_it_has_not_seen(tiny_run, tmp_path, monkeypatch):
    predictor = open_run(tiny_run, num_devices=1).predictor
    examples = read_held_out(tiny_run, predictor.features.moas)
    found = held_out_of(tiny_run)
    pooled, labels, groups = pool_by_compound(
        predictor.predict(examples)["fusion"].astype(float), examples.labels, examples.groups
    )
    np.testing.assert_allclose(found.probs, pooled, rtol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.table["group"].tolist() == list(groups)
    assert found.table["confidence"].between(0, 1).all()
    for group, nearest in found.nearest.items():
        assert group not in set(nearest["group"])
        assert nearest.groupby("expert").size().max() <= 5
    assert joined([found, found]).probs.shape == (2 * len(groups), 3)

    write_prepared(tmp_path / "data", make_dataset(make_raw_examples()))
    scored = []
    monkeypatch.setattr(page, "NUM_FOLDS", 1)
    monkeypatch.setattr(
        page, "trained_run", lambda config, runs, **of: scored.append((runs, of)) or tiny_run
    )
    argv = [f"--data={tmp_path / 'data'}", f"--out={tmp_path / 'out'}"]
    page.main(argv)
    assert scored == [(tmp_path / "out" / "runs", {"fold": 0, "seed": 0})]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["contradicted_labels.csv", "labels.html"]
    with pytest.raises(SystemExit, match="2"):
        page.main([f"--data={tmp_path / 'none'}", argv[1]])
    with pytest.raises(InputError, match="has no out-of-fold answers"):
        held_out_of(without_answers(tiny_run, tmp_path))


def without_answers(run, folder):
    """A copy of a run that kept no validation answers."""
    copy = shutil.copytree(run, folder / "poor")
    (copy / "calibration_answers.parquet").unlink()
    return copy
