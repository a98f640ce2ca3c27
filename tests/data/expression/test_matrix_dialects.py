"""One small matrix in every container and dialect: the same numbers, or a refusal; never others."""

import gzip
import pathlib
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moa_jax.data.expression.gene_matrix import open_gene_matrix
from moa_jax.data.expression.landmark_columns import gene_lines
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.schemas import InputError
from tests import dialects
from tests.dialects import Cells, Matrix, Text

# Some landmarks whose Entrez ids are as small as row numbers.
GENES = pd.DataFrame(
    [
        ("16", "AARS1", "ENSG00000090861"),
        ("23", "ABCF1", "ENSG00000204574"),
        ("25", "ABL1", "ENSG00000097007"),
        ("30", "ACAA1", "ENSG00000060971"),
        ("5", "MADE5", "ENSG00000000005"),
        ("780", "DDR1", "ENSG00000204580"),
        ("7157", "TP53", "ENSG00000141510"),
        ("90861", "JPT2", "ENSG00000206053"),
    ],
    columns=["entrez_id", "symbol", "ensembl"],
)
LANDMARKS = GENES.assign(aliases=["AARS", "", "", "", "", "", "", "HN1L"], bead="").assign(
    aliases=lambda table: table["aliases"] + "|" + table["ensembl"]
)
LANDMARKS = LANDMARKS.drop(columns="ensembl")
# Genes that no model has, so that numbered rows reach the Entrez ids of those it has.
OTHERS = pd.DataFrame(
    {
        "entrez_id": [str(100000 + row) for row in range(30)],
        "symbol": [f"OTHER{row}" for row in range(30)],
        "ensembl": [f"ENSG{70000000000 + row}" for row in range(30)],
    }
)
ALL = pd.concat([GENES, OTHERS], ignore_index=True)
PROFILES = ("P1:A375:24", "second one", "3")
VALUES = np.round(np.random.default_rng(3).normal(size=(3, len(ALL)), scale=3), 3)
IDENTIFIERS = GeneIdentifiers.from_table(LANDMARKS)


def read(path, gene_ids=""):
    """Values in the order of `GENES`, NaN where one is missing, and the landmarks found."""
    matrix = open_gene_matrix(path, LANDMARKS, IDENTIFIERS, gene_ids)
    found = matrix.read(profile_ids=PROFILES).values
    values = pd.DataFrame(found.T, index=matrix.columns.genes["entrez_id"])
    return values.reindex(GENES["entrez_id"]).to_numpy().T, matrix.columns


def write(layout, values=VALUES):
    """The bytes go through a file, whose name tells nothing."""
    folder = pathlib.Path(tempfile.mkdtemp())
    return dialects.write_matrix(folder, ALL, PROFILES, values, layout)


@settings(deadline=None, max_examples=150)
@given(layout=dialects.matrices(len(ALL)))
@example(layout=Matrix(naming="numbers beside symbols", cells=Cells(separator=";", decimal=",")))
@example(
    layout=Matrix("h5ad", "numbers beside symbols", first_number=1, text=Text(is_gzipped=True))
)
def test_every_dialect_gives_the_same_values(layout):
    values, columns = read(write(layout))
    np.testing.assert_array_equal(values, VALUES[:, : len(GENES)].astype(np.float32))
    assert columns.num_others == len(OTHERS)


@settings(deadline=None, max_examples=50)
@given(
    layout=dialects.matrices(len(ALL)),
    numbers=st.lists(
        st.sampled_from([0.0, -0.5, 1.234, 12.345, 1234.5, 61234.0, 1e-5, np.nan, 3.0]),
        min_size=3 * len(ALL),
        max_size=3 * len(ALL),
    ),
)
def test_numbers_of_any_size_are_read_or_refused(layout, numbers):
    values = np.reshape(numbers, (3, len(ALL)))
    try:
        found, _ = read(write(layout, values))
    except InputError:
        return
    np.testing.assert_array_equal(found, values[:, : len(GENES)].astype(np.float32))


