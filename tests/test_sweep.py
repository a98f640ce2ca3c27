"""The search for settings: what it reads, what it never reads, how it goes on, what it leaves."""

import dataclasses
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import optuna
import pandas as pd
import pytest

from launch import sweep, sweep_study
from launch.sweep_report import best_config, best_trials
from launch.sweep_space import read_space, values_in
from moa_jax import train
from moa_jax.command_line import load_config
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.partition import split_by_config
from moa_jax.data.splits.rules import make_split
from moa_jax.data.storage.prepared_folder import read_prepared, write_prepared
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.schemas import InputError
from moa_jax.training.fusion_fit import fit_fusion
from tests.sweep_place import RIDGE, fake_score, make_dataset, make_place, refusal, tiny_config

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[1]
FINISH_WITHIN_S = 300
# A process whose fits cost nothing. Given a number of fits, it kills itself at the start of the
# next one; given none, it waits in its first fit until the other process has been killed, so that
# both have trials whichever starts first.
PROCESS = """
import os, pathlib, sys, time
from launch import sweep
from tests.sweep_place import fake_score

was_killed = pathlib.Path(sys.argv[1])
fits_left = [int(number) for number in sys.argv[2].split()]

def score(search, config, fold, folder):
    if fits_left == [0]:
        was_killed.touch()
        os.kill(os.getpid(), 9)
    if fits_left:
        fits_left[0] -= 1
    while not fits_left and not was_killed.exists():
        time.sleep(0.05)
    return fake_score(search, config, fold, folder)

sweep.Search._score = score
sys.exit(sweep.run(sys.argv[3:]))
"""


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(sweep.Search, "_score", fake_score)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of two trials that were really trained."""
    place = make_place(tmp_path_factory.mktemp("sweep"))
    assert place.start() == 0
    return place


# --- a study that trains ---------------------------------------------------------------------


def test_the_first_trial_is_the_config_itself_scored_on_validation(finished, tmp_path):
    first, second = finished.told()
    config = tiny_config()
    assert first[1] == values_in(config, read_space(finished.folder / "space.py", config))
    assert second[1] != first[1]
    dataset = read_prepared(finished.folder / "prepared")
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    folds = sweep.folds_without_test(
        examples, split_by_config(config, examples, validation_fraction=0.0), config, None
    )
    expected = []
    for number, (training, validation) in enumerate(folds):
        fit = fit_fusion(config, training, validation, dataset.graph, tmp_path / str(number))
        probs, labels, _ = pool_by_compound(
            fit.validation_probs["fusion"], validation.labels, validation.groups
        )
        expected.append(macro_auprc(probs, labels))
    np.testing.assert_allclose(first[2], expected, rtol=1e-6)
    assert finished.trials()[0].value == pytest.approx(np.mean(expected))


def test_the_report_has_the_trials_and_the_best_config(finished):
    out = finished.folder / "out"
    # The runs of the trials are gone.
    assert sorted(path.name for path in out.iterdir()) == [
        "best_config.py",
        "trials.csv",
        "trials.md",
    ]
    table = pd.read_csv(out / "trials.csv")
    told = finished.told()
    np.testing.assert_allclose(table[["fold_0", "fold_1"]], [scores for *_, scores in told])
    np.testing.assert_allclose(table["macro_auprc"], table[["fold_0", "fold_1"]].mean(axis=1))
    np.testing.assert_allclose(table[RIDGE], [params[RIDGE] for _, params, _ in told], rtol=1e-8)
    lines = (out / "trials.md").read_text().splitlines()
    assert lines[0].startswith("made up: study s, 2 trials, 0 of them pruned")
    best = table["macro_auprc"].max()
    assert f"{best:.3f}" in lines[4]
    assert f"macro AUPRC {best:.3f}" in (out / "best_config.py").read_text()


def test_moa_jax_train_starts_with_the_best_config(finished, tmp_path):
    path = str(finished.folder / "out" / "best_config.py")
    config = tiny_config()
    config.data = str(finished.folder / "prepared")
    study = optuna.load_study(study_name="s", storage=finished.storage)
    parameters = read_space(finished.folder / "space.py", config)
    best = best_trials(study)[0]
    loaded = load_config(path)
    assert loaded.to_dict() == best_config(best, config, parameters).to_dict()
    assert loaded.kernels.signature.ridge == best.params[RIDGE]
    assert isinstance(loaded.model.experts, tuple)
    assert train.run([f"--config={path}", f"--workdir={tmp_path}", "--config.baselines=()"]) == 0


def test_a_second_start_trains_nothing_and_gives_the_same_bytes(finished, monkeypatch):
    monkeypatch.setattr(sweep.Search, "_score", None)
    out = finished.folder / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert finished.start() == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert finished.start("--report", folder="report") == 0
    report = finished.folder / "report"
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before


# --- the test part ---------------------------------------------------------------------------


def poisoned(examples, rows):
    """The same examples with nonsense in some rows; keys and groups stay."""
    expression, labels = examples.expression.copy(), examples.labels.copy()
    expression[rows], labels[rows] = 1e6, 1 - labels[rows]
    smiles = np.array(examples.smiles, dtype=object)
    smiles[rows] = "c1ccccc1"
    return dataclasses.replace(examples, expression=expression, labels=labels, smiles=tuple(smiles))


def test_poison_in_the_test_part_changes_no_fold():
    config = tiny_config()
    examples = build_examples(make_dataset(), min_compounds=config.min_compounds)
    split = split_by_config(config, examples, validation_fraction=0.0)
    tested = split_rows(split, examples)["test"]
    assert len(tested) == 16
    clean = sweep.folds_without_test(examples, split, config, None)
    other = sweep.folds_without_test(poisoned(examples, tested), split, config, None)
    assert len(clean) == len(other) == 2
    for parts in zip(clean, other, strict=True):
        for left, right in zip(*parts, strict=True):
            np.testing.assert_array_equal(left.expression, right.expression)
            np.testing.assert_array_equal(left.labels, right.labels)
            pd.testing.assert_frame_equal(left.table, right.table)
            assert left.smiles == right.smiles


def test_poison_in_the_test_part_changes_no_trial(finished):
    dataset = read_prepared(finished.folder / "prepared")
    config = tiny_config()
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    tested = split_rows(split_by_config(config, examples, validation_fraction=0.0), examples)[
        "test"
    ]
    expression = np.array(dataset.signatures.expression)
    names = set(examples.table["sig_id"].iloc[tested])
    expression[dataset.signatures.table["sig_id"].isin(names)] = -1e6
    signatures = dataclasses.replace(dataset.signatures, expression=expression)
    write_prepared(
        finished.folder / "poisoned", dataclasses.replace(dataset, signatures=signatures)
    )
    assert finished.start(study="poisoned", data="poisoned", folder="poisoned_out") == 0
    assert finished.told("poisoned") == finished.told()


@pytest.mark.parametrize("rule", ["compound", "scaffold", "unseen_moa", "random_signature"])
def test_folds_divide_what_the_config_does_not_test(rule):
    config = tiny_config()
    config.split.rule, config.split.fold = rule, 1
    examples = build_examples(make_dataset(), min_compounds=config.min_compounds)
    split = split_by_config(config, examples, validation_fraction=0.0)
    own = make_split(rule, examples, fold=1, num_folds=3, seed=0, validation_fraction=0.5)
    tested = split_rows(own, examples)["test"]
    np.testing.assert_array_equal(split_rows(split, examples)["test"], tested)
    rest = sorted(set(examples.table["sig_id"]) - set(examples.table["sig_id"].iloc[tested]))
    folds = sweep.folds_without_test(examples, split, config, None)
    validated = [name for _, part in folds for name in part.table["sig_id"]]
    assert sorted(validated) == rest
    for training, validation in folds:
        assert set(training.table["sig_id"]).isdisjoint(validation.table["sig_id"])
        if rule in ("compound", "unseen_moa"):
            # MoAs that are scored were learned.
            assert training.labels.any(axis=0)[validation.labels.any(axis=0)].all()


# --- going on, sharing, giving up ------------------------------------------------------------


def test_a_study_in_pieces_is_the_study_in_one(place, fast, monkeypatch):
    # Both ways of drawing settings take part.
    monkeypatch.setattr(sweep_study, "NUM_RANDOM_TRIALS", 4)
    assert place.start(study="whole", trials=9) == 0
    for trials in (3, 4, 9):
        assert place.start(study="pieces", trials=trials) == 0
    assert place.told("pieces") == place.told("whole")
    assert len(place.trials("whole")) == 9
    assert place.start("--seed=1", study="seed", trials=9) == 0
    whole, other = place.told("whole"), place.told("seed")
    assert other[0] == whole[0]
    assert not any(mine[1] == its[1] for mine, its in zip(other[1:], whole[1:], strict=True))


def test_processes_share_a_study_and_a_killed_one_loses_its_trial(place, monkeypatch):
    def process(num_fits):
        marker = str(place.folder / "was_killed")
        command = [sys.executable, "-c", PROCESS, marker, num_fits, *place.flags(trials=8)]
        return subprocess.Popen(command, cwd=ROOT)

    killed, other = process("3"), process("")
    assert killed.wait(FINISH_WITHIN_S) == -9
    assert other.wait(FINISH_WITHIN_S) == 0
    states = [state for state, _, _ in place.told()]
    assert states.count("RUNNING") == 1
    lost = states.index("RUNNING")
    assert all(len(scores) for state, _, scores in place.told() if state != "RUNNING")
    assert len(states) - 1 in (8, 9)
    params = [str(params) for _, params, _ in place.told()]
    assert len(set(params)) == len(params)
    # Whoever starts the next trial finds that nobody runs the lost one any more.
    monkeypatch.setattr(sweep_study, "HEARTBEAT_S", 1)
    monkeypatch.setattr(sweep_study, "DEAD_AFTER_S", 1)
    monkeypatch.setattr(sweep.Search, "_score", fake_score)
    time.sleep(2.1)
    assert place.start(trials=10) == 0
    states = [state for state, _, _ in place.told()]
    assert states[lost] == "FAIL"
    assert states.count("COMPLETE") + states.count("PRUNED") == 10


def scores_by_trial(monkeypatch, table):
    def score(_, config, fold, folder):
        del config
        number = int(re.match(r"trial-(\d+)-", folder.parent.name)[1])
        if isinstance(table[number][fold], Exception):
            raise table[number][fold]
        return table[number][fold]

    monkeypatch.setattr(sweep.Search, "_score", score)


def test_a_trial_is_given_up_where_half_of_the_others_were_better(place, monkeypatch):
    monkeypatch.setattr(sweep_study, "NUM_UNPRUNED_TRIALS", 2)
    flags = ("--config.split.validation_fraction=0.34", "--config.split.num_folds=2")
    # Fold 0 is easy. After fold 1 the third trial is the worst, though its first score was best.
    table = [(0.6, 0.4, 0.4), (0.6, 0.4, 0.4), (0.7, 0.2, 0.9), (0.6, 0.5, 0.2)]
    scores_by_trial(monkeypatch, table)
    assert place.start(*flags, trials=4) == 0
    assert [(state, tuple(scores)) for state, _, scores in place.told()] == [
        ("COMPLETE", table[0]),
        ("COMPLETE", table[1]),
        ("PRUNED", table[2][:2]),
        ("COMPLETE", table[3]),
    ]
    row = pd.read_csv(place.folder / "out/trials.csv").loc[2]
    assert row["state"] == "pruned"
    assert row["macro_auprc"] == pytest.approx(0.45)
    assert pd.isna(row["fold_2"])
    # Of equal ones the first is the best.
    assert "Trial 0 of the study s" in (place.folder / "out/best_config.py").read_text()


def test_a_loss_that_is_not_finite_ends_the_trial_alone(place, monkeypatch, capfd):
    scores_by_trial(monkeypatch, [(0.5, FloatingPointError("the loss is nan")), (0.3, 0.3)])
    assert place.start() == 0
    assert [state for state, _, _ in place.told()] == ["PRUNED", "COMPLETE"]
    assert place.trials()[0].intermediate_values == {0: 0.5, 1: 0.5}
    assert "trial 0, fold 1: the loss is nan" in capfd.readouterr().err


def test_settings_that_cannot_be_used_end_the_search_in_one_sentence(place, monkeypatch, capfd):
    scores_by_trial(monkeypatch, [(InputError("the batch does not fit."),)])
    assert refusal(capfd, place.start()) == "error: the batch does not fit."
    assert [state for state, _, _ in place.told()] == ["FAIL"]
    assert list((place.folder / "out").iterdir()) == []
