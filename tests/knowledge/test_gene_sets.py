import gzip

import pandas as pd
import pytest

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers, read_gene_ids
from moa_jax.knowledge.gene_sets import read_gmt
from moa_jax.schemas import GENE_SET_COLUMNS, InputError

IDENTIFIERS = GeneIdentifiers.from_table(
    pd.DataFrame(
        {
            "entrez_id": ["7", "30", "100", "201", "202"],
            "symbol": ["TAT", "TP53", "H2AX", "AAA", "BBB"],
            "aliases": ["", "P53", "H2AFX", "SAME", "SAME"],
        }
    )
)
GMT = (
    "Histones and p53\tR-HSA-1\tH2AX\tH2AFX\tP53\n"
    "\n"
    "HALLMARK_X\thttp://somewhere/x\t30\ttat\tSAME\tAAA\n"
    "Only strangers\tna\tnobody\n"
    "No id\tsaid in words\t BBB \t\tBBB\r\n"
)


def read(tmp_path, text=GMT):
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    return read_gmt(path, IDENTIFIERS, collection="mine")


def test_names_of_any_age_become_entrez_ids(tmp_path):
    table, report = read(tmp_path)
    assert tuple(table.columns) == GENE_SET_COLUMNS
    assert table.to_numpy().tolist() == [
        ["mine", "R-HSA-1", "Histones and p53", ("30", "100")],
        # HIV's tat is not the human TAT, and an alias of two genes is neither.
        ["mine", "HALLMARK_X", "HALLMARK_X", ("30", "201")],
        ["mine", "No id", "No id", ("202",)],
    ]
    assert report == {
        "found": 4,
        "kept": 3,
        "names": 9,
        "not_understood": {"ambiguous": 1, "other case": 1, "unknown": 1},
    }


def test_compressed_files_are_read(tmp_path):
    path = tmp_path / "sets.gmt.gz"
    path.write_bytes(gzip.compress(GMT.encode()))
    table, _ = read_gmt(path, IDENTIFIERS, collection="mine")
    pd.testing.assert_frame_equal(table, read(tmp_path)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GMT + "Empty\tR-HSA-2\n",
            "line 6: found 2 fields and 0 genes; a GMT line has a set's name",
        ),
        (GMT + "\tR-HSA-2\tTP53\n", "line 6: found 3 fields and 1 genes"),
        (GMT + "Again\tR-HSA-1\tTP53\n", "line 6: the set R-HSA-1 is already in line 1"),
        ("A\tb\tMTP53\tMH2AX\n", "has 2 gene names in 1 sets, none of which is known"),
        ("", "has 0 gene names in 0 sets"),
    ],
)
def test_unusable_files_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_public_files(real_data):
    identifiers = GeneIdentifiers.from_table(
        read_gene_ids(real_data / "genes" / "human_gene_ids_org.Hs.eg.db_3.16.0.tsv.gz")
    )
    folder = real_data / "genesets"
    hallmark, report = read_gmt(
        folder / "h.all.v7.0.symbols.gmt", identifiers, collection="hallmark"
    )
    assert (report["found"], report["kept"], report["names"]) == (50, 50, 4384)
    assert hallmark["set_id"].iloc[0] == "HALLMARK_TNFA_SIGNALING_VIA_NFKB"
    assert hallmark["genes"].map(len).between(30, 200).all()
    reactome, report = read_gmt(folder / "ReactomePathways.gmt", identifiers, collection="reactome")
    assert report["found"] == 2444
    assert report["names"] == 11201
    assert report["kept"] > 2400
    row = reactome.set_index("set_id").loc["R-HSA-164843"]
    # Two-LTR circle formation: seven human genes; HIV's seven are left out.
    assert row["name"] == "2-LTR circle formation"
    assert len(row["genes"]) == 7
