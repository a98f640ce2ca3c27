"""What `predict` refuses, and the files that it never replaces."""

import resource

import numpy as np
import pytest

from moa_jax import predict
from tests.predict.files import (
    FILES,
    RAW,
    arguments,
    predicted,
    refused,
    write_matrix,
    write_siginfo,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("option", "value"), [("level", "five"), ("explain", "-1")])
def test_an_option_that_is_no_number_is_refused(inputs, tiny_run, capsys, option, value):
    message = refused(capsys, arguments(inputs, tiny_run, **{option: value}))
    assert f"--{option}={value} is not a whole number" in message


def test_bad_input_is_one_sentence_and_writes_nothing(inputs, tiny_run, capsys):
    argv = arguments(inputs, tiny_run)
    write_siginfo(inputs, RAW.table.assign(sig_id=["sig0", "sig0", *RAW.table["sig_id"][2:]]))
    assert "siginfo.txt repeats the sig_id sig0" in refused(capsys, argv)
    write_siginfo(inputs)
    path = write_matrix(inputs, gene_ids=["A", "B", "C", "D", "E"])
    assert "none of the 5 landmark genes" in refused(capsys, argv)
    write_matrix(inputs)
    path.write_bytes(path.read_bytes()[:1000])
    assert "signatures.gctx is a truncated or corrupt GCTX file" in refused(capsys, argv)
    # Beyond what the model's arithmetic can hold.
    write_matrix(inputs, RAW.expression * np.float32(2e37))
    assert "the scale of" in refused(capsys, argv)
    assert "no finite answer for the signature sig0" in refused(capsys, [*argv, "--scale=zscore"])
    assert not (inputs / "out").exists()


@pytest.mark.parametrize("name", ["workdir", "out"])
def test_a_missing_option_is_named(inputs, tiny_run, capsys, name):
    assert f"--{name} is needed" in refused(capsys, arguments(inputs, tiny_run, **{name: None}))


def test_a_folder_that_is_no_run_is_refused(inputs, capsys):
    message = refused(capsys, arguments(inputs, inputs))
    assert "is not the folder of a run: it has no config.json" in message


def test_what_is_no_prediction_is_never_deleted(inputs, tiny_run, capsys):
    (inputs / "out").mkdir()
    (inputs / "out" / "thesis.txt").write_text("years of work")
    message = refused(capsys, arguments(inputs, tiny_run))
    assert "out contains thesis.txt, which does not belong to the prediction" in message
    assert (inputs / "out" / "thesis.txt").read_text() == "years of work"
    file = inputs / "siginfo.txt"
    assert "is a file" in refused(capsys, arguments(inputs, tiny_run, out=file))


def test_a_full_disk_leaves_the_older_prediction(inputs, tiny_run, capsys):
    assert predict.run(arguments(inputs, tiny_run)) == 0
    before = {name: (inputs / "out" / name).read_bytes() for name in FILES}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        argv = [*arguments(inputs, tiny_run, compoundinfo=None), "--overwrite"]
        message = refused(capsys, argv)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot write" in message
    assert "nothing was left half written" in message
    assert {name: (inputs / "out" / name).read_bytes() for name in FILES} == before
    assert len(list(inputs.iterdir())) == 4


def test_an_earlier_answer_is_replaced_only_where_that_is_asked_for(inputs, tiny_run, capsys):
    (inputs / "out").mkdir()
    argv = arguments(inputs, tiny_run)
    assert predict.run(argv) == 0
    before = {name: (inputs / "out" / name).read_bytes() for name in FILES}
    fewer = arguments(inputs, tiny_run, compoundinfo=None)
    message = refused(capsys, fewer)
    assert "out contains an earlier prediction" in message
    assert "--overwrite" in message
    assert {name: (inputs / "out" / name).read_bytes() for name in FILES} == before
    assert predict.run([*fewer, "--overwrite"]) == 0
    assert sorted(path.name for path in (inputs / "out").iterdir()) == FILES
    assert predicted(inputs / "out")[1]["modalities_used"].tolist() == ["expression"] * 3
    # Other files are not replaced even so.
    (inputs / "out" / "thesis.txt").write_text("years of work")
    assert "thesis.txt" in refused(capsys, [*fewer, "--overwrite"])
    assert len(list(inputs.iterdir())) == 4
