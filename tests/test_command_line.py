import subprocess
import sys

import pytest

from moa_jax import command_line
from moa_jax.command_line import Option
from moa_jax.schemas import InputError

CONFIG = """
import ml_collections

def get_config(size="1"):
    config = ml_collections.ConfigDict()
    config.raw_dir = ""
    config.size = int(size)
    config.rate = 0.5
    config.kinds = ("a", "b")
    config.strict = True
    config.graph = ml_collections.ConfigDict({"min_score": 700})
    return config
"""
WORKDIR = Option("workdir", "folder of the run", required=True)
OUT = Option("out", "folder of the answer", default="answers")


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


class Program:
    """A program that keeps what it was called with."""

    def __init__(self, failure=None):
        self.called, self.failure = [], failure

    def main(self, **arguments):
        self.called.append(arguments)
        if self.failure:
            raise self.failure

    def run(self, *argv, options=(WORKDIR, OUT), **settings):
        return command_line.run(
            self.main, description="Does it.", options=options, argv=argv, **settings
        )


def refused(capsys, program, *argv, **settings):
    """The one sentence of a refused start."""
    assert program.run(*argv, **settings) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert not program.called
    return output.err.removeprefix("error: ").strip()


def test_options_and_overrides_arrive(config_file):
    program = Program()
    status = program.run(
        f"--config={config_file}",
        "--workdir=runs/a",
        "--config.graph.min_score=400",
        "--config.size=7",
        "--config.rate=1",
        "--config.kinds=('c',)",
        "--noconfig.strict",
    )
    (called,) = program.called
    assert status == 0
    assert called.pop("config").to_dict() == {
        "raw_dir": "",
        "size": 7,
        "rate": 1.0,
        "kinds": ("c",),
        "strict": False,
        "graph": {"min_score": 400},
    }
    assert called == {"workdir": "runs/a", "out": "answers"}


def test_a_value_may_stand_apart_and_a_config_may_have_an_argument(config_file):
    program = Program()
    assert program.run("--config", f"{config_file}:5", "--workdir", "w", "--out", "o") == 0
    assert program.called[0]["config"].size == 5
    assert program.called[0]["out"] == "o"


def test_the_config_is_locked(config_file):
    program = Program()
    program.run(f"--config={config_file}", "--workdir=w")
    with pytest.raises(AttributeError):
        program.called[0]["config"].new_key = 1


def test_two_programs_in_one_process_do_not_meet(config_file):
    first, second = Program(), Program()
    assert first.run(f"--config={config_file}", "--workdir=a", "--config.size=2") == 0
    assert second.run(f"--config={config_file}", "--workdir=b") == 0
    assert [p.called[0]["config"].size for p in (first, second)] == [2, 1]


def test_a_program_without_config():
    program = Program()
    assert program.run("--workdir=w", takes_config=False) == 0
    assert program.called == [{"workdir": "w", "out": "answers"}]


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--config.rawdir=x", 'the config has no key "rawdir"; did you mean "raw_dir"?'),
        (
            "--config.graph.minscore=3",
            'the config has no key "graph.minscore"; did you mean "graph.min_score"?',
        ),
        (
            "--config.zzz=3",
            'the config has no key "zzz"; it has graph.min_score, kinds, rate, raw_dir, size, '
            "strict.",
        ),
        ("--config.graph=3", 'config.graph is a group of keys, such as "graph.min_score".'),
        ("--config.size=many", "flag --config.size=many: invalid literal for int() with base 10:"),
        ("--config.size", "Missing value for flag --config.size."),
        ("--workdri=x", "Unknown command line flag 'workdri'. Did you mean: workdir ?"),
        ("extra", 'unexpected argument "extra"; options are written --name=VALUE.'),
    ],
)
def test_a_wrong_argument_is_refused_in_one_sentence(config_file, capsys, argument, sentence):
    found = refused(capsys, Program(), f"--config={config_file}", "--workdir=w", argument)
    assert found.startswith(sentence)


def test_a_missing_option_is_named(config_file, capsys):
    found = refused(capsys, Program(), f"--config={config_file}")
    assert found == "--workdir is needed: folder of the run."
    found = refused(capsys, Program(), "--workdir=w")
    assert found == "--config=FILE is needed, such as --config=configs/fusion.py."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1 / 0", "fails with ZeroDivisionError: division by zero."),
        ("def get_config(:", "fails with SyntaxError: "),
        ("import not_a_package", "fails with ModuleNotFoundError: No module named 'not_a_package'"),
        ("def get_config(): raise ValueError", "fails with ValueError: no reason given."),
        ("x = 1", "has no function get_config()."),
        ("def get_config(): return 3", "returns int; get_config() must return an ml_collections"),
    ],
)
def test_a_config_that_fails_is_refused_in_one_sentence(tmp_path, capsys, text, sentence):
    path = tmp_path / "bad.py"
    path.write_text(text)
    found = refused(capsys, Program(), f"--config={path}", "--workdir=w")
    assert found.startswith(f"the config file {path} {sentence}")


def test_a_config_that_is_not_there(capsys):
    found = refused(capsys, Program(), "--config=nowhere/none.py", "--workdir=w")
    assert found == "there is no config file nowhere/none.py."


def test_bad_input_found_by_the_program(config_file, capsys):
    program = Program(InputError("F.gctx has no landmark."))
    assert program.run(f"--config={config_file}", "--workdir=w") == 2
    assert capsys.readouterr().err == "error: F.gctx has no landmark.\n"


def test_a_fault_of_the_program_keeps_its_traceback(config_file):
    with pytest.raises(ZeroDivisionError):
        Program(ZeroDivisionError()).run(f"--config={config_file}", "--workdir=w")


def test_ctrl_c_is_no_fault(config_file, capsys):
    assert Program(KeyboardInterrupt()).run(f"--config={config_file}", "--workdir=w") == 130
    assert capsys.readouterr().err == "interrupted.\n"


def test_help_names_options_and_keys(config_file, capsys):
    program = Program()
    assert program.run("--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("Does it.\n")
    assert "--workdir=VALUE     folder of the run (required)" in text
    assert "--out=VALUE         folder of the answer [answers]" in text
    assert program.run("--help", f"--config={config_file}") == 0
    assert "  --config.graph.min_score=700\n" in capsys.readouterr().out
    assert not program.called


def test_prepare_has_a_help_page():
    done = subprocess.run(
        [sys.executable, "-m", "moa_jax.prepare", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "python -m moa_jax.prepare --config=configs/data/lincs2020.py" in done.stdout
    assert "--config=FILE" in done.stdout
