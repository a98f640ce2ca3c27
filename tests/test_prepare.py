import errno
import filecmp
import os

import numpy as np
import pytest

from moa_jax import command_line, prepare
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.files import read_json, write_json
from moa_jax.schemas import PREPARED_FORMAT_VERSION
from tests import tiny_release
from tests.tiny_release import edit_gctx, edit_text, edit_tsv


@pytest.fixture
def release(tiny_folder):
    return tiny_folder / "raw"


@pytest.fixture
def raw(release, tmp_path):
    return tiny_release.copy_release(release, tmp_path / "raw")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts the program on the tiny release."""
    monkeypatch.delenv(prepare.RAW_DIR_VARIABLE, raising=False)
    config = tmp_path / "own.py"
    config.write_text(tiny_release.CONFIG_FILE)

    def run(*overrides, raw_dir=tmp_path / "raw", out=tmp_path / "outs" / "prepared"):
        (tmp_path / "outs").mkdir(exist_ok=True)
        given = [f"--config={config}", f"--config.out={out}"]
        given += [f"--config.raw_dir={raw_dir}"] if raw_dir else []
        return prepare.run([*given, *(f"--config.{text}" for text in overrides)])

    return run


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_equal_bytes(first, second):
    names = files_of(first)
    assert names == files_of(second)
    assert len(names) == 13
    assert filecmp.cmpfiles(first, second, names, shallow=False) == (names, [], [])


def last_error(capsys):
    """The one sentence that the program ends with."""
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert lines[-1].startswith("error: ")
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert "Traceback" not in output.err
    assert output.out == ""
    return lines[-1].removeprefix("error: ")


def test_the_program_says_what_it_kept_and_where_it_lies(raw, start, capsys, tmp_path):
    assert start("filters.min_tas=0.2", "filters.keep_missing=False") == 0
    text = capsys.readouterr().out
    manifest = read_json(tmp_path / "outs" / "prepared" / "manifest.json")
    counts = manifest["signatures"]
    assert counts["found"] == 120
    assert counts["dropped"]["pert_type is ctl_vehicle"] == 24
    assert counts["kept"] + sum(counts["dropped"].values()) == counts["found"]
    assert f"signatures: {counts['kept']} of 120 kept\n" in text
    assert f"  {counts['dropped']['tas is below 0.2']} dropped: tas is below 0.2\n" in text
    assert "landmarks: 60 of 60 measured; of these 60 in STRING (60 with a link)" in text
    assert text.endswith(f"prepared folder: {tmp_path / 'outs' / 'prepared'}\n")


@pytest.mark.parametrize("level", [3, 4, 5])
def test_equal_files_give_equal_bytes_wherever_they_lie(release, start, tmp_path, level):
    elsewhere = tiny_release.copy_release(release, tmp_path / "elsewhere")
    changes = (f"level={level}", f"files.expression=level{level}.gctx")
    assert start(*changes, raw_dir=release, out=tmp_path / "a") == 0
    assert start(*changes, raw_dir=elsewhere, out=tmp_path / "b") == 0
    assert_equal_bytes(tmp_path / "a", tmp_path / "b")
    assert str(tmp_path) not in (tmp_path / "a" / "manifest.json").read_text()


def test_what_was_prepared_before_is_left_alone(raw, start, capsys, tmp_path):
    out = tmp_path / "outs" / "prepared"
    assert start() == 0
    before = os.stat(out / "expression.npy")
    capsys.readouterr()
    assert start() == 0
    text = capsys.readouterr().out
    assert "is up to date: same files, config and versions." in text
    assert "landmarks: 60 of 60 measured" in text
    assert os.stat(out / "expression.npy").st_ino == before.st_ino


@pytest.mark.parametrize("change", ["config", "file", "format", "damage"])
def test_what_was_prepared_from_something_else_is_replaced(raw, start, tmp_path, change):
    out = tmp_path / "outs" / "prepared"
    assert start() == 0
    largest = np.abs(read_prepared(out).signatures.expression).max()
    overrides = ()
    if change == "config":
        overrides = ("clip=1.5",)
    elif change == "file":
        edit_gctx(raw / "level5.gctx", values=lambda values: values / 2)
    elif change == "format":
        manifest = read_json(out / "manifest.json")
        write_json(out / "manifest.json", {**manifest, "format_version": 0})
    else:
        (out / "compounds.parquet").unlink()
    assert start(*overrides) == 0
    after = np.abs(read_prepared(out).signatures.expression).max()
    assert after == {"config": np.float32(1.5), "file": largest / 2}.get(change, largest)
    assert os.listdir(out.parent) == ["prepared"]


def test_a_folder_that_is_no_prepared_one_is_never_replaced(raw, start, capsys, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.txt").write_text("years of work")
    assert start(out=out) == 2
    assert (
        last_error(capsys)
        == f"{out} exists and is not a prepared folder; choose another config.out."
    )
    assert (out / "chapter1.txt").read_text() == "years of work"


def test_the_folder_of_the_files_comes_from_the_environment(raw, start, capsys, monkeypatch):
    assert start(raw_dir=None) == 2
    assert last_error(capsys) == (
        "the folder of the public files is not given; use --config.raw_dir=FOLDER or set the "
        "environment variable MOA_JAX_REAL_DATA."
    )
    monkeypatch.setenv(prepare.RAW_DIR_VARIABLE, str(raw))
    assert start(raw_dir=None) == 0


def with_value(value):
    def change(values):
        values[3, 5] = value
        return values

    return change


def truncate(raw):
    path = raw / "level5.gctx"
    path.write_bytes(path.read_bytes()[:30_000])


def no_landmark(raw):
    edit_gctx(raw / "level5.gctx", gene_ids=lambda ids: [f"probe{n}" for n, _ in enumerate(ids)])


def unknown_signatures(raw):
    edit_tsv(raw / "siginfo.txt", lambda table: table.assign(sig_id="SIM999" + table["sig_id"]))


def bad_score(raw):
    edit_text(raw / tiny_release.LINKS, lambda text: text.rstrip("\n") + "0\n")


def parent(go_id):
    def change(raw):
        edit_text(
            raw / "go-basic.obo",
            lambda obo: obo.replace("id: GO:0008150\n", f"id: GO:0008150\nis_a: {go_id}\n", 1),
        )

    return change


def cycle(raw):
    text = (raw / "go-basic.obo").read_text()
    stanza = text.split("is_a: GO:0008150")[0].rsplit("[Term]\nid: ", 1)[1]
    parent(stanza.split("\n")[0])(raw)


BAD_INPUT = {
    "truncated matrix": (truncate, "level5.gctx is a truncated or corrupt GCTX file"),
    "not a matrix": (
        lambda raw: (raw / "level5.gctx").write_text("no matrix"),
        "level5.gctx is not a GCTX, GCT or h5ad file",
    ),
    "siginfo without pert_id": (
        lambda raw: edit_tsv(raw / "siginfo.txt", lambda t: t.drop(columns="pert_id")),
        "siginfo.txt lacks the column pert_id; it has sig_id, cmap_name",
    ),
    "siginfo without sig_id": (
        lambda raw: edit_tsv(raw / "siginfo.txt", lambda t: t.drop(columns="sig_id")),
        "siginfo.txt lacks the column sig_id; it has pert_id, cmap_name",
    ),
    "siginfo repeats a sig_id": (
        lambda raw: edit_tsv(raw / "siginfo.txt", lambda t: t.iloc[[0, *range(len(t))]]),
        "siginfo.txt repeats the sig_id SIM001.01_SIM1_24H:A01.",
    ),
    "siginfo names unknown signatures": (
        unknown_signatures,
        "siginfo.txt has none of the profiles of",
    ),
    "NaN": (
        lambda raw: edit_gctx(raw / "level5.gctx", values=with_value(np.nan)),
        "level5.gctx has nan for profile SIM001.01_SIM1_24H:A04 and gene",
    ),
    "infinite": (
        lambda raw: edit_gctx(raw / "level5.gctx", values=with_value(-np.inf)),
        "level5.gctx has -inf for profile SIM001.01_SIM1_24H:A04 and gene",
    ),
    "no landmark": (
        no_landmark,
        "level5.gctx has none of the 60 landmark genes; neither of its axes",
    ),
    "no landmark marked": (
        lambda raw: edit_tsv(raw / "geneinfo.txt", lambda t: t.assign(feature_space="inferred")),
        "geneinfo.txt marks none of its 70 genes as landmark",
    ),
    "bad score": (bad_score, "expected an integer from 0 to 1000"),
    "cycle": (cycle, "go-basic.obo: is_a and part_of form a cycle over the terms GO:0008150"),
    "dangling parent": (
        parent("GO:1234567"),
        "the term GO:0008150 is is_a GO:1234567, but no term of that id is in the file.",
    ),
    "obsolete parent": (
        parent("GO:9899998"),
        "the term GO:0008150 is is_a GO:9899998, but GO:9899998 is obsolete.",
    ),
    "another species": (
        lambda raw: edit_text(
            raw / tiny_release.GAF, lambda text: text.replace("taxon:9606", "taxon:10090")
        ),
        "goa_human.gaf.gz has no annotation of species 9606; all are of species 10090.",
    ),
    "absent file": (
        lambda raw: (raw / "compoundinfo.txt").unlink(),
        "compoundinfo.txt, which is not a file.",
    ),
    "compound table without pert_id": (
        lambda raw: edit_tsv(raw / "compoundinfo.txt", lambda t: t.drop(columns="pert_id")),
        "compoundinfo.txt has no column of compound ids, such as pert_id",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_refused_in_one_sentence(raw, start, capsys, tmp_path, name):
    spoil, sentence = BAD_INPUT[name]
    spoil(raw)
    assert start() == 2
    assert sentence in last_error(capsys)
    assert os.listdir(tmp_path / "outs") == []


def test_a_refused_start_leaves_what_was_there(raw, start, tmp_path):
    out = tmp_path / "outs" / "prepared"
    assert start() == 0
    before = {name: (out / name).read_bytes() for name in files_of(out)}
    truncate(raw)
    assert start() == 2
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before


def test_an_unknown_key_is_refused_with_a_suggestion(raw, start, capsys):
    assert start("filters.min_tass=0.2") == 2
    assert last_error(capsys) == (
        'the config has no key "filters.min_tass"; did you mean "filters.min_tas"?'
    )


def test_a_full_disk_leaves_nothing_half_written(raw, start, capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "outs" / "prepared"
    for target in ("os.replace", "numpy.lib.format.write_array_header_1_0"):
        with monkeypatch.context() as patch:
            patch.setattr(target, full)
            assert start() == 2
        sentence = last_error(capsys)
        assert sentence.startswith(f"cannot write {out}")
        assert sentence.endswith(": No space left on device; nothing was left half written.")
        assert os.listdir(tmp_path / "outs") == []


def test_a_prepared_folder_of_another_version_is_refused_by_its_readers(
    raw, start, capsys, tmp_path
):
    out = tmp_path / "outs" / "prepared"
    assert start() == 0
    write_json(out / "manifest.json", {"format_version": 99})
    capsys.readouterr()
    reader = lambda: read_prepared(out)  # noqa: E731 (a program in one line)
    assert command_line.run(reader, description="", takes_config=False, argv=[]) == 2
    assert (
        f"has format version 99, but this program reads version {PREPARED_FORMAT_VERSION}"
        in last_error(capsys)
    )
