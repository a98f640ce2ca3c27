import collections

import numpy as np
import pandas as pd
import pytest

from moa_jax.knowledge.controls import rewire_interactions, shuffle_annotations
from moa_jax.schemas import EdgeSet, InputError, KnowledgeGraph

BP, MF = "biological_process", "molecular_function"


def edge_set(pairs, weight=None, evidence=()):
    ends = np.array(pairs, np.int32).reshape(-1, 2)
    weight = np.ones(len(ends)) if weight is None else np.array(weight)
    return EdgeSet(ends[:, 0], ends[:, 1], weight.astype(np.float32), evidence)


def graph_of(num_genes, namespaces, undirected, weights, *, annotated=(), evidence=()):
    genes = pd.DataFrame(
        {
            "entrez_id": [str(row) for row in range(num_genes)],
            "symbol": [f"G{row}" for row in range(num_genes)],
            "is_landmark": [row < 2 for row in range(num_genes)],
        }
    )
    terms = pd.DataFrame(
        {
            "go_id": [f"GO:{row:07d}" for row in range(len(namespaces))],
            "name": ["drawn"] * len(namespaces),
            "namespace": list(namespaces),
        }
    )
    both = [*undirected, *((b, a) for a, b in undirected)]
    nothing = edge_set([])
    interacts = edge_set(both, [*weights, *weights])
    annotated_to = edge_set(annotated, evidence=evidence)
    return KnowledgeGraph(genes, terms, interacts, annotated_to, nothing, nothing)


def links(graph):
    edges = graph.interacts
    return {
        (int(s), int(r)): round(float(w), 6)
        for s, r, w in zip(edges.senders, edges.receivers, edges.weight, strict=True)
    }


def half(pairs):
    return frozenset((s, r) for s, r in pairs if s < r)


@pytest.fixture(scope="module")
def random_graph():
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a in range(80) for b in range(a + 1, 80) if rng.random() < 0.12]
    namespaces = [BP] * 25 + [MF] * 15
    annotated = [
        (gene, term) for gene in range(80) for term in range(40) if rng.random() < 0.03 + term / 200
    ]
    codes = tuple(f"E{gene}" for gene, _ in annotated)
    return graph_of(
        80,
        namespaces,
        pairs,
        rng.uniform(0.4, 1.0, len(pairs)),
        annotated=annotated,
        evidence=codes,
    )


def test_rewiring_keeps_degrees_and_weights_and_moves_most_edges(random_graph):
    rewired = rewire_interactions(random_graph, seed=3)
    ours, theirs = random_graph.interacts, rewired.interacts
    np.testing.assert_array_equal(np.bincount(ours.senders), np.bincount(theirs.senders))
    np.testing.assert_array_equal(np.bincount(ours.receivers), np.bincount(theirs.receivers))
    np.testing.assert_array_equal(np.sort(ours.weight), np.sort(theirs.weight))
    assert not (theirs.senders == theirs.receivers).any()
    after = links(rewired)
    assert len(after) == theirs.num_edges
    assert all(after[r, s] == weight for (s, r), weight in after.items())
    stayed = half(after) & half(links(random_graph))
    assert len(stayed) < 0.3 * len(half(after))
    assert rewired.annotated_to is random_graph.annotated_to


def test_controls_are_functions_of_the_seed(random_graph):
    for control in (rewire_interactions, shuffle_annotations):
        one, again, other = (control(random_graph, seed=seed) for seed in (1, 1, 2))
        for name in ("interacts", "annotated_to"):
            np.testing.assert_array_equal(
                getattr(one, name).receivers, getattr(again, name).receivers
            )
            np.testing.assert_array_equal(getattr(one, name).weight, getattr(again, name).weight)
        name = "interacts" if control is rewire_interactions else "annotated_to"
        assert (getattr(one, name).receivers != getattr(other, name).receivers).any()


def test_no_swaps_leave_the_graph_as_it_is(random_graph, monkeypatch):
    monkeypatch.setattr("moa_jax.knowledge.controls.SWAPS_PER_EDGE", 0)
    assert links(rewire_interactions(random_graph, seed=0)) == links(random_graph)
    shuffled = shuffle_annotations(random_graph, seed=0).annotated_to
    np.testing.assert_array_equal(shuffled.receivers, random_graph.annotated_to.receivers)
    assert shuffled.evidence == random_graph.annotated_to.evidence


