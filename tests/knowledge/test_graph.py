import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.knowledge.gene_ontology import ancestors, read_gaf, read_obo
from moa_jax.knowledge.graph import GraphSettings, assemble_graph
from moa_jax.knowledge.string_db import read_string_info, read_string_links
from moa_jax.knowledge.term_selection import most_specific, nearest_kept, specific_annotations
from moa_jax.schemas import InputError
from tests.knowledge.tiny_files import (
    GAF,
    GAF_HEADER,
    GENES,
    LANDMARKS,
    OBO,
    A,
    B,
    C,
    D,
    E,
    R,
    gaf_row,
    write,
    write_info,
    write_links,
)

SETTINGS = GraphSettings(
    min_score=700, max_hops=1, max_genes=9, min_term_genes=2, max_term_genes=3, max_terms=5
)


@pytest.fixture
def sources(tmp_path):
    ontology = read_obo(write(tmp_path / "go.obo", OBO))
    return {
        "landmarks": LANDMARKS,
        "identifiers": GeneIdentifiers.from_table(GENES),
        "string_info": read_string_info(write_info(tmp_path / "info.txt")),
        "string_links": read_string_links(write_links(tmp_path / "links.txt"), min_score=400),
        "ontology": ontology,
        "annotations": read_gaf(write(tmp_path / "goa.gaf", GAF), ontology=ontology),
        "targets": ["OLDT", "SHARED", "NOBODY", "LA"],
    }


def assemble(sources, **changes):
    return assemble_graph(**sources, settings=dataclasses.replace(SETTINGS, **changes))


def gene_edges(graph):
    symbol = graph.genes["symbol"].to_numpy()
    edges = graph.interacts
    return {
        f"{symbol[s]}-{symbol[r]}": pytest.approx(w, abs=1e-7)
        for s, r, w in zip(edges.senders, edges.receivers, edges.weight, strict=True)
        if s < r
    }


def annotations_of(graph):
    edges = graph.annotated_to
    symbol, term = graph.genes["symbol"].to_numpy(), graph.terms["go_id"].to_numpy()
    return list(zip(symbol[edges.senders], term[edges.receivers], edges.evidence, strict=True))


def term_edges(graph, relation):
    edges = getattr(graph, relation)
    term = graph.terms["go_id"].to_numpy()
    return list(zip(term[edges.senders], term[edges.receivers], strict=True))


