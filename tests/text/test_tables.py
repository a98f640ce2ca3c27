"""One table in any dialect: the same cells with the same lines for every reader."""

import gzip
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moa_jax.compounds.tables import read_exclusion_list
from moa_jax.lincs.metadata.releases import read_table
from moa_jax.schemas import InputError
from moa_jax.text.chunks import open_table, read_columns
from moa_jax.text.dialects import open_text_table
from moa_jax.text.files import open_text
from moa_jax.text.tables import read_cells
from tests import dialects

HEADER = ["sig_id", "pert_id", "cell_id"]
ROWS = [["s1", "BRD, A", "A375"], ["s2", '5" x', "MCF7"], ["s3", "C;D", "a  b"], ["s4", "#5", "É"]]


def table_of(content, **hints):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = open_text_table(path, **hints)
        return table, read_cells(table), list(table.rows())


@settings(deadline=None, max_examples=150)
@given(
    cells=dialects.cells(), text=dialects.texts(), below=st.sampled_from(["", "\n\n", "# end\n"])
)
def test_every_dialect_gives_the_same_cells(cells, text, below):
    content = dialects.encode(dialects.format_rows([HEADER, *ROWS], cells) + below, text)
    table, found, rows = table_of(content)
    assert list(table.header) == list(found.columns) == HEADER
    assert found.to_numpy().tolist() == [fields for _, fields in rows] == ROWS
    first = 2 + len(cells.comments)
    assert [line for line, _ in rows] == list(range(first, first + len(ROWS)))


@pytest.mark.parametrize("comment", ["", "#made by hand\n"])
@pytest.mark.parametrize("mark", ["", "#"])
def test_all_rooms_read_one_table_alike(tmp_path, comment, mark):
    path = tmp_path / "table"
    text = f'{comment}{mark}compound_group\tcmap_name\n"X"\t jq1 \nY\tb\n# the end\n'
    path.write_bytes(gzip.compress(text.encode("latin-1")))
    assert read_exclusion_list(path).groups == {"X", "Y"}
    columns = {"compound_group": "group", "cmap_name": "name"}
    if not mark:
        assert read_table(path).to_numpy().tolist() == [["X", "jq1"], ["Y", "b"]]
    found = read_columns(open_table(path, columns), columns)
    assert found.to_numpy().tolist()[:2] == [["X", "jq1"], ["Y", "b"]]
    assert found.index[0] == 2 + bool(comment)


def test_a_quoted_cell_may_hold_separators_and_lines():
    for separator in "\t,;":
        text = f'a{separator}b\n"x{separator}y"{separator}"1\n2"\nz{separator}3\n'
        _, found, rows = table_of(text)
        assert found.to_numpy().tolist() == [[f"x{separator}y", "1\n2"], ["z", "3"]]
        assert [line for line, _ in rows] == [3, 4]


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_a_quote_that_is_not_closed_is_refused_with_its_line(separator):
    text = f'a{separator}b\nx{separator}1\n"y{separator}2\nz{separator}3\n'
    with pytest.raises(InputError, match=r"line 3 of .* is damaged \(a quote is opened and not"):
        table_of(text)


@pytest.mark.parametrize(
    ("text", "header", "row"),
    [
        # R writes no name above the names of rows, which quotes or decimal points tell.
        ('"a","b"\n"1","x","y"\n"2","z","w"\n', ("id", "a", "b"), ["1", "x", "y"]),
        ("a b\n1 x y\n2 z w\n", ("id", "a", "b"), ["1", "x", "y"]),
        ("a,b\nr1,x,0.5\nr2,y,1\n", ("id", "a", "b"), ["r1", "x", "0.5"]),
        ("sep=;\na;b;;\nx;y;;\n", ("a", "b"), ["x", "y"]),
        ('""\t"b"\nx\ty\n', ("id", "b"), ["x", "y"]),
    ],
)
def test_headers(text, header, row):
    table, _, rows = table_of(text, row_names="id")
    assert (table.header, rows[0][1]) == (header, row)


def test_a_comma_in_a_name_makes_no_row_names():
    with pytest.raises(InputError, match=r"line 2 of .* has 3 fields; the header names 2"):
        table_of("pert_id,name\nA,x,y\nB,z,w\n")


def test_a_table_without_header_has_numbers_for_names():
    is_value = lambda text: text.startswith("C")  # noqa: E731 (one use)
    table, found, _ = table_of("# two\nCCO ethyl alcohol\nCN\n", is_value=is_value)
    assert (table.has_header, table.header, table.separator) == (False, ("1",), "")
    assert found["1"].tolist() == ["CCO ethyl alcohol", "CN"]
    table, found, _ = table_of("a\tCCO\nb\tCN\n", is_value=is_value)
    assert (table.has_header, table.header) == (False, ("1", "2"))
    with pytest.raises(InputError, match=r"line 2 of .* has 1 fields; the first has 2"):
        table_of("a\tCCO\nb\n", is_value=is_value)


def test_columns_may_lack_names_where_none_are_asked_for():
    table, _, _ = table_of("a,,c\n1,2,3\n")
    assert table.header == ("a", "column 2", "c")
    with pytest.raises(InputError, match=r"column 2 of .* has no name"):
        table_of("a,,c\n1,2,3\n", row_names="id")


def test_text_is_decoded_in_one_place(tmp_path):
    path = tmp_path / "text"
    for content in (
        b"5 \xb5M\rx",
        "5 \u00b5M\r\nx".encode("utf-16"),
        "\ufeff5 \u00b5M\nx".encode(),
    ):
        for packed in (content, gzip.compress(content)):
            path.write_bytes(packed)
            with open_text(path) as file:
                assert file.read() == "5 \u00b5M\nx"
