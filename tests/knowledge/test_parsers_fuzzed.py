"""Whatever happened to a file, a parser reads it or refuses it in one sentence."""

import gzip
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moa_jax.knowledge.gene_identifiers import read_gene_ids
from moa_jax.knowledge.gene_ontology import ancestors, levels, read_gaf, read_obo
from moa_jax.knowledge.string_db import read_string_info, read_string_links
from moa_jax.schemas import InputError
from tests.knowledge.tiny_files import GAF, OBO, write, write_info, write_links

GENE_TABLE = "gene_id\tsymbol\tgene_type\taliases\n1\tA\tncRNA\tB|C\n2\tD\tunknown\t\n"


def made(writer):
    with tempfile.TemporaryDirectory() as folder:
        return writer(pathlib.Path(folder) / "file.txt").read_bytes()


def read_and_order(path):
    ontology = read_obo(path)
    ancestors(ontology)
    levels(ontology)


def read_annotations(path):
    with tempfile.TemporaryDirectory() as folder:
        ontology = read_obo(write(pathlib.Path(folder) / "go.obo", OBO))
    read_gaf(path, ontology=ontology)


PARSERS = {
    "genes": (GENE_TABLE.encode(), read_gene_ids),
    "info": (made(write_info), read_string_info),
    "links": (made(write_links), lambda path: read_string_links(path, min_score=400)),
    "obo": (OBO.encode(), read_and_order),
    "gaf": (GAF.encode(), read_annotations),
}


@st.composite
def damage(draw):
    """What happens to a file: a piece is replaced, the whole is compressed, the end is cut off."""
    place, length = draw(st.floats(0.0, 1.0)), draw(st.integers(0, 60))
    marks = (b"", b"\n", b"\n\n", b"\t", b" ", b"\r\n", b'"', b"!", b"\x00", b"\xff")
    inserted = draw(st.one_of(st.sampled_from(marks), st.binary(max_size=6)))
    is_compressed, kept = draw(st.booleans()), draw(st.sampled_from([1.0, 1.0, 0.7]))

    def apply(content):
        start = int(place * len(content))
        damaged = content[:start] + inserted + content[start + length :]
        damaged = gzip.compress(damaged) if is_compressed else damaged
        return damaged[: int(len(damaged) * kept)]

    return apply


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(damaged=damage())
def test_damage_is_read_or_refused(name, damaged):
    content, parse = PARSERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "damaged"
        path.write_bytes(damaged(content))
        refusal = None
        try:
            parse(path)
        except InputError as error:
            refusal = str(error)
        if refusal is not None:
            assert str(path) in refusal
            assert "\n" not in refusal
