"""Every command of the documents is one that the programs accept, with keys that exist."""

import importlib
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("README.md", "*/README.md", "experiments/*/README.md", "configs/**/*.py")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def commands(path):
    text = re.sub(r"\\\\?\n\s*", " ", path.read_text())
    # A program named in prose has no options.
    return re.findall(r"python -m (moa_jax\.\w+ --[^\n`#|>]*)", text)


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


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert named
    assert named <= targets
