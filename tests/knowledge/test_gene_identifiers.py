import re

import pandas as pd
import pytest

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers, Resolution, read_gene_ids
from moa_jax.schemas import InputError
from tests.knowledge.tiny_files import write


def resolved(identifiers, names):
    return [identifiers.resolve(name).entrez_id for name in names]


@pytest.fixture
def identifiers():
    current = pd.DataFrame(
        {
            "entrez_id": ["16", "7485", "8", "100", "9"],
            "symbol": ["AARS1", "GET1", "C1orf9", "WRB2", "DUAL"],
            "aliases": ["AARS|CMT2N", "CHD5|WRB", "DUAL|CHD5", "WRB", ""],
        }
    )
    older = pd.DataFrame(
        {
            "entrez_id": ["7485", "16", "77"],
            "symbol": ["WRB", "AARS1", "ONLYOLD"],
            "is_landmark": [True, True, False],
        }
    )
    return GeneIdentifiers.from_table(current, older)


@pytest.mark.parametrize(
    ("name", "entrez_id", "how"),
    [
        ("16", "16", "entrez_id"),
        ("AARS1", "16", "symbol"),
        ("ONLYOLD", "77", "symbol"),
        # As spreadsheets, databases, DepMap and TCGA write ids.
        ("7,485", "7485", "entrez_id"),
        ("ENTREZ:16", "16", "entrez_id"),
        ("NCBIGene: 16", "16", "entrez_id"),
        ("AARS1 (16)", "16", "entrez_id"),
        ("?|77", "77", "entrez_id"),
        ("AARS1|7485", None, "ambiguous"),
        # WRB is an alias of two genes, but the older symbol of one.
        ("WRB", "7485", "older symbol"),
        ("CMT2N", "16", "alias"),
        # A symbol is never overruled by an alias.
        ("DUAL", "9", "symbol"),
        ("CHD5", None, "ambiguous"),
        ("NOTHING", None, "unknown"),
        ("", None, "unknown"),
        (" AARS1 ", "16", "symbol"),
        ("Aars1", "16", "symbol, other case"),
        ("C1ORF9", "8", "symbol, other case"),
        ("wrb", "7485", "older symbol, other case"),
        ("cmt2n", "16", "alias, other case"),
        ("chd5", None, "ambiguous"),
    ],
)
def test_names_are_found_the_safest_way_first(identifiers, name, entrez_id, how):
    result = identifiers.resolve(name)
    assert (result.entrez_id, result.how) == (entrez_id, how)
    assert resolved(identifiers, [name]) == [entrez_id]


def test_ambiguous_names_tell_their_candidates_in_numeric_order(identifiers):
    assert identifiers.resolve("CHD5") == Resolution(None, "ambiguous", ("8", "7485"))


def test_the_first_table_gives_the_current_symbol(identifiers):
    assert identifiers.symbol_of["7485"] == "GET1"
    assert identifiers.symbol_of["77"] == "ONLYOLD"


def test_row_order_does_not_matter(identifiers):
    table = pd.DataFrame(
        {"entrez_id": ["1", "2", "1"], "symbol": ["X", "X", "Y"], "aliases": ["Q", "Q|Z", None]}
    )
    forward = GeneIdentifiers.from_table(table)
    assert forward == GeneIdentifiers.from_table(table[::-1])
    assert forward.resolve("X").how == "ambiguous"


def test_safe_aliases_mean_the_same_without_the_other_genes(identifiers):
    # CHD5 is ambiguous, WRB the older symbol of one gene, DUAL the symbol of another.
    genes = ["16", "7485", "8", "100", "77"]
    aliases = identifiers.unambiguous_aliases(genes)
    assert aliases == ["AARS|CMT2N", "WRB", "", "", ""]
    table = pd.DataFrame({"entrez_id": ["7485"], "symbol": ["GET1"], "aliases": [aliases[1]]})
    alone = GeneIdentifiers.from_table(table)
    assert resolved(alone, ["WRB", "get1", "CHD5", "DUAL"]) == ["7485", "7485", None, None]


