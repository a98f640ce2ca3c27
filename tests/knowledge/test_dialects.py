"""One ontology, one set of annotations, links and gene sets, written in several ways."""

import gzip
import pathlib
import tempfile

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.knowledge.gene_ontology import read_gaf, read_obo
from moa_jax.knowledge.gene_sets import read_gmt
from moa_jax.knowledge.string_db import read_string_info, read_string_links
from moa_jax.schemas import InputError
from tests.knowledge.tiny_files import GAF, GENES, OBO, OBO_HEADER, stanza, write_info, write_links


def of_content(read, content):
    """What a reader makes of a file with that content, under a name that says nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(path)


def made(writer):
    with tempfile.TemporaryDirectory() as folder:
        return writer(pathlib.Path(folder) / "file.txt").read_text()


ONTOLOGY = of_content(read_obo, OBO)
LINKS, INFO = made(write_links), made(write_info)
GMT = "SET A\tna\tLA\tLB\nSET B\tR-HSA-1\tNX\n"


@st.composite
def packed(draw, text):
    """A text with other ends of lines, a byte-order mark or gzip."""
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    return gzip.compress(content) if draw(st.booleans()) else content


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_ontologies(data):
    text = OBO
    for old, new in (
        (" ! drawn", ["! drawn", " ! drawn", ' {source="x"} ! drawn', "   ! drawn", " !"]),
        ("part_of GO", ["part_of GO", "part_of  GO"]),
        (
            "is_obsolete: true",
            ["is_obsolete: true", "is_obsolete: true ! gone", "is_obsolete:true"],
        ),
        ("[Term]\n", ["[Term]\n", "[Term]\n! a comment\n", "[Term]\n ! a comment\n"]),
        ("\n\n[", ["\n\n[", "\n \n["]),
    ):
        text = text.replace(old, data.draw(st.sampled_from(new)))
    found = of_content(read_obo, data.draw(packed(text)))
    pd.testing.assert_frame_equal(found.terms, ONTOLOGY.terms)
    assert (found.is_a, found.part_of) == (ONTOLOGY.is_a, ONTOLOGY.part_of)
    assert (found.alternatives, found.obsolete) == (ONTOLOGY.alternatives, ONTOLOGY.obsolete)


def test_escaped_names_are_read():
    text = OBO_HEADER + stanza("GO:1", name=r"a\, b\: \{c\}\Wd\!")
    assert of_content(read_obo, text).terms["name"].tolist() == ["a, b: {c} d!"]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_annotations(data):
    text = GAF
    taxa = ["taxon:9606", "NCBITaxon:9606", "taxon:9606|taxon:1280", "9606", "TAXON: 9606"]
    for old, new in (
        ("taxon:9606", [*taxa, "NCBITaxon:9606|NCBITaxon:1280", "NCBITaxon_9606", " taxon:9606 "]),
        ("!gaf-version: 2.2", ["!gaf-version: 2.2", "!gaf-version:2.1", "! gaf-version: 2.0"]),
        ("!drawn", ["!drawn", " !drawn", "! drawn", "!", "\t!drawn"]),
        ("\n", ["\n", " \n"]),
    ):
        text = text.replace(old, data.draw(st.sampled_from(new)))
    read = lambda path: read_gaf(path, ontology=ONTOLOGY)  # noqa: E731 (two uses)
    found, expected = of_content(read, data.draw(packed(text))), of_content(read, GAF)
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert found.dropped == expected.dropped


@pytest.mark.parametrize("taxon", ["taxon:10090|taxon:9606", "NCBITaxon:96061", "human"])
def test_the_first_taxon_is_the_genes_own(taxon):
    text = GAF.replace("taxon:9606", taxon)
    with pytest.raises(InputError, match="has no annotation of species 9606"):
        of_content(lambda path: read_gaf(path, ontology=ONTOLOGY), text)


def test_another_version_is_refused_however_it_is_written():
    for first in ("!gaf-version: 1.0", " !gaf-version:1.0", "\ufeff! GAF-version: 1.0"):
        text = GAF.replace("!gaf-version: 2.2", first)
        with pytest.raises(InputError, match=r"GAF version 1\.0; expected version 2"):
            of_content(lambda path: read_gaf(path, ontology=ONTOLOGY), text)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_links_and_proteins(data):
    links, info = LINKS, INFO
    if data.draw(st.booleans()):
        links, info = links.replace("9606.", ""), info.replace("9606.", "")
    if data.draw(st.booleans()):
        links = "#" + links
    if data.draw(st.booleans()):
        info = info.removeprefix("#")
    change = data.draw(st.sampled_from([str, str.upper, str.title]))
    header, _, rows = links.partition("\n")
    links = f"{change(header)}\n{rows}"
    header, _, rows = info.partition("\n")
    info = f"{change(header)}\n{rows}"
    separator = data.draw(st.sampled_from(["\t", " ", ",", ";"]))
    if data.draw(st.booleans()):
        links = "\n".join(
            " ".join(f'"{field}"' for field in line.split(" ")) if line else line
            for line in links.split("\n")
        )
    links = links.replace(" ", separator)
    found = of_content(
        lambda path: read_string_links(path, min_score=600), data.draw(packed(links))
    )
    expected = of_content(lambda path: read_string_links(path, min_score=600), LINKS)
    pd.testing.assert_frame_equal(found, expected)
    assert found.attrs == expected.attrs
    proteins = of_content(read_string_info, data.draw(packed(info)))
    pd.testing.assert_frame_equal(proteins, of_content(read_string_info, INFO))


def test_another_species_is_refused_with_and_without_its_number():
    for protein in ("10090.ENSMUSP00000000001", "ENSMUSP00000000001", "9606"):
        text = f"protein1 protein2 combined_score\n{protein} 9606.ENSP00000000002 900\n"
        with pytest.raises(InputError, match=r"line 2: .* expected species 9606"):
            of_content(lambda path: read_string_links(path, min_score=1), text)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_gene_sets(data):
    identifiers = GeneIdentifiers.from_table(GENES)
    read = lambda path: read_gmt(path, identifiers, collection="x")  # noqa: E731 (two uses)
    text = data.draw(st.sampled_from(["", "# made by hand\n", "\n"])) + GMT
    text = text.replace("\tNX", data.draw(st.sampled_from(["\tNX", "\t NX ", "\tNX\t", "\t5"])))
    found, report = of_content(read, data.draw(packed(text)))
    expected, _ = of_content(read, GMT)
    pd.testing.assert_frame_equal(found, expected)
    assert report["kept"] == 2
