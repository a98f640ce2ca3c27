import gzip

import h5py
import numpy as np
import pandas as pd
import pytest
from cmapPy.pandasGEXpress.parse import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moa_jax.lincs.files import gctx
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.lincs.files.matrix import ExpressionMatrix, check_finite
from moa_jax.lincs.metadata.releases import harmonise_siginfo
from moa_jax.schemas import InputError
from tests.matrices import read_matrix

GCT_1_3 = """#1.3
3\t2\t1\t2
id\tpr_gene_symbol\ts1\ts2
pert_id\tna\tBRD-1\tBRD-2
pert_dose\tna\t-666\t10
780\tDDR1\t1.5\t-2
7849\tPAX8\t0\t3e-1
16\tAARS\t4\t5
"""
GCT_1_2 = "#1.2\n2\t2\nName\tDescription\ts1\ts2\n780\tDDR1\t1\t2\n16\tna\t3\t4\n"


def write(tmp_path, text, name="m.gct"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def gctx_file(tmp_path):
    """Seven profiles over five genes, with the value 10 * profile + gene."""
    path = tmp_path / "m.gctx"
    profiles = pd.DataFrame(
        {"pert_id": [f"BRD-{row}" for row in range(7)], "pert_dose": 10.0},
        index=[f"s{row}" for row in range(7)],
    )
    genes = pd.DataFrame({"pr_gene_symbol": list("ABCDE")}, index=["780", "16", "23", "25", "30"])
    values = 10.0 * np.arange(7)[:, None] + np.arange(5)
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=[values[:4], values[4:]])
    return path


def test_gct_1_3(tmp_path):
    matrix = read_matrix(write(tmp_path, GCT_1_3))
    np.testing.assert_array_equal(matrix.values, np.float32([[1.5, 0, 4], [-2, 0.3, 5]]))
    assert matrix.profile_ids == ("s1", "s2")
    assert matrix.gene_ids == ("780", "7849", "16")
    assert matrix.gene_table["pr_gene_symbol"].tolist() == ["DDR1", "PAX8", "AARS"]
    assert matrix.profile_table["pert_dose"].tolist() == ["-666", "10"]
    table = harmonise_siginfo(matrix.profile_table, "m.gct")
    assert table["sig_id"].tolist() == ["s1", "s2"]
    np.testing.assert_array_equal(table["dose_um"], [np.nan, 10])


def test_gct_1_2_gzipped_with_windows_line_ends(tmp_path):
    content = gzip.compress(GCT_1_2.replace("\n", "\r\n").encode())
    matrix = read_matrix(write(tmp_path, content, "m.gct.gz"))
    np.testing.assert_array_equal(matrix.values, [[1, 3], [2, 4]])
    assert matrix.gene_table["Description"].tolist() == ["DDR1", "na"]
    assert matrix.profile_table.shape == (2, 0)


def test_a_part_of_a_gct_in_the_order_asked_for(tmp_path):
    path = write(tmp_path, GCT_1_3)
    matrix = read_matrix(path, profile_ids=["s2", "s1"], gene_ids=["16", "780"])
    np.testing.assert_array_equal(matrix.values, [[5, -2], [4, 1.5]])
    assert matrix.gene_table["pr_gene_symbol"].tolist() == ["AARS", "DDR1"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#1.3", "#1.9", "starts with '#1.9'"),
        ("#1.3", "id\ta", "has 4 fields; the header names 2"),
        ("3\t2\t1\t2\n", "3\t2\n", "line 2 of .* does not give the sizes of a #1.3 file"),
        ("3\t2\t1\t2", "4\t2\t1\t2", "truncated: it has 3 of the 4 genes"),
        ("3\t2\t1\t2", "2\t2\t1\t2", "more lines than the 2 genes"),
        ("\t4\t5\n", "\t4", "the line of gene 16 of .* has 3 fields instead of 4"),
        ("-666\t10", "-666", "'pert_dose' of .* has 3 fields instead of 4"),
        ("s1\ts2", "s1\ts1", "repeats the profile id s1"),
        ("pert_dose", "pert_id", "repeats the profile field pert_id"),
        ("3e-1", "high", "line 7 of .*m.gct has 'high' in the column s2"),
    ],
)
def test_a_bad_gct_is_refused(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read_matrix(write(tmp_path, GCT_1_3.replace(old, new)))


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)
@given(
    cut=st.integers(0, len(GCT_1_3)),
    drop=st.integers(0, 8),
    insert=st.text(alphabet="\t\n\r#1.3\x00\u00b5na-", max_size=6),
)
def test_a_damaged_gct_is_read_or_refused(tmp_path, cut, drop, insert):
    path = write(tmp_path, GCT_1_3[:cut] + insert + GCT_1_3[cut + drop :])
    try:
        matrix = read_matrix(path)
    except InputError:
        return
    assert matrix.values.shape == (len(matrix.profile_ids), len(matrix.gene_ids))


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30
)
@given(
    values=st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=4
    )
)
def test_a_written_gct_is_read_back(tmp_path, values):
    lines = ["#1.3", f"{len(values)}\t3\t0\t0", "id\ta\tb\tc"]
    lines += ["\t".join([f"g{row}", *map(repr, numbers)]) for row, numbers in enumerate(values)]
    matrix = read_matrix(write(tmp_path, "\n".join(lines)))
    np.testing.assert_array_equal(matrix.values, np.float32(values).T)


def test_gctx_whole(gctx_file):
    matrix = read_matrix(gctx_file)
    np.testing.assert_array_equal(matrix.values, 10 * np.arange(7)[:, None] + np.arange(5))
    assert matrix.profile_table["pert_dose"].tolist() == ["10"] * 7


