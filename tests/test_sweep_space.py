"""Search spaces, options and studies that the search refuses, and the spaces of the repository."""

import dataclasses
import pathlib
import re
import shlex

import optuna
import pytest

from configs import cross_attention, kernels
from launch import sweep, sweep_study
from launch.sweep_space import Parameter, read_space, values_in, with_values
from moa_jax.data.storage.prepared_folder import write_prepared
from tests.sweep_place import (
    KERNELS,
    RIDGE,
    fake_score,
    make_dataset,
    make_place,
    refusal,
    tiny_config,
)

ROOT = pathlib.Path(__file__).parents[1]
SPACES = sorted((ROOT / "configs/sweeps").glob("*.py"))


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(sweep.Search, "_score", fake_score)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"training.lr": ("uniform", 0.0, 1.0)},
            'the config has no "lr" there: it has only action_weight, ',
        ),
        (
            {"modl.features": ("int", 1, 2)},
            'the config has no "modl" there: it has only baselines, ',
        ),
        ({"seed.of.it": ("int", 1, 2)}, 'the config has no "of" there: it has no settings.'),
        ({"model": ("int", 1, 2)}, 'varies "model", which is a group of settings: atom_features'),
        (
            {"model.features": ("uniform", 1, 2)},
            "with the value 1.0, but the config's 8 is of type int",
        ),
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


def test_a_study_of_something_else_is_refused(place, capfd):
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


def test_a_config_outside_the_space_is_no_trial(tmp_path, capfd):
    place = make_place(tmp_path, {RIDGE: ("uniform", 1.0, 2.0)})
    assert place.start() == 0
    assert all(1 <= params[RIDGE] <= 2 for _, params, _ in place.told())
    assert "the config itself is outside the search space" in capfd.readouterr().err


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_fits_its_config_and_names_its_command(path, monkeypatch):
    config = {"kernels": kernels, "networks": cross_attention}[path.stem].get_config()
    parameters = read_space(str(path), config)
    # The config itself is the first trial.
    assert values_in(config, parameters) is not None
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
