"""The evaluate program on a tiny simulated release."""

import json

import numpy as np
import pandas as pd
import pytest

from moa_jax import evaluate
from moa_jax.data.examples import build_examples
from moa_jax.data.preparation import prepare
from moa_jax.data.prepared import read_prepared, write_prepared
from moa_jax.data.splits import check_no_crossing, read_split
from tests.tiny_release import config_of, make_release

CONFIG = """
from configs import main_result

def get_config():
    config = main_result.get_config()
    config.methods = {methods}
    config.data = {data!r}
    config.fusion = {fusion!r}
    config.split.num_folds = 2
    config.split.validation_fraction = 0.34
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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    make_release(folder / "release")
    write_prepared(folder / "prepared", prepare(config_of(folder / "release")))
    return folder / "prepared"


def start(folder, prepared, methods, workdir="out"):
    folder.mkdir(exist_ok=True)
    (folder / "fusion.py").write_text(FUSION)
    config = folder / "config.py"
    config.write_text(
        CONFIG.format(methods=methods, data=str(prepared), fusion=str(folder / "fusion.py"))
    )
    argv = [f"--config={config}", f"--workdir={folder / workdir}"]
    return evaluate.run(argv)


@pytest.fixture(scope="module")
def evaluated(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    assert start(folder, prepared, (*PLAIN, "fusion", "fusion_expression")) == 0
    return folder / "out"


def test_every_compound_is_predicted_once_by_every_method(evaluated, prepared):
    examples = build_examples(read_prepared(prepared))
    predictions = pd.read_csv(evaluated / "simulated_compound_predictions.csv")
    for _, rows in predictions.groupby("method"):
        assert sorted(rows["compound_group"]) == sorted(set(examples.groups))
        probs = rows[list(examples.moas)].to_numpy()
        assert np.isfinite(probs).all()
        assert (probs >= 0).all()
        assert (probs <= 1).all()
    assert list(json.loads((evaluated / "simulated_metrics.json").read_text())) == sorted(
        (*PLAIN, "fusion", "fusion_expression")
    )


def test_the_planted_signal_is_found(evaluated):
    metrics = json.loads((evaluated / "simulated_metrics.json").read_text())
    chance = metrics["prevalence"]["macro_auprc"]
    assert metrics["product_of_logistics"]["macro_auprc"] > 2 * chance


def test_the_folds_are_published_and_do_not_leak(evaluated, prepared):
    examples = build_examples(read_prepared(prepared))
    tested = []
    for fold in range(2):
        split = read_split(evaluated / "splits" / f"fold_{fold}.json")
        check_no_crossing(split, examples)
        tested += [pert_id for pert_id, part in split.parts.items() if part == "test"]
    assert sorted(tested) == sorted(set(examples.table["pert_id"]))


def test_the_table_names_the_release_and_every_method(evaluated):
    table = (evaluated / "simulated_table.md").read_text()
    assert table.startswith("simulated: ")
    assert all(f"| {name}" in table for name in (*PLAIN, "fusion", "fusion_expression"))


def test_two_evaluations_give_equal_bytes(evaluated, prepared, tmp_path):
    for workdir in ("first", "second"):
        assert start(tmp_path, prepared, PLAIN, workdir) == 0
    for name in (
        "simulated_metrics.json",
        "simulated_per_moa.csv",
        "simulated_compound_predictions.csv",
        "simulated_table.md",
    ):
        first, second = (tmp_path / workdir / name for workdir in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_an_unknown_method_is_named(prepared, tmp_path, capsys):
    assert start(tmp_path, prepared, ("horoscope",)) == 2
    assert "error: there is no method 'horoscope'; the methods are fusion," in (
        capsys.readouterr().err
    )


def test_a_missing_prepared_folder_is_named(tmp_path, capsys):
    assert start(tmp_path, tmp_path / "nothing", PLAIN) == 2
    assert f"error: there is no prepared folder {tmp_path / 'nothing'}." in capsys.readouterr().err
