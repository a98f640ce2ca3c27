import re

import networkx as nx
import numpy as np
import pytest

from moa_jax.knowledge.gene_ontology import ancestors, levels, read_gaf, read_obo
from moa_jax.schemas import InputError
from tests.knowledge.tiny_files import (
    GAF,
    GAF_HEADER,
    OBO,
    OBO_HEADER,
    A,
    B,
    C,
    D,
    E,
    R,
    gaf_row,
    stanza,
    write,
)


@pytest.fixture
def ontology(tmp_path):
    return read_obo(write(tmp_path / "go.obo", OBO))


@pytest.mark.parametrize("name", ["go-basic.obo", "go-basic.obo.gz"])
def test_obo_is_read(tmp_path, name):
    ontology = read_obo(write(tmp_path / name, OBO))
    assert list(ontology.terms["go_id"]) == [R, A, B, C, D, E]
    assert tuple(ontology.terms.loc[0]) == (R, "root", "biological_process")
    assert ontology.terms.loc[3, "namespace"] == "cellular_component"
    assert ontology.is_a == ((A, R), (B, A), (D, B), (E, D))
    assert ontology.part_of == ((C, A), (D, C))
    assert ontology.alternatives == {"GO:0000099": D}
    assert ontology.obsolete == {"GO:0000007": B, "GO:0000008": None}


def test_levels_are_longest_paths_and_ancestors_exclude_the_term(ontology):
    assert levels(ontology) == {R: 0, A: 1, B: 2, C: 2, D: 3, E: 4}
    assert ancestors(ontology) == {
        R: frozenset(),
        A: {R},
        B: {A, R},
        C: {A, R},
        D: {A, B, C, R},
        E: {A, B, C, D, R},
    }


def test_ancestors_and_levels_agree_with_networkx(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"GO:{number:07d}" for number in rng.permutation(80)]
    graph = nx.DiGraph()
    graph.add_nodes_from(ids)
    text = OBO_HEADER
    for row, term in enumerate(ids):
        parents = [ids[p] for p in rng.permutation(row)[: rng.integers(4)]]
        graph.add_edges_from((term, parent) for parent in parents)
        text += stanza(
            term,
            *(f"is_a: {parent}" for parent in parents[:1]),
            *(f"relationship: part_of {parent}" for parent in parents[1:]),
        )
    ontology = read_obo(write(tmp_path / "random.obo", text))
    above = ancestors(ontology)
    level = levels(ontology)
    for term in ids:
        assert above[term] == nx.descendants(graph, term)
        below = graph.subgraph({term, *above[term]})
        assert level[term] == nx.dag_longest_path_length(below)


