"""The evaluate program on a tiny simulated release."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from moa_jax import evaluate
from moa_jax.data.examples.build import build_examples
from moa_jax.data.splits.leaks import check_no_leaks
from moa_jax.data.splits.manifest import read_split
from moa_jax.data.storage.prepared_folder import read_prepared

pytestmark = pytest.mark.slow

CONFIG = """
import ml_collections

from configs import main_result
from moa_jax.benchmark.blocks import block

def get_config():
    config = main_result.get_config()
    config.data = {data!r}
    config.fusion = {fusion!r}
    config.split.num_folds = 2
    config.split.validation_fraction = 0.34
    config.statistics.num_resamples = 50
    config.statistics.comparator = ""
    config.blocks = ml_collections.ConfigDict()
    {changes}
    return config
"""
FUSION = """
from configs import smoke

def get_config():
    config = smoke.get_config()
    config.num_devices = 1
    return config
"""
PLAIN = ("prevalence", "cosine_knn", "product_of_logistics")
MAIN = f"config.blocks.main = block({PLAIN})"
SPLIT = "compound_seed0"


@pytest.fixture(scope="module")
def prepared(prepared_release):
    return prepared_release


def start(folder, prepared, changes=MAIN, workdir="out", options=()):
    folder.mkdir(exist_ok=True)
    (folder / "fusion.py").write_text(FUSION)
    config = folder / "config.py"
    config.write_text(
        CONFIG.format(changes=changes, data=str(prepared), fusion=str(folder / "fusion.py"))
    )
    return evaluate.run([f"--config={config}", f"--workdir={folder / workdir}", *options])


@pytest.fixture(scope="module")
def evaluated(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    changes = f"""
    config.blocks.main = block({(*PLAIN, "fusion", "fusion_expression")})
    config.blocks.more = block(
        {PLAIN[1:]}, splits=("compound", "scaffold", "unseen_moa"),
        test={{"gaussian": (1.0, 4.0), "structure_absent": ()}},
        training={{"uniform_labels": (0.3,), "clean": ()}},
    )
    config.blocks.other_levels = block(("prevalence",), test={{"gaussian": (2.0,)}})
    """
    assert start(folder, prepared, changes) == 0
    return folder / "out"


def tables(folder, split=SPLIT):
    return folder / "tables" / split


def test_every_compound_is_predicted_once_by_every_method(evaluated, prepared):
    examples = build_examples(read_prepared(prepared))
    predictions = pd.read_csv(tables(evaluated) / "simulated_compound_predictions.csv")
    assert set(predictions["method"]) == {*PLAIN, "fusion", "fusion_expression"}
    for _, rows in predictions.groupby("method"):
        assert sorted(rows["compound_group"]) == sorted(set(examples.groups))
        probs = rows[list(examples.moas)].to_numpy()
        assert np.isfinite(probs).all()
        assert (probs >= 0).all()
        assert (probs <= 1).all()


def test_the_planted_signal_is_found(evaluated):
    metrics = json.loads((tables(evaluated) / "simulated_metrics.json").read_text())
    chance = metrics["prevalence"]["macro_auprc"]["estimate"]
    found = metrics["product_of_logistics"]["macro_auprc"]
    assert found["estimate"] > 2 * chance
    assert found["low"] < found["estimate"] < found["high"]


def test_the_folds_are_published_and_do_not_leak(evaluated, prepared):
    examples = build_examples(read_prepared(prepared))
    tested = []
    for fold in range(2):
        split = read_split(evaluated / "splits" / SPLIT / f"fold{fold}.json")
        check_no_leaks(split, examples)
        tested += [pert_id for pert_id, part in split.parts.items() if part == "test"]
    assert sorted(tested) == sorted(set(examples.table["pert_id"]))


def test_the_table_names_the_release_and_every_method(evaluated):
    table = (evaluated / "simulated_table.md").read_text()
    assert "simulated: compound_seed0" in table
    assert all(f"| {name}" in table for name in (*PLAIN, "fusion", "fusion_expression"))


def test_the_report_says_everything(evaluated):
    html = (evaluated / "simulated_report.html").read_text()
    titles = set(re.findall(r"<h2[^>]*>([^<]+)</h2>", html))
    for title in (
        *("main results", "results by MoA", "calibration", "confidence signals"),
        *("performance by stratum", "ablations", "robustness to noise", "hyperparameter selection"),
    ):
        assert f"{SPLIT}: {title}" in titles
    assert {"Comparison of splits", "unseen_moa_seed0: detection of unseen MoAs"} <= titles


def test_models_are_kept_where_the_configuration_says_so(evaluated):
    assert list((evaluated / "models" / SPLIT / "fold0").rglob("checkpoints"))


def test_two_evaluations_give_equal_bytes(evaluated, prepared, tmp_path):
    changes = MAIN + "; config.num_processes = 2"
    for workdir, text in (("first", MAIN), ("second", changes)):
        assert start(tmp_path, prepared, text, workdir) == 0
    first, second = tmp_path / "first", tmp_path / "second"
    files = {path.relative_to(first) for path in first.rglob("simulated_*") if path.is_file()}
    assert len(files) == 7
    for name in sorted(files):
        if "fit_seconds" not in name.name:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_what_was_done_is_not_done_again(prepared, tmp_path, monkeypatch):
    assert start(tmp_path, prepared) == 0
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").rglob("*.npz")}
    assert len(done) == 2 * len(PLAIN)
    more = MAIN.replace(")", ', "morgan_logistic")', 1)
    assert start(tmp_path, prepared, more) == 0
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").rglob("*.npz")}
    assert len(cells) == len(done) + 2
    assert done.items() <= cells.items()


def test_another_split_needs_another_folder(prepared, tmp_path, capsys):
    assert start(tmp_path, prepared) == 0
    assert start(tmp_path, prepared, MAIN + "; config.split.num_folds = 3") == 2
    assert "holds a run with split.num_folds=2, not 3; choose another" in capsys.readouterr().err


def test_predictions_made_elsewhere_are_scored(evaluated, prepared, tmp_path):
    predictions = pd.read_csv(tables(evaluated) / "simulated_compound_predictions.csv")
    mine = predictions[predictions["method"] == "product_of_logistics"].drop(columns="method")
    mine.to_csv(tmp_path / "mine.csv", index=False)
    options = [f"--predictions={tmp_path / 'mine.csv'}", f"--splits={evaluated / 'splits' / SPLIT}"]
    assert start(tmp_path, prepared, options=options) == 0
    ours = json.loads((tables(evaluated) / "simulated_metrics.json").read_text())
    theirs = json.loads((tables(tmp_path / "out") / "simulated_metrics.json").read_text())
    assert set(theirs) == {"mine", "prevalence"}
    for metric in ("macro_auprc", "top1", "log_loss"):
        expected = ours["product_of_logistics"][metric]["estimate"]
        assert theirs["mine"][metric]["estimate"] == pytest.approx(expected, rel=1e-6)
        expected = ours["prevalence"][metric]["estimate"]
        assert theirs["prevalence"][metric]["estimate"] == pytest.approx(expected, rel=1e-6)


def test_predictions_need_their_splits(prepared, tmp_path, capsys):
    assert start(tmp_path, prepared, options=["--predictions=mine.csv"]) == 2
    assert "--predictions needs --splits: the split manifest" in capsys.readouterr().err
    assert start(tmp_path, prepared, options=["--splits=here"]) == 2
    assert "give both or neither" in capsys.readouterr().err


def test_an_unknown_method_is_named(prepared, tmp_path, capsys):
    assert start(tmp_path, prepared, 'config.blocks.main = block(("horoscope",))') == 2
    assert (
        "error: config.blocks.main.methods: there is no 'horoscope'; expected one of fusion,"
        in (capsys.readouterr().err)
    )


def test_a_missing_prepared_folder_is_named(tmp_path, capsys):
    assert start(tmp_path, tmp_path / "nothing") == 2
    assert f"error: there is no prepared folder {tmp_path / 'nothing'}." in capsys.readouterr().err