def text_file(tmp_path, text, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def found_in(tmp_path, text, gene_ids=""):
    """Symbol -> values of the landmarks that a table has."""
    matrix = open_gene_matrix(text_file(tmp_path, text), LANDMARKS, IDENTIFIERS, gene_ids)
    values = matrix.read(profile_ids=list(matrix.profile_table.index)).values
    return dict(zip(matrix.columns.genes["symbol"], values.T.tolist(), strict=True))


AARS1_ABL1 = {"AARS1": [1.5], "ABL1": [2.0]}


@pytest.mark.parametrize(
    "text",
    [
        # Row numbers from pandas or R, in any column, beside any name.
        ",Gene,s1\n0,AARS1,1.5\n1,ABL1,2\n",
        ",approved_name,s1\n1,AARS1,1.5\n2,ABL1,2\n",
        '"Gene" "s1"\n"1" "AARS1" 1.5\n"2" "ABL1" 2\n',
        # Ids that pandas made floats, with blanks that pad them.
        "gene_id,s1\n16.0 ,1.5\n 25.0,2\n",
        # Numbers that name genes are no profile, whatever their column is called.
        "symbol,Bar,s1\nAARS1,16.0,1.5\nnone,,3\nABL1,25.0,2\n",
        # Symbols beside probes, in the version that has no other column, as spreadsheets save it.
        "#1.2\n2\t1\nName\tDescription\ts1\n1_at\tAARS1\t1.5\n2_at\tABL1\t2\n",
        '\ufeff"#1.2"\n"2"\t"1"\n"Name"\t"Description"\t"s1"\n"a"\t"AARS1"\t"1,5"\n"b"\t"ABL1"\t"2"\n',
        "#1.3,,,\n2,1,1,0\nid,Gene,s1,\n0,AARS1,1.5,\n1,ABL1,2,\n",
        # What stands above a table, right of it and below it.
        "sep=;\ngene;s1;;\nAARS1;1,5;;\nABL1;2;;\n;;;\n",
        "# made by hand\n#\ngene\ts1\nAARS1\t1.5\nABL1\t2\n",
        "#gene\ts1\nAARS1\t1.5\nABL1\t2\n",
        '!Series_title\t"x"\n!begin\n"ID_REF"\t"s1"\n"AARS1"\t1.5\n"ABL1"\t2\n!end\n',
        # Every gene is a column, none names the profile.
        "AARS1,ABL1\n1.5,2\n",
        # Outdated names, ids of Ensembl with versions, other case.
        "gene,s1\nAARS,1.5\nENSG00000097007.20,2\n",
        "gene,s1\naars1,1.5\nAbl1,2\n",
        # Rows of no gene of the model may repeat; rows of one may where they are alike.
        "gene,s1\nAARS1,1.5\nNA,7\nNA,8\nABL1,2\n1-Mar,5\n1-Mar,6\n",
        "gene,s1\nAARS1,1.5\nABL1,2\nAARS,1.5\n",
        "sig_id,AARS1,NA,NA,ABL1,AARS1\ns1,1.5,1,2,2,1.5\n",
    ],
)
def test_what_people_have_is_read(tmp_path, text):
    assert found_in(tmp_path, text) == AARS1_ABL1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_any_encoding_is_read(tmp_path, encoding):
    text = "gene\t10 \u00b5M\r\nAARS1\t1.5\r\nABL1\t2\r\n"
    path = text_file(tmp_path, text.encode(encoding))
    assert list(open_gene_matrix(path, LANDMARKS, IDENTIFIERS).profile_table.index) == [
        "10 \u00b5M"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,s1\n0,1.5\n1,2\n2,3\n", r"numbered \(0, 1, 2, ...\) and have no .* --gene_ids=entrez"),
        ("id,1,2,3\ns1,1.5,2,3\n", r"numbered \(1, 2, 3, ...\) and have no .* --gene_ids=entrez"),
        (
            "probe,gene_id,symbol,s1\na,16,ABL1,1\nb,25,TP53,2\n",
            "gene_id names 2 of the 8 landmarks and symbol 2, but they agree in only 0 of 2 .*"
            "--gene_ids=gene_id or --gene_ids=symbol",
        ),
        ("gene,s1\nAARS1,1.5\nAARS,1.6\n", "landmark 16 twice with different values, as AARS1"),
        ("x,AARS1,AARS1\ns1,1.5,1.6\n", "landmark 16 twice with different values, as AARS1"),
        # Commas that divide numbers or columns; points and commas that contradict each other.
        ("gene,s1\nAARS1,1,5\nABL1,2,25\n", "its commas may be separators or decimal signs"),
        ("gene,s1,s2\nAARS1,1,5,2,5\n", "line 2 of .* has 5 fields; .* decimal commas need quotes"),
        ("gene;s1\nAARS1;1.5\nABL1;2,5\n", r"decimal points \('1.5'\) and with decimal commas"),
        ("gene\ts1\nAARS1\t1,234\nABL1\t2,500\n", "'1,234', whose comma may be a decimal sign"),
        ("gene;s1\nAARS1;1.234\nABL1;2,5\n", "'1.234', whose point may be a decimal sign"),
        # Text among numbers is no column of text.
        ("gene,s1\nAARS1,low\nABL1,2\nTP53,3\n", "line 2 of .* has 'low' in the column s1"),
        ("gene,s1\nAARS1,1_000\nABL1,2\n", "line 2 of .* has '1_000' in the column s1"),
        ("gene,name\nAARS1,x\nABL1,y\n", "has no profile"),
        ("gene,s1\nx,1\ny,2\n", "none of the 8 landmark genes; .* start with s1 and x, y"),
        (b"PK\x03\x04", "is a zip archive or an Excel workbook"),
    ],
)
def test_what_can_be_read_two_ways_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        found_in(tmp_path, text)