def test_a_name_that_differs_from_another_genes_in_case_alone_is_not_safe():
    table = pd.DataFrame(
        {"entrez_id": ["1", "2"], "symbol": ["NOS3", "X"], "aliases": ["eNOS|NOSIII", "ENOS"]}
    )
    assert GeneIdentifiers.from_table(table).unambiguous_aliases(["1", "2"]) == ["NOSIII", ""]


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="gene table 2 lacks the column symbol"):
        GeneIdentifiers.from_table(
            pd.DataFrame({"entrez_id": ["1"], "symbol": ["A"]}), pd.DataFrame({"entrez_id": ["1"]})
        )
    with pytest.raises(InputError, match="at least one table"):
        GeneIdentifiers.from_table()


@pytest.mark.parametrize(
    "text",
    [
        # org.Hs.eg.db, NCBI gene_info and HGNC.
        "gene_id\tsymbol\tgene_type\taliases\n3045\tHBD\tprotein-coding\tHBD2|DELTA\n"
        "100187828\tHBD\tunknown\t\n2\tA2M\tprotein-coding\t\n",
        "#tax_id\tGeneID\tSymbol\tSynonyms\ttype_of_gene\n9606\t3045\tHBD\tHBD2|DELTA\tprotein-coding\n"
        "9606\t100187828\tHBD\t-\tunknown\n9606\t2\tA2M\t-\tprotein-coding\n",
        "hgnc_id\tsymbol\tlocus_group\talias_symbol\tprev_symbol\tentrez_id\n"
        'HGNC:1\tHBD\tprotein-coding gene\tDELTA\t"HBD2"\t3045\n'
        "HGNC:2\tA2M\tprotein-coding gene\t\t\t2\nHGNC:3\tNOID\tother\t\t\t\n",
    ],
)
@pytest.mark.parametrize("suffix", ["tsv", "tsv.gz"])
def test_three_layouts_of_gene_tables_are_read(tmp_path, text, suffix):
    table = read_gene_ids(write(tmp_path / f"genes.{suffix}", text))
    assert list(table.columns) == ["entrez_id", "symbol", "former_symbols", "aliases"]
    assert list(table["entrez_id"]) == ["2", "3045"]
    identifiers = GeneIdentifiers.from_table(table)
    assert resolved(identifiers, ["HBD", "HBD2", "DELTA", "A2M"]) == ["3045", "3045", "3045", "2"]


def test_unusable_gene_tables_are_refused(tmp_path):
    path = write(tmp_path / "genes.tsv", "id,name\n1,A\n")
    with pytest.raises(
        InputError, match=re.escape(f"{path} is not a gene table: it has the columns")
    ):
        read_gene_ids(path)
    path = write(tmp_path / "twice.tsv", "gene_id\tsymbol\taliases\n1\tA\t\n2\tB\t\n1\tC\t\n")
    with pytest.raises(InputError, match=re.escape(f"{path}, line 4: the id 1 is already")):
        read_gene_ids(path)
    path = write(tmp_path / "none.tsv", "gene_id\tsymbol\taliases\n")
    with pytest.raises(InputError, match="has no row with a gene id"):
        read_gene_ids(path)
    with pytest.raises(InputError, match="there is no file"):
        read_gene_ids(tmp_path / "absent.tsv")


def test_a_former_symbol_outranks_another_genes_alias(tmp_path):
    """As HGNC has it: HN1L was JPT2's symbol and is an alias of CRAMP1."""
    text = (
        "symbol\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\n"
        "JPT2\tL11\tHN1L\t90861\tENSG00000206053\nCRAMP1\tHN1L\t\t57585\tENSG00000007545\n"
    )
    identifiers = GeneIdentifiers.from_table(read_gene_ids(write(tmp_path / "hgnc.tsv", text)))
    assert identifiers.resolve("HN1L") == Resolution("90861", "older symbol", ("90861",))
    assert identifiers.unambiguous_aliases(["90861"]) == ["ENSG00000206053|HN1L|L11"]
    names = ["ENSG00000206053.12", "ensg00000007545", "90861.0", " 90861.00 ", "ENSG00000206053.x"]
    assert resolved(identifiers, names) == ["90861", "57585", "90861", "90861", None]


def test_ensembl_ids_are_found_among_ncbis_references(tmp_path):
    text = (
        "GeneID\tSymbol\tSynonyms\tdbXrefs\n16\tAARS1\t-\tMIM:601065|Ensembl:ENSG00000090861|X:1\n"
    )
    table = read_gene_ids(write(tmp_path / "gene_info", text))
    assert resolved(GeneIdentifiers.from_table(table), ["ENSG00000090861"]) == ["16"]
