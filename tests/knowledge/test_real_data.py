"""The joins of real STRING, Gene Ontology and LINCS files; skipped where they are absent."""

import types

import numpy as np
import pandas as pd
import pytest

from moa_jax.knowledge.controls import rewire_interactions, shuffle_annotations
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers, read_gene_ids
from moa_jax.knowledge.gene_ontology import ancestors, levels, read_gaf, read_obo
from moa_jax.knowledge.graph import GraphSettings, assemble_graph
from moa_jax.knowledge.string_db import genes_of_proteins, read_string_info, read_string_links


def resolved(identifiers, names):
    return [identifiers.resolve(name).entrez_id for name in names]


@pytest.fixture(scope="module")
def real(real_data):
    current = read_gene_ids(real_data / "genes/human_gene_ids_org.Hs.eg.db_3.16.0.tsv.gz")
    lincs = pd.read_csv(
        real_data / "genes/GSE92742_Broad_LINCS_gene_info.txt",
        sep="\t",
        dtype=str,
        keep_default_na=False,
    ).rename(columns={"pr_gene_id": "entrez_id", "pr_gene_symbol": "symbol"})
    compounds = pd.read_csv(
        real_data / "compounds/compounds.tsv", sep="\t", dtype=str, keep_default_na=False
    )
    ontology = read_obo(real_data / "go/go-basic.obo")
    return types.SimpleNamespace(
        landmarks=lincs[lincs["pr_is_lm"] == "1"],
        identifiers=GeneIdentifiers.from_table(current, lincs),
        info=read_string_info(real_data / "string/9606.protein.info.v12.0.txt.gz"),
        links=read_string_links(
            real_data / "string/9606.protein.links.v12.0.notextmining.txt.gz", min_score=400
        ),
        ontology=ontology,
        annotations=read_gaf(real_data / "go/goa_human_noIEA.gaf.gz", ontology=ontology),
        targets=sorted({name for row in compounds["target"] for name in row.split("|") if name}),
    )


def test_landmarks_are_found_in_string_by_lincs_or_current_symbol(real):
    names = set(real.info["symbol"])
    by_lincs = real.landmarks["symbol"].isin(names)
    current = real.landmarks["entrez_id"].map(real.identifiers.symbol_of)
    assert (by_lincs.sum(), (~by_lincs & current.isin(names)).sum()) == (950, 27)
    genes, _ = genes_of_proteins(real.info, real.identifiers)
    found = real.landmarks["entrez_id"].isin(set(genes.values()))
    assert found.sum() == 977
    assert list(real.landmarks["symbol"][~found]) == ["SACM1L"]


def test_landmarks_alone_are_found_by_the_symbols_of_2017(real):
    landmarks = real.landmarks.assign(
        symbol=[real.identifiers.symbol_of[gene] for gene in real.landmarks["entrez_id"]],
        aliases=real.identifiers.unambiguous_aliases(list(real.landmarks["entrez_id"])),
    )
    alone = GeneIdentifiers.from_table(landmarks)
    old = real.landmarks["symbol"]
    assert (old != landmarks["symbol"]).sum() == 32
    assert resolved(alone, list(old)) == list(real.landmarks["entrez_id"])
    # No name of another gene is taken for a landmark's.
    others = sorted({name for index in real.identifiers.indexes[1:4] for name in index})
    pairs = zip(others, resolved(alone, others), resolved(real.identifiers, others), strict=True)
    wrong = [name for name, ours, right in pairs if ours not in (None, right)]
    # Aliases of other genes that differ from a landmark's symbol in case alone.
    assert wrong == ["cblB", "hK1"]


def test_files_have_the_published_sizes(real):
    assert len(real.info) == 19_699
    assert len(real.links) == 174_769
    proteins = {*real.links["protein1"], *real.links["protein2"]}
    assert len(proteins) == 17_276
    assert (len(real.ontology.terms), len(real.ontology.obsolete)) == (43_558, 3_910)
    assert len(real.annotations.table) == 269_986
    assert real.annotations.table["gene"].nunique() == 19_164
    assert real.annotations.dropped == {}


def test_ontology_has_three_roots_below_which_everything_lies(real):
    level = levels(real.ontology)
    roots = {"GO:0008150", "GO:0003674", "GO:0005575"}
    assert {term for term, number in level.items() if number == 0} == roots
    above = ancestors(real.ontology)
    assert all(above[term] & roots for term in level if term not in roots)


def assembled(real, settings):
    return assemble_graph(
        landmarks=real.landmarks,
        identifiers=real.identifiers,
        string_info=real.info,
        string_links=real.links,
        ontology=real.ontology,
        annotations=real.annotations,
        targets=real.targets,
        settings=settings,
    )


def test_coverage_of_the_whole_network(real):
    graph, coverage = assembled(real, GraphSettings(min_score=400, max_hops=9, max_genes=10**6))
    landmarks = coverage["landmarks"]
    assert (landmarks["in_string"], landmarks["with_interaction"]) == (977, 964)
    assert landmarks["annotated"] == 972
    assert landmarks["annotated_by_namespace"]["biological_process"] == 918
    assert (coverage["targets"]["given"], coverage["targets"]["in_string"]) == (895, 889)
    is_landmark = graph.genes["is_landmark"].to_numpy()
    edges = graph.interacts
    between = is_landmark[edges.senders] & is_landmark[edges.receivers]
    touching = is_landmark[edges.senders] | is_landmark[edges.receivers]
    strong = edges.weight >= np.float32(0.7)
    assert (between.sum() // 2, (between & strong).sum() // 2) == (2110, 1783)
    assert touching.sum() // 2 == pytest.approx(29_279, abs=100)


def test_default_graph_is_small_enough_for_a_cpu(real):
    graph, coverage = assembled(real, GraphSettings())
    assert coverage["nodes"] == {
        "genes": 4000,
        "landmarks": 978,
        "targets": 784,
        "neighbours": 2238,
        "terms": 1500,
    }
    assert coverage["edges"]["interacts"] < 120_000
    assert list(graph.genes["entrez_id"][:978]) == list(real.landmarks["entrez_id"])
    rewired = rewire_interactions(graph, seed=0).interacts
    np.testing.assert_array_equal(
        np.bincount(rewired.senders), np.bincount(graph.interacts.senders)
    )
    shuffled = shuffle_annotations(graph, seed=0).annotated_to
    for control, original in ((rewired, graph.interacts), (shuffled, graph.annotated_to)):
        before = set(zip(original.senders.tolist(), original.receivers.tolist(), strict=True))
        after = set(zip(control.senders.tolist(), control.receivers.tolist(), strict=True))
        assert len(after) == len(before)
        assert len(after & before) < 0.1 * len(before)