def test_golden_graph(sources):
    graph, _ = assemble(sources)
    # Landmarks in their own order; then the target; then the neighbours, 3 before 5.
    assert list(graph.genes["entrez_id"]) == ["10", "2", "7", "3", "5"]
    assert list(graph.genes["symbol"]) == ["LA", "LB", "TT", "NY", "NX"]
    assert list(graph.genes["is_landmark"]) == [True, True, False, False, False]
    assert gene_edges(graph) == {"LA-LB": 0.9, "LA-NX": 0.8, "TT-NY": 0.75}
    np.testing.assert_array_equal(graph.interacts.senders, [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(graph.interacts.receivers, [1, 4, 0, 3, 2, 0])
    np.testing.assert_allclose(graph.interacts.weight, [0.9, 0.8, 0.9, 0.75, 0.75, 0.8], rtol=1e-6)
    # Genes under each term: E 1, D 2, C 3, B 3, A 4, R 4.
    assert list(graph.terms["go_id"]) == [B, C, D]
    assert annotations_of(graph) == [
        ("LA", D, "IDA"),  # from E; A is not kept and has no kept term above it
        ("LB", D, "IDA"),  # the more direct of IDA and IEA
        ("TT", C, "IMP"),
        ("NX", B, "IBA"),
    ]
    assert term_edges(graph, "is_a") == [(D, B)]
    assert term_edges(graph, "part_of") == [(D, C)]
    assert graph.annotated_to.weight.tolist() == [1.0] * 4
    assert graph.is_a.evidence == ()


def test_golden_coverage(sources):
    _, coverage = assemble(sources)
    assert coverage["landmarks"] == {
        "total": 2,
        "in_string": 2,
        "not_in_string": [],
        "with_string_link": 2,
        "with_interaction": 2,
        "annotated": 2,
        "annotated_by_namespace": {"biological_process": 2},
        "with_term": 2,
    }
    assert coverage["targets"] == {
        "given": 4,
        "resolved": 2,
        "in_string": 2,
        "ambiguous": ["SHARED"],
        "unknown": ["NOBODY"],
        "not_in_string": [],
        "renamed": {"OLDT": "TT"},
        "genes": 2,
        "without_interaction": {"number": 0, "genes": []},
        "without_term": {"number": 0, "genes": []},
        "without_either": {"number": 0, "genes": []},
    }
    assert coverage["nodes"] == {
        "genes": 5,
        "landmarks": 2,
        "targets": 1,
        "neighbours": 2,
        "terms": 3,
    }
    assert coverage["edges"] == {"interacts": 6, "annotated_to": 4, "is_a": 1, "part_of": 1}
    assert coverage["dropped"] == {
        "STRING link of a protein to itself": 0,
        "STRING link below min_score": 0,
        "STRING link below the graph's min_score": 1,
        "STRING link of a protein without a gene": 0,
        "STRING link between proteins of one gene": 0,
        "STRING link between genes linked already": 0,
        "STRING protein whose name is unknown": 0,
        "STRING protein whose name is ambiguous": 0,
        "STRING protein whose gene has a protein of its own name": 0,
        "annotated term of a gene node without a kept term above it": 1,
    }


@pytest.mark.parametrize(
    ("changes", "symbols"),
    [
        ({"max_hops": 0}, ["LA", "LB", "TT"]),
        ({"max_hops": 2}, ["LA", "LB", "TT", "NY", "FF", "NX"]),
        # NX: 800 / sqrt(800) = 28.3; NY: 750 / sqrt(750 + 999) = 17.9.
        ({"max_genes": 4}, ["LA", "LB", "TT", "NX"]),
        # With LB-NY, NY: (750 + 650) / sqrt(2399) = 28.6.
        ({"max_genes": 4, "min_score": 600}, ["LA", "LB", "TT", "NY"]),
        ({"max_genes": 5, "max_hops": 2}, ["LA", "LB", "TT", "NY", "NX"]),
        ({"max_genes": 1}, ["LA", "LB", "TT"]),
        ({"min_score": 1000, "max_hops": 2}, ["LA", "LB", "TT"]),
        ({"min_score": 800}, ["LA", "LB", "TT", "NX"]),
    ],
)
def test_gene_nodes_follow_the_settings(sources, changes, symbols):
    graph, _ = assemble(sources, **changes)
    assert list(graph.genes["symbol"]) == symbols
    assert graph.num_landmarks == 2


@pytest.mark.parametrize(
    ("changes", "terms", "annotations", "links"),
    [
        (
            # E and D are too small; LA's and LB's annotations move up to B and C.
            {"min_term_genes": 3, "max_term_genes": 4},
            [R, A, B, C],
            [
                *[("LA", B, "IDA"), ("LA", C, "IDA"), ("LB", B, "IDA"), ("LB", C, "IDA")],
                *[("TT", C, "IMP"), ("NX", B, "IBA")],
            ],
            {"is_a": [(A, R), (B, A)], "part_of": [(C, A)]},
        ),
        (
            # idf^2 of D is ln(5 / 2)^2 = 0.840, of B and C ln(5 / 3)^2 = 0.261. D has the share
            # 0.617 of the landmarks LA and LB, B and C 0.192; the target TT has C alone. NX, whose
            # only one is B, does not count. Sums: C 1.383, D 1.233, B 0.383.
            {"max_terms": 2},
            [C, D],
            [("LA", D, "IDA"), ("LB", D, "IDA"), ("TT", C, "IMP")],
            {"is_a": [], "part_of": [(D, C)]},
        ),
        (
            {"max_terms": 1},
            [C],
            [("LA", C, "IDA"), ("LB", C, "IDA"), ("TT", C, "IMP")],
            {"is_a": [], "part_of": []},
        ),
        (
            {"min_term_genes": 4, "max_term_genes": 4, "namespaces": ("cellular_component",)},
            [],
            [],
            {"is_a": [], "part_of": []},
        ),
        (
            {"min_term_genes": 1, "max_term_genes": 3, "namespaces": ("cellular_component",)},
            [C],
            [("LA", C, "IDA"), ("LB", C, "IDA"), ("TT", C, "IMP")],
            {"is_a": [], "part_of": []},
        ),
    ],
)
def test_terms_follow_the_settings(sources, changes, terms, annotations, links):
    graph, _ = assemble(sources, **changes)
    assert list(graph.terms["go_id"]) == terms
    assert annotations_of(graph) == annotations
    assert {name: term_edges(graph, name) for name in ("is_a", "part_of")} == links


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        # D reaches R over B and A (is_a) but C, over part_of, is nearer.
        ({R, C, E}, {C: {R: "part_of"}, D: {C: "part_of"}, E: {C: "part_of"}, B: {R: "is_a"}}),
        ({R, B, C}, {E: {B: "is_a", C: "part_of"}, C: {R: "part_of"}, B: {R: "is_a"}, R: {}}),
        # Both kinds of path reach R: is_a is the stronger.
        ({R, E}, {E: {R: "is_a"}, D: {R: "is_a"}}),
        # is_a to D, then part_of to C, is part_of.
        ({C, E}, {E: {C: "part_of"}, C: {}}),
        (set(), {E: {}}),
    ],
)
def test_nearest_kept_ancestors(sources, kept, expected):
    ontology = sources["ontology"]
    nearest = nearest_kept(ontology, kept, ancestors(ontology))
    assert {term: nearest[term] for term in expected} == expected