def test_thousands_are_read_where_they_can_be_nothing_else(tmp_path):
    text = "gene;s1\nAARS1;1.234,5\nABL1;12.000\n"
    assert found_in(tmp_path, text) == {"AARS1": [1234.5], "ABL1": [12000]}
    assert found_in(tmp_path, "gene\ts1\nAARS1\t1,234.5\nABL1\t1,234,567\n") == {
        "AARS1": [1234.5],
        "ABL1": [1234567],
    }


def test_the_option_decides_what_names_genes(tmp_path):
    text = "probe,gene_id,symbol,s1\na,16,ABL1,1.5\nb,25,TP53,2\n"
    assert found_in(tmp_path, text, "entrez") == {"AARS1": [1.5], "ABL1": [2]}
    assert found_in(tmp_path, text, "symbol") == {"ABL1": [1.5], "TP53": [2]}
    assert found_in(tmp_path, text, "Symbol") == {"ABL1": [1.5], "TP53": [2]}
    assert found_in(tmp_path, text, "GENE_ID") == {"AARS1": [1.5], "ABL1": [2]}
    numbered = "id,s1\n" + "".join(f"{row},{row + 0.5}\n" for row in range(1, 26))
    assert found_in(tmp_path, numbered, "entrez")["AARS1"] == [16.5]
    with pytest.raises(InputError, match=r"no column name .*; it has id, gene_id, symbol"):
        found_in(tmp_path, text, "name")


def test_a_profile_whose_first_cells_are_no_numbers_is_one(tmp_path):
    words = ["NA", "", "#N/A", "null", "-", "n.d.", "-666", "nan"]
    rows = [f"X{row},{words[row % 8]},{row}.5\n" for row in range(40)]
    text = "gene,s1,s2\n" + "".join(rows) + "AARS1,1.5,1\nABL1,NA,2\n"
    found = found_in(tmp_path, text)
    np.testing.assert_array_equal(found["AARS1"], [1.5, 1])
    np.testing.assert_array_equal(found["ABL1"], [np.nan, 2])


