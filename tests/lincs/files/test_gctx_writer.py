import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
from cmapPy.pandasGEXpress.GCToo import GCToo
from cmapPy.pandasGEXpress.parse import parse

from moa_jax.lincs.files.gctx_writer import layout as cmappy_writer
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.schemas import InputError
from tests.matrices import read_matrix


@pytest.fixture
def release():
    values = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    profiles = pd.DataFrame(
        {
            "cmap_name": ["a", "b", None, "d", "e", "f"],
            "pert_dose": [10.0, 0.5, np.nan, 1, 2, 3],
            "nsample": range(6),
            "is_hiq": [True, False] * 3,
            "qc_pass": pd.array([True, None] * 3, dtype="boolean"),
        },
        index=[f"s{row}" for row in range(6)],
    )
    genes = pd.DataFrame({"pr_gene_symbol": list("ABCD")}, index=["780", "16", "23", "25"])
    return values, profiles, genes


def write(path, release, blocks=None):
    values, profiles, genes = release
    blocks = np.array_split(values, 3) if blocks is None else blocks
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=blocks)
    return path


def test_cmappy_reads_back_what_was_written(tmp_path, release):
    values, profiles, genes = release
    before = profiles.copy()
    read = parse(str(write(tmp_path / "m.gctx", release)))
    np.testing.assert_array_equal(read.data_df.to_numpy().T, values)
    assert read.data_df.columns.tolist() == profiles.index.tolist()
    assert read.data_df.index.astype(str).tolist() == genes.index.tolist()
    meta = read.col_metadata_df
    np.testing.assert_array_equal(meta["pert_dose"].astype(float), profiles["pert_dose"])
    assert meta["nsample"].tolist() == list(range(6))
    assert meta["is_hiq"].tolist() == [1, 0] * 3
    assert meta["cmap_name"].isna().tolist() == [False, False, True, False, False, False]
    assert read.row_metadata_df["pr_gene_symbol"].tolist() == list("ABCD")
    pd.testing.assert_frame_equal(profiles, before)


def test_we_read_back_what_was_written(tmp_path, release):
    release[1].loc["s3", "cmap_name"] = "\u03b2-estradiol"  # cmapPy reads ASCII alone
    matrix = read_matrix(write(tmp_path / "m.gctx", release))
    np.testing.assert_array_equal(matrix.values, release[0])
    table = matrix.profile_table
    assert table["cmap_name"].tolist() == ["a", "b", "-666", "\u03b2-estradiol", "e", "f"]
    assert table["pert_dose"].tolist() == ["10.0", "0.5", "-666", "1.0", "2.0", "3.0"]
    assert table["qc_pass"].tolist() == ["True", "-666"] * 3


def test_the_layout_is_that_of_cmappys_writer(tmp_path, release):
    values, profiles, genes = release
    profiles = profiles[["nsample"]]
    ours = write(tmp_path / "ours.gctx", (values, profiles, genes))
    theirs = tmp_path / "theirs.gctx"
    data = pd.DataFrame(values.T, index=genes.index, columns=profiles.index)
    cmappy_writer.write(GCToo(data, genes.copy(), profiles.copy()), str(theirs))
    first, second = read_matrix(ours), read_matrix(theirs)
    np.testing.assert_array_equal(first.values, second.values)
    pd.testing.assert_frame_equal(first.profile_table, second.profile_table)
    pd.testing.assert_frame_equal(first.gene_table, second.gene_table)
    assert ours.stat().st_size == theirs.stat().st_size
    assert not hasattr(np, "string_")


def test_the_same_input_gives_the_same_bytes(tmp_path, release):
    first = write(tmp_path / "one" / "m.gctx", release).read_bytes()
    time.sleep(1.1)  # a file that kept the time would differ by now
    second = write(tmp_path / "two" / "m.gctx", release, blocks=[release[0]]).read_bytes()
    assert first == second


def test_blocks_must_fill_the_table(tmp_path, release):
    values = release[0]
    for blocks in ([values[:5]], [values, values[:1]], [values[:, :3]]):
        with pytest.raises(ValueError, match="block"):
            write(tmp_path / "m.gctx", release, blocks=blocks)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_the_old_file(tmp_path, release):
    path = write(tmp_path / "m.gctx", release)
    before = path.read_bytes()

    def failing():
        yield release[0][:2]
        raise InputError("a source went missing.")

    with pytest.raises(InputError, match="a source went missing"):
        write(path, release, blocks=failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda profiles: profiles.rename(index={"s1": "s0"}), "the profile id s0 is repeated"),
        (lambda profiles: profiles.iloc[:0], "without any profile"),
        (lambda profiles: profiles.assign(id=1), "a profile field called 'id'"),
        (lambda profiles: profiles.assign(**{"a/b": 1}), "a profile field called 'a/b'"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, release, change, message):
    values, profiles, genes = release
    with pytest.raises(InputError, match=message):
        write(tmp_path / "m.gctx", (values, change(profiles), genes))


@pytest.mark.parametrize("limit", [4_000, 500_000, 1_999_000])
def test_a_full_disk_leaves_nothing_behind(tmp_path, limit):
    """A limit on the file size stands in for the end of the disk; it needs its own process."""
    program = f"""
        import resource, signal, numpy as np, pandas as pd
        from moa_jax.lincs.files.gctx_writer import write_gctx
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            write_gctx(
                "m.gctx",
                profile_table=pd.DataFrame(index=[str(i) for i in range(1000)]),
                gene_table=pd.DataFrame(index=[str(i) for i in range(500)]),
                blocks=(np.ones((100, 500), np.float32) for _ in range(10)),
            )
        except ValueError as error:
            print(type(error).__name__, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "JAX_PLATFORMS": "cpu"},
    )
    assert done.stdout == (
        "InputError cannot write m.gctx: File too large; nothing was left half written.\n"
    ), done.stderr
    assert list(tmp_path.iterdir()) == []