def test_direct_parents_stay_even_if_another_parent_implies_them(tmp_path):
    ontology = read_obo(
        write(tmp_path / "go.obo", OBO.replace(f"id: {E}", f"id: {E}\nrelationship: part_of {A}"))
    )
    nearest = nearest_kept(ontology, {A, B, E}, ancestors(ontology))
    assert nearest[E] == {A: "part_of", B: "is_a"}


def test_most_specific_and_specific_annotations(sources):
    above = ancestors(sources["ontology"])
    assert most_specific({A, B, C, R}, above) == [B, C]
    assert most_specific(set(), above) == []
    nearest = nearest_kept(sources["ontology"], {B, R}, above)
    found = specific_annotations(
        {E: ["IEA"], D: ["XYZ", "IMP"], R: ["EXP"]}, {B, R}, nearest, above
    )
    assert found == ({B: "IMP"}, 0)
    assert specific_annotations({A: ["IDA"]}, {B}, {A: {}}, above) == ({}, 1)


def test_rows_in_any_order_give_the_same_graph(sources):
    graph, coverage = assemble(sources, max_hops=2, min_term_genes=1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        shuffled = dict(sources)
        for name in ("string_info", "string_links"):
            table = sources[name]
            shuffled[name] = table.iloc[rng.permutation(len(table))]
        table = sources["annotations"].table
        shuffled["annotations"] = dataclasses.replace(
            sources["annotations"], table=table.iloc[rng.permutation(len(table))]
        )
        shuffled["identifiers"] = GeneIdentifiers.from_table(GENES.iloc[rng.permutation(6)])
        shuffled["targets"] = [sources["targets"][row] for row in rng.permutation(4)]
        again, coverage_again = assemble(shuffled, max_hops=2, min_term_genes=1)
        assert coverage_again == coverage
        pd.testing.assert_frame_equal(again.genes, graph.genes)
        pd.testing.assert_frame_equal(again.terms, graph.terms)
        for name in ("interacts", "annotated_to", "is_a", "part_of"):
            ours, theirs = getattr(graph, name), getattr(again, name)
            np.testing.assert_array_equal(ours.senders, theirs.senders)
            np.testing.assert_array_equal(ours.receivers, theirs.receivers)
            np.testing.assert_array_equal(ours.weight, theirs.weight)
            assert ours.evidence == theirs.evidence


def test_annotations_by_uniprot_accession_go_through_the_symbol(sources, tmp_path):
    text = GAF_HEADER + "".join(
        gaf_row(symbol, term, gene=f"P0000{row}")
        for row, (symbol, term) in enumerate([("LA", B), ("OLDB", B), ("SHARED", B), ("WHO", B)])
    )
    annotations = read_gaf(write(tmp_path / "uniprot.gaf", text), ontology=sources["ontology"])
    graph, coverage = assemble({**sources, "annotations": annotations})
    assert annotations_of(graph) == [("LA", B, "IDA"), ("LB", B, "IDA")]
    reason = "annotation of a gene whose name is unknown or ambiguous"
    assert coverage["dropped"][reason] == 2


def test_landmarks_that_are_nowhere_are_refused(sources):
    nowhere = pd.DataFrame({"entrez_id": ["999"], "symbol": ["ZZ"]})
    with pytest.raises(InputError, match="none of the 1 landmarks, such as 999, is in STRING"):
        assemble({**sources, "landmarks": nowhere})
    no_table = dataclasses.replace(
        sources["annotations"], table=sources["annotations"].table.iloc[:0]
    )
    with pytest.raises(InputError, match=re.escape("is in the GO annotations")):
        assemble({**sources, "annotations": no_table})
    with pytest.raises(InputError, match="repeats the Entrez id 10"):
        assemble({**sources, "landmarks": LANDMARKS.iloc[[0, 1, 0]]})
    with pytest.raises(InputError, match="has no row"):
        assemble({**sources, "landmarks": LANDMARKS.iloc[:0]})
    with pytest.raises(InputError, match="the landmark table lacks the column symbol"):
        assemble({**sources, "landmarks": LANDMARKS[["entrez_id"]]})


def test_a_landmark_without_protein_and_annotation_stays_a_node(sources):
    lonely = pd.DataFrame({"entrez_id": ["999", "10"], "symbol": ["ZZ", "LA"]})
    graph, coverage = assemble({**sources, "landmarks": lonely})
    assert list(graph.genes["entrez_id"])[:2] == ["999", "10"]
    assert coverage["landmarks"]["not_in_string"] == ["999"]
    assert coverage["landmarks"]["annotated"] == 1


def test_every_target_is_a_node_and_the_coverage_names_those_without_edges(sources, tmp_path):
    # STRING has neither TT nor FF, and no link of NY to the others; FF and NY have no annotation.
    info = read_string_info(write_info(tmp_path / "short.txt", ["LA", "LB", "NX", "NY"]))
    targets = ["FF", "NX", "OLDT", "TT", "NY"]
    graph, coverage = assemble({**sources, "string_info": info, "targets": targets})
    assert list(graph.genes["symbol"]) == ["LA", "LB", "NY", "FF", "NX", "TT"]
    assert gene_edges(graph) == {"LA-LB": 0.9, "LA-NX": 0.8}
    assert coverage["targets"] == {
        "given": 5,
        "resolved": 5,
        "in_string": 2,
        "ambiguous": [],
        "unknown": [],
        "not_in_string": ["FF", "OLDT", "TT"],
        "renamed": {"OLDT": "TT"},
        "genes": 4,
        "without_interaction": {"number": 3, "genes": ["FF", "NY", "TT"]},
        "without_term": {"number": 2, "genes": ["FF", "NY"]},
        "without_either": {"number": 2, "genes": ["FF", "NY"]},
    }
    assert coverage["nodes"]["targets"] == 4
    assert coverage["nodes"]["neighbours"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_score": 1001}, "min_score is 1001; expected 1 to 1000"),
        ({"min_score": 0}, "min_score is 0"),
        ({"max_hops": -1}, "max_hops is -1; expected 0 or more"),
        ({"min_term_genes": 4}, "min_term_genes is 4 and max_term_genes 3"),
        ({"namespaces": ("process",)}, "namespaces has 'process'"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SETTINGS, **changes)
