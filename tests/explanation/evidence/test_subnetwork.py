import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.explanation.evidence import subnetwork
from moa_jax.explanation.evidence.subnetwork import choose_subnetwork
from moa_jax.schemas import EdgeSet, InputError
from tests.synthetic import make_knowledge_graph

# 0 - 1 - 2 - 3 in a chain, 0 - 3 by one weak link, 4 - 5 apart, 6 alone, 1 - 7 - 2 a detour.
LINKS = {(0, 1): 0.9, (1, 2): 0.9, (2, 3): 0.9, (0, 3): 0.5, (4, 5): 0.8, (1, 7): 1.0, (2, 7): 1.0}


@pytest.fixture(scope="module")
def graph():
    small = make_knowledge_graph(6)
    pairs = [*LINKS, *((end, start) for start, end in LINKS)]
    return dataclasses.replace(
        small,
        genes=pd.DataFrame(
            {
                "entrez_id": [str(row) for row in range(8)],
                "symbol": [f"G{row}" for row in range(8)],
                "is_landmark": np.arange(8) < 6,
            }
        ),
        interacts=EdgeSet(
            senders=np.array([pair[0] for pair in pairs], np.int32),
            receivers=np.array([pair[1] for pair in pairs], np.int32),
            weight=np.array(2 * list(LINKS.values()), np.float32),
        ),
    )


def scores_of(**values):
    scores = np.zeros(8)
    for name, value in values.items():
        scores[int(name[1:])] = value
    return scores


def links_of(chosen):
    return {tuple(sorted(pair)) for pair in chosen.nodes[chosen.edges].tolist()}


def test_the_cheapest_path_joins_a_target_and_a_gene(graph, monkeypatch):
    monkeypatch.setattr(subnetwork, "EDGES_PER_NODE", 0)
    chosen = choose_subnetwork(graph, scores_of(g0=-2.0), ["G2", "unknown"])
    # G0 - G1 - G7 - G2 would cost 0.01 + 0.105 + 2 * 0.01, the straight way 2 * (0.01 + 0.105).
    assert chosen.symbols == ("G2", "G0", "G7", "G1")
    assert links_of(chosen) == {(0, 1), (1, 7), (2, 7)}
    assert chosen.scores.tolist() == [0.0, -2.0, 0.0, 0.0]
    assert chosen.is_target.tolist() == [True, False, False, False]
    assert chosen.is_measured.tolist() == [True, True, False, True]
    np.testing.assert_allclose(sorted(chosen.weight), [0.9, 1.0, 1.0])


def test_each_gene_keeps_its_strongest_interactions(graph, monkeypatch):
    everything = scores_of(**{f"g{row}": 8.0 - row for row in range(8)})
    assert links_of(choose_subnetwork(graph, everything)) == set(LINKS)
    # Every gene's best, and the paths between neighbours that these are.
    monkeypatch.setattr(subnetwork, "EDGES_PER_NODE", 1)
    few = choose_subnetwork(graph, everything)
    assert (0, 3) not in links_of(few)


def test_there_is_a_limit_to_nodes_and_to_paths(graph, monkeypatch):
    ends = scores_of(g0=2.0, g2=1.0)
    assert choose_subnetwork(graph, ends).symbols == ("G0", "G2", "G7", "G1")
    with monkeypatch.context() as patch:
        patch.setattr(subnetwork, "MAX_NODES", 3)
        assert choose_subnetwork(graph, ends).symbols == ("G0", "G2")
    with monkeypatch.context() as patch:
        patch.setattr(subnetwork, "MAX_LINKS", 2)
        assert choose_subnetwork(graph, ends).symbols == ("G0", "G2")
    apart = choose_subnetwork(graph, scores_of(g0=2.0, g6=1.0))
    assert apart.symbols == ("G0", "G6")
    assert apart.edges.shape == (0, 2)


def test_pairs_with_a_target_come_first(graph, monkeypatch):
    monkeypatch.setattr(subnetwork, "EDGES_PER_NODE", 0)
    monkeypatch.setattr(subnetwork, "MAX_NODES", 5)
    # There is room for one more gene: between G1 and the target G3, not between G1 and G2.
    scores = scores_of(g1=2.0, g4=1.0)
    chosen = choose_subnetwork(graph, scores, ["G3"])
    assert chosen.symbols[:3] == ("G3", "G1", "G4")
    assert links_of(chosen) == {(1, 7), (2, 3), (2, 7)}


def test_nothing_to_show_is_an_empty_picture(graph):
    chosen = choose_subnetwork(graph, np.zeros(8))
    assert chosen.symbols == ()
    assert chosen.edges.shape == (0, 2)


def test_scores_must_be_finite_and_complete(graph):
    with pytest.raises(InputError, match="for each of 8 genes; found 3 of 3"):
        choose_subnetwork(graph, np.zeros(3))
    with pytest.raises(InputError, match="found 7 of 8"):
        choose_subnetwork(graph, scores_of(g1=np.nan))
