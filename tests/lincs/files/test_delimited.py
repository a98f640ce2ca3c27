"""CSV and TSV matrices: whichever axis holds the genes, the same matrix comes out."""

import gzip

import numpy as np
import pytest

from moa_jax.lincs.files.matrix import open_matrix
from moa_jax.schemas import InputError

GENES = ("780", "7849", "16")
VALUES = np.array([[1.5, -2, 0.25], [3, 0, -1e-3]])


def count_genes(namings):
    return max(len(set(names) & set(GENES)) for names in namings.values())


def read(tmp_path, text, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_matrix(path, count_genes)


def values_of(matrix):
    return matrix.values(*(np.arange(len(x)) for x in (matrix.profile_table, matrix.gene_table)))


IN_COLUMNS = (
    "well,sig_id,pert_id,780,7849,16,comment\n"
    '1,s1,"A, salt",1.5,-2,0.25,fine\n'
    "2,s2,-666,3,0,-1e-3,\n"
)
IN_ROWS = "gene\tgene_symbol\ts1\ts2\n780\tDDR1\t1.5\t3\n7849\tPAX8\t-2\t0\n16\tAARS\t.25\t-1e-3\n"


def check(matrix):
    assert tuple(matrix.profile_table.index) == ("s1", "s2")
    assert tuple(matrix.gene_table.index) == GENES
    np.testing.assert_array_equal(values_of(matrix), VALUES.astype(np.float32))


def test_genes_in_columns(tmp_path):
    matrix = read(tmp_path, IN_COLUMNS)
    check(matrix)
    assert matrix.profile_table["pert_id"].tolist() == ["A, salt", "-666"]
    assert matrix.profile_table["comment"].tolist() == ["fine", ""]
    assert matrix.gene_table.shape == (3, 0)


@pytest.mark.parametrize(
    "text",
    [
        IN_ROWS,
        IN_ROWS.replace("\t", ";").replace("\n", "\r\n"),
        "\ufeff" + IN_ROWS + "\n\n",
        gzip.compress(IN_ROWS.encode()),
        # R writes no name above the row names.
        IN_ROWS.removeprefix("gene\t"),
    ],
    ids=["tsv", "semicolons", "byte order mark", "gzip", "R"],
)
def test_genes_in_rows(tmp_path, text):
    matrix = read(tmp_path, text)
    check(matrix)
    assert matrix.gene_table["gene_symbol"].tolist() == ["DDR1", "PAX8", "AARS"]


def test_wells_numbered_like_genes_are_no_genes(tmp_path):
    # 16 is a gene, but more genes are in the other axis.
    matrix = read(tmp_path, "id,15,16\n780,1,2\n7849,3,4\n")
    assert tuple(matrix.profile_table.index) == ("15", "16")
    np.testing.assert_array_equal(values_of(matrix), [[1, 3], [2, 4]])


def test_a_column_of_gene_ids_beside_probes_counts(tmp_path):
    matrix = read(tmp_path, "probe,gene_id,s1\n200_at,780,1\n201_at,16,2\n")
    assert tuple(matrix.gene_table.index) == ("200_at", "201_at")
    assert matrix.gene_table["gene_id"].tolist() == ["780", "16"]


def test_missing_values_are_nan(tmp_path):
    matrix = read(tmp_path, IN_COLUMNS.replace(",-2,", ",NA,").replace(",3,", ",,"))
    np.testing.assert_array_equal(
        np.isnan(values_of(matrix)), [[False, True, False], [True, False, 0]]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv is empty"),
        ("hello\n", "neither tabs nor commas"),
        ("id,780\n", "has a header and no row"),
        (IN_COLUMNS.replace("-2,0.25", "-2"), "line 2 of .*m.csv has 6 fields; the header names 7"),
        (IN_COLUMNS.replace("comment", "pert_id"), "names the column pert_id twice"),
        (IN_COLUMNS.replace("pert_id", ""), "column 3 of .*m.csv has no name"),
        (IN_COLUMNS.replace("s2", "s1"), "repeats the profile id s1"),
        (IN_ROWS.replace("s2", "s1"), "repeats the profile id s1"),
        (IN_COLUMNS.replace("0.25", "O.25"), "line 2 of .*m.csv has 'O.25' in the column 16"),
        (b"id,780\nx,1\ny,\x00\nz,2\n", "line 3 of .* a number was expected"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["exp_pert_dose", "dose_nM", "Time (h)", "tas", "n_replicates"])
def test_numbers_of_fields_are_neither_genes_nor_values(tmp_path, name):
    # 16 is a gene: a column of it would be one's id, or a profile named by the dose.
    text = f"sig_id,{name},780,7849,16\ns1,16,1.5,-2,0.25\ns2,780,3,0,-1e-3\n"
    matrix = read(tmp_path, text)
    check(matrix)
    assert matrix.profile_table[name].tolist() == ["16", "780"]
