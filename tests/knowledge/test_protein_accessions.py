"""UniProt accessions of genes, from the tables of gene ids that have them."""

import pytest

from moa_jax.knowledge.protein_accessions import read_protein_accessions, without_isoform


@pytest.mark.parametrize(
    "text",
    [
        "gene_id\tsymbol\tuniprot\n25\tABL1\tP00519|A0A1\n3303\tHSPA1A\tP0DMV8\n3304\tHSPA1B\tP0DMV8\n",
        'entrez_id\tsymbol\tuniprot_ids\n25\tABL1\t"P00519|A0A1"\n3304\tHSPA1B\tP0DMV8\n'
        "3303\tHSPA1A\tP0DMV8\n",
    ],
)
def test_accessions_of_org_hs_eg_db_and_of_hgnc(tmp_path, text):
    path = tmp_path / "genes.tsv"
    path.write_text(text)
    assert read_protein_accessions(path) == {
        "P00519": ("25",),
        "A0A1": ("25",),
        "P0DMV8": ("3303", "3304"),
    }


def test_ncbis_table_has_none(tmp_path):
    path = tmp_path / "gene_info"
    path.write_text("#tax_id\tGeneID\tSymbol\tSynonyms\n9606\t25\tABL1\tABL\n")
    assert read_protein_accessions(path) == {}


def test_isoforms_are_the_protein():
    assert without_isoform(" P00519-2 ") == "P00519"
    assert without_isoform("P00519") == "P00519"