@pytest.mark.parametrize("block_rows", [1, 2, 3, 100])
def test_a_part_of_a_gctx_in_the_order_asked_for(gctx_file, monkeypatch, block_rows):
    monkeypatch.setattr(gctx, "BLOCK_ROWS", block_rows)
    matrix = read_matrix(gctx_file, profile_ids=["s6", "s0", "s3"], gene_ids=["25", "16"])
    np.testing.assert_array_equal(matrix.values, [[63, 61], [3, 1], [33, 31]])
    assert matrix.profile_table["pert_id"].tolist() == ["BRD-6", "BRD-0", "BRD-3"]
    assert matrix.gene_table["pr_gene_symbol"].tolist() == ["D", "B"]
    assert read_matrix(gctx_file, profile_ids=[]).values.shape == (0, 5)


def test_ids_that_are_absent_or_asked_for_twice_are_refused(gctx_file):
    with pytest.raises(InputError, match="lacks the profile id x1, one of 2 missing among 3"):
        read_matrix(gctx_file, profile_ids=["s1", "x1", "x2"])
    with pytest.raises(InputError, match="profile id s1 was requested twice"):
        read_matrix(gctx_file, profile_ids=["s1", "s1"])


def test_integer_and_float_ids_are_strings(gctx_file):
    with h5py.File(gctx_file, "r+") as file:
        for group, ids in (("ROW", np.float32([780, 16, 23, 25, 30])), ("COL", np.arange(7))):
            del file[f"0/META/{group}/id"]
            file[f"0/META/{group}/id"] = ids


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_gctx_is_refused(gctx_file, share):
    content = gctx_file.read_bytes()
    gctx_file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"m\.gctx is a truncated or corrupt GCTX file"):
        read_matrix(gctx_file)


def test_a_corrupt_chunk_is_refused(gctx_file):
    with h5py.File(gctx_file, "r+") as file:
        values = file[gctx.MATRIX][()]
        del file[gctx.MATRIX]
        matrix = file.create_dataset(gctx.MATRIX, data=values, chunks=(7, 5), compression="gzip")
        chunk = matrix.id.get_chunk_info(0)
    content = bytearray(gctx_file.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    gctx_file.write_bytes(content)
    with pytest.raises(InputError, match="truncated or corrupt"):
        read_matrix(gctx_file)


def _transpose(file):
    values = file[gctx.MATRIX][()]
    del file[gctx.MATRIX]
    file[gctx.MATRIX] = values.T


def _drop_ids(file):
    del file["0/META/ROW/id"]


def _texts_for_values(file):
    del file[gctx.MATRIX]
    file[gctx.MATRIX] = np.full((7, 5), b"x")


def _short_field(file):
    file["0/META/COL/extra"] = np.arange(3)


def _repeat_id(file):
    file["0/META/COL/id"][1] = b"s0"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_transpose, r"matrix of shape \(5, 7\), but its ids describe \(7, 5\)"),
        (_drop_ids, "has no /0/META/ROW/id"),
        (_texts_for_values, "a matrix of .*S1; numbers were expected"),
        (_short_field, "/0/META/COL/extra that is not one value per id"),
        (_repeat_id, "repeats the profile id s0"),
    ],
)
def test_another_layout_is_refused(gctx_file, damage, message):
    with h5py.File(gctx_file, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message):
        read_matrix(gctx_file)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8bbroken"])
def test_other_files_are_refused(tmp_path, content):
    with pytest.raises(
        InputError, match=r"is empty; a table|is not a GCTX, GCT or h5ad|is truncated or damaged"
    ):
        read_matrix(write(tmp_path, content))
    with pytest.raises(InputError, match="there is no file"):
        read_matrix(tmp_path / "none.gctx")


def test_values_that_are_not_finite_are_named(tmp_path, gctx_file):
    check_finite(read_matrix(gctx_file), "m.gctx")
    text = GCT_1_3.replace("\t-2", "\tNA").replace("3e-1", "inf")
    with pytest.raises(InputError, match=r"m\.gct has nan for profile s2 and gene 780, one of 2"):
        check_finite(read_matrix(write(tmp_path, text)), "m.gct")


def test_a_matrix_must_fit_its_tables():
    with pytest.raises(InputError, match=r"shape \(2, 3\) does not fit its \(1, 3\)"):
        ExpressionMatrix(
            np.zeros((2, 3), np.float32),
            ("a",),
            ("x", "y", "z"),
            pd.DataFrame(index=["a"]),
            pd.DataFrame(index=["x", "y", "z"]),
        )


@pytest.mark.parametrize(
    "name",
    [
        "LINCS2020_level5_gold_24h_10uM_n3366x978.gctx",
        "TCS_L1000_phase2_2017_n1518x960.gctx",
        "LJP005_A375_24H_X1_B19_ZSPC_n377x978.gct",
        "modzs_n272x978.gct",
    ],
)
def test_real_matrices_equal_cmappys_reading(real_data, name):
    path = real_data / "expression" / name
    ours, theirs = read_matrix(path), parse(str(path))
    np.testing.assert_array_equal(ours.values, theirs.data_df.to_numpy(np.float32).T)
    assert list(ours.profile_ids) == theirs.data_df.columns.tolist()
    assert list(ours.gene_ids) == theirs.data_df.index.astype(str).tolist()
    some = ours.profile_ids[::-7]
    part = read_matrix(path, profile_ids=some, gene_ids=ours.gene_ids[5:900:11])
    np.testing.assert_array_equal(part.values, ours.values[::-7, 5:900:11])
