"""Every command of the documents is one that the programs accept; those of the README are run."""

import importlib
import pathlib
import re
import shlex
import shutil

import pandas as pd
import pytest

from moa_jax.calibration.calibration_store import HELD_OUT_FILE
from moa_jax.command_line import load_config
from tests import tiny_release

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("README.md", "*/README.md", "experiments/*/README.md", "configs/**/*.py")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def commands(path, packages="moa_jax"):
    text = re.sub(r"\\\\?\n\s*", " ", path.read_text())
    # A program named in prose has no options.
    return re.findall(rf"python -m ((?:{packages})\.[\w.]+ --[^\n`#|>]*)", text)


FOUND = [(path.relative_to(ROOT), command) for path in DOCUMENTS for command in commands(path)]


def test_the_documents_have_commands():
    assert {command.split()[0] for _, command in FOUND} == {
        "moa_jax.prepare",
        "moa_jax.train",
        "moa_jax.evaluate",
        "moa_jax.predict",
        "moa_jax.explain",
    }


@pytest.mark.parametrize(("path", "command"), FOUND, ids=lambda value: str(value)[:60])
def test_a_command_is_understood(path, command, monkeypatch, capsys):
    name, *argv = shlex.split(command)
    program = importlib.import_module(name)
    calls = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(program, "main", lambda **arguments: calls.append(arguments))
    assert program.run(argv) == 0, capsys.readouterr().err
    assert len(calls) == 1


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def tiny_flags(config_file):
    """What makes a configuration fit the tiny release."""
    config = load_config(config_file).to_dict()
    if "blocks" in config:
        yield from ("--config.num_processes=1", "--config.statistics.num_resamples=20")
        yield "--config.split.num_folds=2"
        for name, own in config["blocks"].items():
            yield f"--config.blocks.{name}.methods=('prevalence',)"
            yield f"--config.blocks.{name}.seeds=(0,)"
            # The tiny release has two cell lines, too few to hold some out.
            splits = tuple(rule for rule in own["splits"] if rule != "cell_line")
            yield f"--config.blocks.{name}.splits={splits}"
    elif "files" in config:
        tiny = dict(flat(tiny_release.config_of().to_dict()))
        for key, value in flat(config):
            if key in tiny and tiny[key] != value and key not in ("out", "raw_dir"):
                yield f"--config.{key}={value_of(tiny[key])}"


def value_of(value):
    return value if isinstance(value, str) else repr(value)


@pytest.fixture
def user(tmp_path, prepared_release, monkeypatch):
    """A folder as a user has it who follows the README, with files of the tiny release."""
    release = prepared_release.parent / "raw"
    for name in ("configs", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "FOLDER").symlink_to(release)
    shutil.copy(release / "level5.gctx", tmp_path / "plate.gctx")
    shutil.copy(release / "siginfo.txt", tmp_path / "siginfo.txt")
    shutil.copy(release / "compoundinfo.txt", tmp_path / "compounds.txt")
    tiny_release.read_tsv(release / "compoundinfo.txt").to_csv(
        tmp_path / "compounds.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names_held_out(run):
    return pd.read_parquet(run / HELD_OUT_FILE)["compound"].unique()[:2]


def answers_elsewhere(benchmark):
    """A file as somebody else would make it: here with what the benchmark's own method says."""
    table = pd.read_csv(benchmark / "simulated_compound_predictions.csv")
    own = table[table["method"] == table["method"].iloc[0]]
    return own.drop(columns=["method", "moas"])


def made_by(argv):
    """Folders that a command names as its result."""
    names = ("--out=", "--workdir=", "--config.out=")
    return [arg.partition("=")[2] for arg in argv if arg.startswith(names)]


def on_tiny_data(name, argv, user, prepared_release):
    """The command's flags and what makes it fit the tiny release."""
    given = dict(argument.lstrip("-").partition("=")[::2] for argument in argv)
    flags = [*argv, *(tiny_flags(given["config"]) if "config" in given else ())]
    if name == "moa_jax.train" and "config.data" not in given:
        flags.append(f"--config.data={prepared_release}")
    if "compounds" in given:
        flags.append(f"--compounds={','.join(names_held_out(user / given['workdir']))}")
    if "predictions" in given:
        tables = user / "runs/benchmark/tables" / pathlib.Path(given["splits"]).name
        answers_elsewhere(tables).to_csv(user / given["predictions"], index=False)
    return flags


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(user, prepared_release, capsys):
    failed = []
    for command in commands(ROOT / "README.md", "moa_jax|experiments"):
        name, *argv = shlex.split(command)
        program = importlib.import_module(name)
        try:
            flags = on_tiny_data(name, argv, user, prepared_release)
            # The experiments end with an exception where they fail.
            status = program.run(flags) if hasattr(program, "run") else program.main(flags)
            is_there = all(any((user / folder).iterdir()) for folder in made_by(argv))
            if status or not is_there:
                failed.append((command, capsys.readouterr().err.splitlines()[-1:]))
        # Each command is tried, so that one run of the test says all that is wrong.
        except Exception as error:
            failed.append((command, repr(error)))
    assert failed == []


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)\b", (ROOT / "README.md").read_text()))
    assert named
    assert named <= targets
