"""The search for settings: what it reads, what it never reads, how it goes on, what it leaves."""

import dataclasses
import pathlib
import re
import shlex
import subprocess
import sys
import time

import numpy as np
import optuna
import pandas as pd
import pytest

from configs import fusion
from launch import sweep, sweep_study
from launch.sweep_report import FOLD_SCORES, best_config, best_trials
from launch.sweep_space import Parameter, read_space, values_in, with_values
from moa_jax import train
from moa_jax.command_line import load_config
from moa_jax.data.examples import build_examples
from moa_jax.data.prepared import read_prepared, write_prepared
from moa_jax.data.split_rules import make_split
from moa_jax.data.splits import split_rows
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.schemas import InputError
from moa_jax.training.recipe import fit_fusion
from tests import small_sets, synthetic

ROOT = pathlib.Path(__file__).parents[1]
SPACES = sorted((ROOT / "configs/sweeps").glob("*.py"))
KERNELS = ("signature_kernel", "structure_kernel")
RIDGE = "kernels.signature.ridge"
SPACE = {
    RIDGE: ("log_uniform", 0.01, 10.0),
    "scale_prior": ("uniform", 1.0, 9.0),
    "model.molecule_layers": ("int", 1, 3),
    "model.experts": ("choice", (KERNELS, KERNELS[:1])),
}
FINISH_WITHIN_S = 300

CONFIG_FILE = """
from tests.test_sweep import tiny_config

def get_config():
    return tiny_config()
"""
# A process whose fits cost nothing; it kills itself at the start of fit number argv[1].
PROCESS = """
import os, sys
from launch import sweep
from tests.test_sweep import fake_score

fits = iter(range(int(sys.argv[1])))

def score(search, config, fold, folder):
    if next(fits, None) is None:
        os.kill(os.getpid(), 9)
    return fake_score(search, config, fold, folder)

sweep.Search._score = score
sys.exit(sweep.run(sys.argv[2:]))
"""


def tiny_config():
    config = synthetic.tiny_config(min_compounds=2)
    config.model.experts = KERNELS
    config.split.num_folds = 3
    config.split.validation_fraction = 0.5
    return config


def fake_score(_, config, fold, folder):
    """Best where the ridge is 1, whatever the fold."""
    time.sleep(0.01)
    return 1 / (1 + abs(np.log(config.kernels.signature.ridge)) + 0.1 * fold)