def test_two_links_of_four_genes_reach_each_pairing_equally_often():
    graph = graph_of(4, [], [(0, 1), (2, 3)], [0.9, 0.4])
    found = collections.Counter(
        half(links(rewire_interactions(graph, seed=seed))) for seed in range(300)
    )
    pairings = [{(0, 1), (2, 3)}, {(0, 2), (1, 3)}, {(0, 3), (1, 2)}]
    assert set(found) == {frozenset(pairing) for pairing in pairings}
    # Binomial, 300 tries at 1/3: mean 100, standard deviation 8.2.
    assert all(65 < count < 135 for count in found.values())


def test_a_path_of_four_genes_only_trades_its_middle():
    graph = graph_of(4, [], [(0, 1), (1, 2), (2, 3)], [0.9, 0.7, 0.4])
    found = [links(rewire_interactions(graph, seed=seed)) for seed in range(40)]
    # Weights stay with their link: the middle one is never swapped, for it touches both others.
    assert {tuple(sorted((k, v) for k, v in x.items() if k[0] < k[1])) for x in found} == {
        (((0, 1), 0.9), ((1, 2), 0.7), ((2, 3), 0.4)),
        (((0, 2), 0.9), ((1, 2), 0.7), ((1, 3), 0.4)),
        (((0, 2), 0.4), ((1, 2), 0.7), ((1, 3), 0.9)),
        (((0, 1), 0.4), ((1, 2), 0.7), ((2, 3), 0.9)),
    }


def test_complete_and_empty_graphs_cannot_change():
    complete = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    for pairs in (complete, [(0, 1)], []):
        graph = graph_of(4, [], pairs, np.linspace(0.5, 1.0, len(pairs)))
        assert links(rewire_interactions(graph, seed=0)) == links(graph)
        assert not shuffle_annotations(graph, seed=0).annotated_to.num_edges


@pytest.mark.parametrize("pairs", [[(0, 1)], [(0, 1), (1, 0), (0, 1)], [(0, 0)]])
def test_graphs_that_are_not_undirected_are_refused(pairs):
    graph = graph_of(4, [], [], [])
    broken = KnowledgeGraph(
        graph.genes, graph.terms, edge_set(pairs), graph.annotated_to, graph.is_a, graph.part_of
    )
    with pytest.raises(InputError, match="not each stored once in both directions"):
        rewire_interactions(broken, seed=0)


def test_shuffling_keeps_term_sizes_gene_degrees_and_namespaces(random_graph):
    shuffled = shuffle_annotations(random_graph, seed=5)
    ours, theirs = random_graph.annotated_to, shuffled.annotated_to
    namespace = random_graph.terms["namespace"].to_numpy()

    def counts(edges):
        return collections.Counter(
            zip(edges.senders.tolist(), namespace[edges.receivers], strict=True)
        )

    assert counts(ours) == counts(theirs)
    np.testing.assert_array_equal(np.bincount(ours.receivers), np.bincount(theirs.receivers))
    pairs = list(zip(theirs.senders.tolist(), theirs.receivers.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert pairs == sorted(pairs)
    before = set(zip(ours.senders.tolist(), ours.receivers.tolist(), strict=True))
    assert len(before & set(pairs)) < 0.35 * len(pairs)
    # A gene keeps its evidence codes.
    assert theirs.evidence == tuple(f"E{gene}" for gene, _ in pairs)
    assert shuffled.interacts is random_graph.interacts


def test_four_annotations_in_two_namespaces_shuffle_apart():
    annotated = [(0, 0), (0, 2), (1, 1), (1, 3)]
    graph = graph_of(2, [BP, BP, MF, MF], [], [], annotated=annotated, evidence=tuple("ABCD"))
    found = set()
    for seed in range(60):
        edges = shuffle_annotations(graph, seed=seed).annotated_to
        found.add(tuple(zip(edges.senders.tolist(), edges.receivers.tolist(), strict=True)))
        assert set(edges.evidence[:2]) == {"A", "B"}
    assert found == {
        ((0, 0), (0, 2), (1, 1), (1, 3)),
        ((0, 1), (0, 2), (1, 0), (1, 3)),
        ((0, 0), (0, 3), (1, 1), (1, 2)),
        ((0, 1), (0, 3), (1, 0), (1, 2)),
    }
