"""Genes that the names of mechanisms name."""

import pandas as pd
import pytest

from moa_jax.knowledge.mechanism_names import GeneTexts

GENES = [
    ("PIM1", "Pim-1 proto-oncogene, serine/threonine kinase", "PIM"),
    ("PIM2", "Pim-2 proto-oncogene, serine/threonine kinase", ""),
    ("HDAC1", "histone deacetylase 1", "RPD3"),
    ("HDAC2", "histone deacetylase 2", ""),
    ("HDAC11", "histone deacetylase 11", ""),
    ("DRD1", "dopamine receptor D1", ""),
    ("DRD2", "dopamine receptor D2", "D2R"),
    ("SCN5A", "sodium voltage-gated channel alpha subunit 5", "HH1"),
    ("SCN9A", "sodium voltage-gated channel alpha subunit 9", ""),
    ("SCNN1A", "sodium channel epithelial 1 subunit alpha", ""),
    ("PTGS1", "prostaglandin-endoperoxide synthase 1", "COX1"),
    ("PTGS2", "prostaglandin-endoperoxide synthase 2", "COX2"),
    ("FLT1", "fms related receptor tyrosine kinase 1", "VEGFR1"),
    ("KDR", "kinase insert domain receptor", "VEGFR2|VEGFR"),
    ("MAP2K1", "mitogen-activated protein kinase kinase 1", "MEK1"),
    ("MAP3K1", "mitogen-activated protein kinase kinase kinase 1", "MEKK1"),
    ("BCL2", "BCL2 apoptosis regulator", "Bcl-2"),
    ("BCL6", "BCL6 transcription repressor", ""),
    ("CA2", "carbonic anhydrase 2", "CAR2"),
    ("CA3", "carbonic anhydrase 3", "CAR3"),
    ("HTR2A", "5-hydroxytryptamine receptor 2A", "5-HT2A"),
    ("BTK", "Bruton tyrosine kinase", "ATK"),
    ("MET", "MET proto-oncogene, receptor tyrosine kinase", "HGFR"),
    ("TOP2A", "DNA topoisomerase II alpha", ""),
    ("INS", "insulin", ""),
]
TEXTS = GeneTexts(
    pd.DataFrame(
        [(str(row), symbol, name, aliases) for row, (symbol, name, aliases) in enumerate(GENES)],
        columns=["entrez_id", "symbol", "name", "aliases"],
    )
)


@pytest.mark.parametrize(
    ("mechanism", "genes"),
    [
        ("PIM kinase inhibitor", "PIM1 PIM2"),
        ("Pim kinase inhibitor", "PIM1 PIM2"),
        ("HDAC inhibitor", "HDAC1 HDAC11 HDAC2"),
        ("HDAC1 inhibitor", "HDAC1"),
        ("dopamine receptor agonist", "DRD1 DRD2"),
        ("Dopamine receptor partial agonists", "DRD1 DRD2"),
        # The epithelial channel is another one.
        ("sodium channel blocker", "SCN5A SCN9A"),
        ("Voltage-gated sodium channel blocker", "SCN5A SCN9A"),
        ("Cyclooxygenase inhibitor", "PTGS1 PTGS2"),
        ("COX2 inhibitor", "PTGS2"),
        ("VEGFR inhibitor", "FLT1 KDR"),
        # Not the kinases of these kinases.
        ("MEK inhibitor", "MAP2K1"),
        ("MET inhibitor", "MET"),
        ("Bruton's tyrosine kinase (BTK) inhibitor", "BTK"),
        ("5-HT2A antagonist", "HTR2A"),
        ("Serotonin receptor antagonist", "HTR2A"),
        ("Topoisomerase inhibitor", "TOP2A"),
        ("Insulin receptor agonist", ""),
        # Names that share three letters and nothing else.
        ("BCL inhibitor", ""),
        ("CAR agonist", ""),
        # No gene, or none in particular.
        ("protein kinase inhibitor", ""),
        ("tyrosine kinase inhibitor", ""),
        ("kinase inhibitor", ""),
        ("Antioxidant", ""),
        ("DNA synthesis inhibitor", ""),
        ("Bacterial DNA gyrase inhibitor", ""),
        ("inhibitor", ""),
        ("", ""),
    ],
)
def test_a_name_names_these_genes(mechanism, genes):
    assert " ".join(TEXTS.named_by(mechanism)) == genes


def test_a_family_of_more_than_forty_genes_says_too_little():
    table = pd.DataFrame(
        {
            "entrez_id": [str(row) for row in range(41)],
            "symbol": [f"RPL{row}" for row in range(41)],
            "name": [f"ribosomal protein L{row}" for row in range(41)],
            "aliases": "",
        }
    )
    assert GeneTexts(table).named_by("RPL inhibitor") == ()
    assert len(GeneTexts(table.iloc[:40]).named_by("RPL inhibitor")) == 40
