import gzip
import re

import pandas as pd
import pytest

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.knowledge.string_db import genes_of_proteins, read_string_info, read_string_links
from moa_jax.schemas import InputError
from moa_jax.text import chunks
from tests.knowledge.tiny_files import GENES, protein, write, write_info, write_links


def rows_of(table):
    return list(table.itertuples(index=False, name=None))


@pytest.mark.parametrize("name", ["links.txt", "links.txt.gz"])
@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_links_are_folded_filtered_and_counted(tmp_path, monkeypatch, name, chunk_rows):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", chunk_rows)
    links = [("TT", "LB", 700), ("LA", "LB", 0), ("NX", "LA", 1000), ("NX", "NX", 900)]
    table = read_string_links(write_links(tmp_path / name, links), min_score=700)
    # ENSP00000000002 (LB) < ENSP00000000005 (NX) < ...7 (TT) < ...10 (LA).
    assert rows_of(table) == [
        (protein("LB"), protein("TT"), 700),
        (protein("NX"), protein("LA"), 1000),
    ]
    assert table["combined_score"].dtype == "int64"
    assert table.attrs["dropped"] == {
        "STRING link of a protein to itself": 2,
        "STRING link below min_score": 2,
    }


def test_of_two_directions_that_disagree_the_higher_score_counts(tmp_path):
    text = "protein1 protein2 combined_score\n9606.P1 9606.P2 300\n9606.P2 9606.P1 500\n"
    table = read_string_links(write(tmp_path / "links.txt", text), min_score=1)
    assert rows_of(table) == [("9606.P1", "9606.P2", 500)]


def test_detailed_links_and_a_final_empty_line_are_read(tmp_path):
    text = (
        "protein1 protein2 neighborhood fusion combined_score\n"
        "9606.P1 9606.P2 0 12 300\n9606.P2 9606.P1 0 12 300\n\n"
    )
    table = read_string_links(write(tmp_path / "links.txt", text), min_score=1)
    assert rows_of(table) == [("9606.P1", "9606.P2", 300)]


def test_no_links_are_an_empty_table(tmp_path):
    table = read_string_links(write_links(tmp_path / "links.txt", []), min_score=1)
    assert list(table.columns) == ["protein1", "protein2", "combined_score"]
    assert not len(table)


@pytest.mark.parametrize("score", ["1001", "-1", "0.7", "7e2", "high", "", "nan"])
def test_bad_scores_are_refused_with_their_line(tmp_path, monkeypatch, score):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    links = [("LA", "LB", 900), ("LA", "NX", score)]
    path = write_links(tmp_path / "links.txt", links)
    message = f"{path}, line 4: the combined_score is '{score}'; expected an integer from 0 to 1000"
    with pytest.raises(InputError, match=re.escape(message)):
        read_string_links(path, min_score=400)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("10090.ENSMUSP1 10090.ENSMUSP2 900", "line 2: '10090.ENSMUSP1' is a protein of species"),
        ("9606.P1 10090.ENSMUSP2 900", "species 10090; expected species 9606"),
        ("TP53 9606.P1 900", "'TP53' is not a STRING id"),
        ("9606.P1", "line 2: '' is not a STRING id"),
        ("9606.P1 9606.P2", "line 2: the combined_score is ''"),
        ("9606.P1  9606.P2 900", "line 2: '' is not a STRING id"),
    ],
)
def test_other_species_and_broken_rows_are_refused(tmp_path, row, message):
    path = write(tmp_path / "links.txt", f"protein1 protein2 combined_score\n{row}\n")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_string_links(path, min_score=0)
    assert str(path) in str(error.value)


def test_missing_columns_and_empty_files_are_refused(tmp_path):
    path = write_links(tmp_path / "links.txt", header="protein1 protein2 score")
    with pytest.raises(InputError, match=r"links.txt lacks the column combined_score"):
        read_string_links(path, min_score=0)
    with pytest.raises(InputError, match=r"empty.txt is empty"):
        read_string_links(write(tmp_path / "empty.txt", ""), min_score=0)
    with pytest.raises(InputError, match=r"lacks the column preferred_name"):
        read_string_info(write(tmp_path / "info.txt", "#string_protein_id\tprotein_size\n"))


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_gzip_is_refused(tmp_path, kept):
    rows = "".join(f"9606.P{n * 7919 % 10007} 9606.Q{n} {n % 1000}\n" for n in range(20000))
    content = gzip.compress(f"protein1 protein2 combined_score\n{rows}".encode())
    path = tmp_path / "links.txt.gz"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=re.escape(f"{path} is truncated or damaged")):
        read_string_links(path, min_score=0)


def test_damaged_gzip_is_refused_and_another_encoding_read(tmp_path):
    path = tmp_path / "links.txt.gz"
    path.write_bytes(b"\x1f\x8b" + b"not gzip at all")
    with pytest.raises(InputError, match="truncated or damaged"):
        read_string_links(path, min_score=0)
    path.write_bytes("protein1 protein2 combined_score\n9606.Pä 9606.Q 1\n".encode("latin-1"))
    assert rows_of(read_string_links(path, min_score=0)) == [("9606.P\u00e4", "9606.Q", 1)]
    with pytest.raises(InputError, match="there is no file"):
        read_string_links(tmp_path / "absent", min_score=0)
    with pytest.raises(InputError, match="cannot read"):
        read_string_links(tmp_path, min_score=0)


def test_info_is_read_with_both_headers(tmp_path):
    path = write_info(tmp_path / "info.txt.gz", ("TT", "LA"))
    expected = [(protein("TT"), "TT"), (protein("LA"), "LA")]
    assert rows_of(read_string_info(path)) == expected
    text = gzip.decompress(path.read_bytes()).decode()
    older = write(tmp_path / "old.txt", text.replace("#string_protein_id", "protein_external_id"))
    assert rows_of(read_string_info(older)) == expected


def test_unusable_info_is_refused(tmp_path):
    path = write_info(tmp_path / "info.txt", ("TT", "TT"))
    with pytest.raises(InputError, match=r"info.txt, line 3: 9606.ENSP00000000007 is already"):
        read_string_info(path)
    path.write_text(path.read_text().replace("9606.", "4932.", 1))
    with pytest.raises(InputError, match=r"line 2: .* is a protein of species 4932"):
        read_string_info(path)


def test_the_safest_name_of_a_protein_wins_its_gene():
    info = pd.DataFrame(
        {
            "protein": ["9606.P1", "9606.P2", "9606.P3", "9606.P4", "9606.P5"],
            "symbol": ["OLDB", "LB", "SHARED", "ENSG1", "OLDT"],
        }
    )
    genes, dropped = genes_of_proteins(info, GeneIdentifiers.from_table(GENES))
    assert genes == {"9606.P2": "2", "9606.P5": "7"}
    assert dropped == {
        "STRING protein whose name is unknown": 1,
        "STRING protein whose name is ambiguous": 1,
        "STRING protein whose gene has a protein of its own name": 1,
    }