def obo(*stanzas):
    return OBO_HEADER + "".join(stanzas)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            obo(
                stanza(A, f"is_a: {B}"),
                stanza(B, f"relationship: part_of {C}"),
                stanza(C, f"is_a: {A}"),
                stanza(D, f"is_a: {A}"),
            ),
            f"is_a and part_of form a cycle over the terms {A} -> {B} -> {C} -> {A}",
        ),
        (obo(stanza(A, f"is_a: {A}")), f"cycle over the terms {A} -> {A}"),
        (
            obo(stanza(A, f"is_a: {B} ! gone")),
            f"the term {A} is is_a {B}, but no term of that id is in the file",
        ),
        (
            obo(stanza(A, f"relationship: part_of {B}")),
            f"the term {A} is part_of {B}, but no term of that id",
        ),
        (
            obo(stanza(A, f"is_a: {B}"), stanza(B, "is_obsolete: true")),
            f"the term {A} is is_a {B}, but {B} is obsolete",
        ),
        (
            obo(stanza(A, f"is_a: {B}", "is_obsolete: true"), stanza(B)),
            f"the term {A} is is_a {B}, but {A} is obsolete",
        ),
        (obo(f"[Term]\nid: {A}\nname: no namespace\n"), f"the term {A} lacks a name or a namesp"),
        (obo("[Term]\nname: no id\n"), "is not an OBO file: 'id'"),
        (obo("[Term]\nwithout a colon\n"), "is not an OBO file: Tag-value pair parsing failed"),
        (obo(), "it has no [Term]"),
        ("", "it has no [Term]"),
    ],
)
def test_unusable_ontologies_are_refused(tmp_path, text, message):
    path = write(tmp_path / "bad.obo", text)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_obo(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_gzip_obo_is_refused(tmp_path):
    path = write(tmp_path / "go.obo.gz", OBO * 50)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_obo(path)


@pytest.mark.parametrize("name", ["goa.gaf", "goa.gaf.gz"])
def test_gaf_is_read_with_alternative_and_replaced_terms(tmp_path, ontology, name):
    annotations = read_gaf(write(tmp_path / name, GAF), ontology=ontology)
    assert list(annotations.table.columns) == ["gene", "symbol", "go_id", "evidence_code"]
    assert list(annotations.table.itertuples(index=False, name=None)) == [
        ("10", "LA", A, "TAS"),
        ("10", "LA", E, "IDA"),
        ("2", "LB", D, "IDA"),
        ("2", "LB", D, "IEA"),
        ("5", "NX", B, "IBA"),
        ("7", "TT", C, "IMP"),
    ]
    assert annotations.dropped == {}


def test_annotations_left_out_are_counted_by_reason(tmp_path, ontology):
    text = (
        GAF_HEADER
        + gaf_row("LA", B)
        + gaf_row("LA", B, reference=1)
        + gaf_row("LA", B, qualifier="NOT|involved_in")
        + gaf_row("LA", B, qualifier="NOT", reference=2)
        + gaf_row("LB", R, "ND")
        + gaf_row("LA", "GO:0000008")
        + gaf_row("LA", "GO:9999999")
        + gaf_row("Tp53", B, taxon="10090")
        + gaf_row("LB", C, taxon="9606|1280")
        + "\n"
    )
    annotations = read_gaf(write(tmp_path / "goa.gaf", text), ontology=ontology)
    assert annotations.dropped == {
        "annotation repeated with another reference": 1,
        "annotation qualified NOT": 2,
        "annotation with evidence ND": 1,
        "annotation with an obsolete term without a replacement": 1,
        "annotation with a term that the ontology does not have": 1,
        "annotation of another species": 1,
    }
    assert list(annotations.table["go_id"]) == [B, C]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GAF_HEADER + gaf_row("Tp53", B, taxon="10090"),
            "has no annotation of species 9606; all are of species 10090",
        ),
        (GAF_HEADER, "has no annotation of species 9606; there are none"),
        (
            GAF_HEADER + gaf_row("LA", B) + "\t".join("abcdefghijklmn") + "\n",
            "line 4: the row has 14 fields separated by tabs; GAF 2 has 15 to 17",
        ),
        (
            GAF_HEADER + gaf_row("LA", B).strip("\n") + "\tmore\n",
            "line 3: the row has 18 fields",
        ),
        ("!gaf-version: 1.0\n" + gaf_row("LA", B), "is GAF version 1.0; expected version 2"),
    ],
)
def test_unusable_annotations_are_refused(tmp_path, ontology, text, message):
    path = write(tmp_path / "bad.gaf", text)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_gaf(path, ontology=ontology)
    assert str(path) in str(error.value)


def test_replacements_are_followed_and_loops_end(tmp_path):
    text = obo(
        stanza(A),
        stanza(B, "is_obsolete: true", f"replaced_by: {C}"),
        stanza(C, "is_obsolete: true", "replaced_by: GO:0000099"),
        stanza(D, "alt_id: GO:0000099"),
        stanza("GO:0000010", "is_obsolete: true", "replaced_by: GO:0000011"),
        stanza("GO:0000011", "is_obsolete: true", "replaced_by: GO:0000010"),
        stanza("GO:0000012", "is_obsolete: true", "replaced_by: GO:7777777"),
    )
    ontology = read_obo(write(tmp_path / "go.obo", text))
    assert ontology.find(A) == (A, "")
    assert ontology.find(B) == (D, "")
    assert ontology.find("GO:0000010") == (None, "an obsolete term without a replacement")
    assert ontology.find("GO:0000012") == (None, "a term that the ontology does not have")