def test_symbols_that_a_spreadsheet_made_dates(tmp_path):
    """SEPTIN2 and MARCHF3 are one gene each; of 1-Mar nobody knows which gene it was."""
    own = pd.DataFrame(
        [
            ("4735", "SEPTIN2", "SEPT2"),
            ("115123", "MARCHF3", "MARCH3"),
            ("55016", "MARCHF1", "MARCH1"),
            ("16", "AARS1", ""),
        ],
        columns=["entrez_id", "symbol", "aliases"],
    ).assign(bead="")
    identifiers = GeneIdentifiers.from_table(own)
    for names in (["2-Sep", "3-Mar", "1-Mar"], ["Sep-02", "2023-03-03", "2023-03-01 00:00:00"]):
        rows = "".join(f"{name},{row}.5\n" for row, name in enumerate(names))
        path = text_file(tmp_path, f"gene,s1\n{rows}AARS1,9\n1-Mar,8\n")
        columns = open_gene_matrix(path, own, identifiers).columns
        assert columns.genes["symbol"].tolist() == ["AARS1", "SEPTIN2", "MARCHF3"]
        assert columns.resolved_dates == {names[0]: "4735", names[1]: "115123"}
        assert columns.num_ambiguous_dates == 2
        said = "\n".join(gene_lines(columns.report()))
        assert f"{names[0]} as 4735" in said
        assert "2 named by dates" in said


@pytest.mark.parametrize("container", ["gctx", "h5ad"])
def test_genes_along_the_other_axis_are_found(tmp_path, container):
    """An h5ad whose rows are genes, as single-cell tools write it."""
    writers = {"gctx": dialects.write_gctx, "h5ad": dialects.write_h5ad}
    writers[container](
        tmp_path / "m",
        profile_table=pd.DataFrame(
            {"Gene": ALL["symbol"].tolist()}, index=list(map(str, range(len(ALL))))
        ),
        gene_table=pd.DataFrame({"cell_id": ["A375"] * 3}, index=list(PROFILES)),
        blocks=[VALUES.T.astype(np.float32)],
    )
    values, columns = read(tmp_path / "m")
    np.testing.assert_array_equal(values, VALUES[:, : len(GENES)].astype(np.float32))
    assert columns.read_from == "column Gene"


def test_a_gzipped_file_is_named_where_it_is_broken(tmp_path):
    path = write(Matrix("gctx", text=Text(is_gzipped=True)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"m\.gctx is truncated or damaged: its gzip"):
        read(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:3000]))
    with pytest.raises(InputError, match=r"m\.gctx is a truncated or corrupt GCTX file"):
        read(path)


def test_an_old_symbol_that_others_use_as_an_alias(tmp_path):
    """The releases of 2017 call JPT2 HN1L, which tables of genes have for CRAMP1, too."""
    safe = LANDMARKS.assign(aliases="")
    path = tmp_path / "m.csv"
    path.write_text("gene,s1\nAARS1,1\nHN1L,2\n")
    matrix = open_gene_matrix(path, safe, GeneIdentifiers.from_table(safe))
    assert matrix.columns.genes["entrez_id"].tolist() == ["16", "90861"]
    assert matrix.columns.renamed["HN1L"] == "90861"


@pytest.mark.parametrize("name", ["P.Value", "adj.P.Val", "padj", "FDR", "AveExpr", "baseMean"])
def test_statistics_of_genes_are_no_profile(tmp_path, name):
    text = f"gene,s1,{name},s2\nAARS1,1.5,0.01,-1\nABL1,2,0.5,0\n"
    found = found_in(tmp_path, text)
    assert found == {"AARS1": [1.5, -1], "ABL1": [2, 0]}


def test_symbols_asked_for_of_a_file_of_ids(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("gene,s1\n16,1\n25,2\n")
    message = r"start with s1 and 16, 25, but symbols \(--gene_ids=symbol\) were expected"
    with pytest.raises(InputError, match=message):
        open_gene_matrix(path, LANDMARKS, IDENTIFIERS, "symbol")