def make_dataset(seed=0):
    rows = [
        (f"P{row:02d}", f"G{row:02d}", small_sets.ALCOHOLS[row], (f"moa {row % 3}",))
        for row in range(24)
    ]
    pert_ids = [row[0] for row in rows for _ in range(2)]
    return small_sets.dataset(rows, pert_ids, manifest={"release": "made up"}, seed=seed)


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with data, a config and a search space."""

    folder: pathlib.Path

    @property
    def storage(self):
        return f"sqlite:///{self.folder}/database/study.db"

    def flags(self, *more, study="s", trials=2, folder="out", data="prepared"):
        return [
            f"--config={self.folder / 'config.py'}",
            f"--config.data={self.folder / data}",
            f"--space={self.folder / 'space.py'}",
            f"--study={study}",
            f"--storage={self.storage}",
            f"--trials={trials}",
            f"--workdir={self.folder / folder}",
            *more,
        ]

    def start(self, *more, **changes):
        return sweep.run(self.flags(*more, **changes))

    def trials(self, study="s"):
        return optuna.load_study(study_name=study, storage=self.storage).trials

    def told(self, study="s"):
        """What was tried and how it was scored."""
        return [
            (trial.state.name, trial.params, trial.user_attrs.get(FOLD_SCORES))
            for trial in self.trials(study)
        ]


def make_place(folder, space=SPACE):
    write_prepared(folder / "prepared", make_dataset())
    (folder / "config.py").write_text(CONFIG_FILE)
    (folder / "space.py").write_text(f"def get_space():\n    return {space!r}\n")
    return Place(folder)


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


def refusal(capfd, status):
    assert status == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


# --- a study that trains ---------------------------------------------------------------------


def test_the_first_trial_is_the_config_itself_scored_on_validation(finished, tmp_path):
    first, second = finished.told()
    config = tiny_config()
    assert first[1] == values_in(config, read_space(finished.folder / "space.py", config))
    assert second[1] != first[1]
    dataset = read_prepared(finished.folder / "prepared")
    examples = build_examples(dataset, min_compounds=config.min_compounds)
    folds = sweep.folds_without_test(examples, sweep.split_off_test(examples, config), config, None)
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
    assert lines[0].startswith("made up: study s, 2 trials, 0 of them given up early")
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
    split = sweep.split_off_test(examples, config)
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
    tested = split_rows(sweep.split_off_test(examples, config), examples)["test"]
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
    split = sweep.split_off_test(examples, config)
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
        command = [sys.executable, "-c", PROCESS, str(num_fits), *place.flags(trials=8)]
        return subprocess.Popen(command, cwd=ROOT)

    killed, other = process(3), process(1000)
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


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"training.lr": ("uniform", 0.0, 1.0)}, 'would have "lr" it has only balance_power, '),
        ({"modl.features": ("int", 1, 2)}, 'would have "modl" it has only baselines, '),
        ({"seed.of.it": ("int", 1, 2)}, 'would have "of" it has no settings at all.'),
        ({"model": ("int", 1, 2)}, 'varies "model", which is a group of settings: atom_features'),
        ({"model.features": ("uniform", 1, 2)}, "the value 1.0, but the config has 8 there, of"),
        ({"model.experts": ("choice", ("joint", 3))}, "of type tuple."),
        ({"scale_prior": ("log_uniform", 0.0, 1.0)}, "as ('log_uniform', 0.0, 1.0); expected (\""),
        ({"scale_prior": ("uniform", 2.0, 1.0)}, "as ('uniform', 2.0, 1.0); expected"),
        ({"scale_prior": ("normal", 0.0, 1.0)}, "as ('normal', 0.0, 1.0); expected"),
        ({"model.hidden": ("int", 1.5, 2)}, "as ('int', 1.5, 2); expected"),
        ({"model.hidden": ("choice", ())}, "as ('choice', ()); expected"),
        ({"model.hidden": 3}, "as 3; expected"),
        ({}, "get_space() must return a dict"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(tmp_path, capfd, space, message):
    place = make_place(tmp_path, space)
    assert message in refusal(capfd, place.start())
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "database").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no search space "),
        ("def space():\n    return {}", "has no function get_space()."),
        ("def get_space():\n    return 1 / 0", "fails with ZeroDivisionError: division by zero."),
        ("def get_space():\n    return {}['x']", "fails with KeyError: 'x'."),
    ],
)
def test_a_file_that_is_no_space_is_refused(place, capfd, text, message):
    path = place.folder / "space.py"
    path.unlink() if text is None else path.write_text(text)
    assert message in refusal(capfd, place.start())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--trials=many",), '--trials is "many", expected a whole number.'),
        (("--folds=3",), "--folds is 3, expected 1 to 2 as config.split.validation_fraction is"),
        (("--config.split.validation_fraction=0.0",), "is 0, so nothing can score a trial."),
        (("--study=a/b",), '--study is "a/b"; a name has letters'),
        (("--storage=nonsense",), 'the database "nonsense" cannot be opened: '),
        (("--storage=oracle://me:secret@host/x",), "oracle://me:***@host/x cannot be opened"),
        (("--report", "--study=none"), "there is no database "),
    ],
)
def test_options_that_cannot_be_used_are_refused(place, capfd, flags, message):
    assert message in refusal(capfd, place.start(*flags))


def test_a_study_of_something_else_is_refused(place, fast, capfd):
    assert place.start() == 0
    before = place.told()
    assert "has config.seed=0, not 1; choose" in refusal(capfd, place.start("--config.seed=1"))
    assert "has folds=2, not 1; choose" in refusal(capfd, place.start("--folds=1"))
    write_prepared(
        place.folder / "other", dataclasses.replace(make_dataset(1), manifest={"release": "new"})
    )
    assert "data.release=made up, not new" in refusal(capfd, place.start(data="other"))
    assert "there is no study t in" in refusal(capfd, place.start("--report", study="t"))
    assert place.told() == before
    # Another place of the same data is the same study.
    (place.folder / "prepared").rename(place.folder / "moved")
    assert place.start(data="moved", trials=3) == 0


def test_a_study_of_another_program_is_refused(place, monkeypatch, capfd):
    monkeypatch.setattr(sweep_study, "WAIT_S", 0.0)
    (place.folder / "database").mkdir()
    optuna.create_study(study_name="s", storage=place.storage)
    assert "the study s was made by another program." in refusal(capfd, place.start())


def test_a_config_outside_the_space_is_no_trial(tmp_path, fast, capfd):
    place = make_place(tmp_path, {RIDGE: ("uniform", 1.0, 2.0)})
    assert place.start() == 0
    assert all(1 <= params[RIDGE] <= 2 for _, params, _ in place.told())
    assert "the config itself lies outside the search space" in capfd.readouterr().err


# --- the spaces of the repository ------------------------------------------------------------


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_fits_its_config_and_names_its_command(path, monkeypatch):
    parameters = read_space(str(path), fusion.get_config())
    # The config itself is the first trial.
    assert values_in(fusion.get_config(), parameters) is not None
    (command,) = re.findall(
        r"python -m launch\.sweep (--[^\n]*)", re.sub(r"\\\n\s*", "", path.read_text())
    )
    calls = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sweep, "main", lambda **arguments: calls.append(arguments))
    assert sweep.run(shlex.split(command)) == 0
    assert calls[0]["space"] == str(path.relative_to(ROOT))


def test_a_choice_may_be_a_tuple():
    config = tiny_config()
    parameter = Parameter("model.experts", "choice", (KERNELS, KERNELS[:1]))
    stored = parameter.label_of(KERNELS[:1])
    assert stored == "('signature_kernel',)"
    assert with_values(config, {"model.experts": parameter.value_of(stored)}).model.experts == (
        "signature_kernel",
    )
    assert config.model.experts == KERNELS
