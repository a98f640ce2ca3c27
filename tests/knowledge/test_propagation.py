"""Network propagation against numbers worked out by hand and the closed form of its fixed point."""

import dataclasses

import numpy as np
import pandas as pd

from moa_jax.knowledge.propagation import propagation_matrix
from moa_jax.schemas import EdgeSet, KnowledgeGraph
from tests.synthetic import make_knowledge_graph


def edge_set(pairs, weight=1.0):
    pairs = np.asarray(pairs, np.int32).reshape(-1, 2)
    return EdgeSet(
        senders=np.ascontiguousarray(pairs[:, 0]),
        receivers=np.ascontiguousarray(pairs[:, 1]),
        weight=np.full(len(pairs), weight, np.float32),
    )


def drawn_graph():
    """Landmarks 0 and 1; gene 2 between them; gene 3 apart. Terms: a (of 2), its parent b."""
    genes = pd.DataFrame(
        {
            "entrez_id": list("1234"),
            "symbol": list("ABCD"),
            "is_landmark": [True, True, False, False],
        }
    )
    terms = pd.DataFrame(
        {"go_id": ["GO:a", "GO:b"], "name": ["a", "b"], "namespace": "biological_process"}
    )
    return KnowledgeGraph(
        genes=genes,
        terms=terms,
        interacts=edge_set([(0, 2), (2, 0), (1, 2), (2, 1)]),
        annotated_to=edge_set([(2, 0)]),
        is_a=edge_set([(0, 1)]),
        part_of=edge_set([]),
    )


def test_a_hand_drawn_graph():
    # Degrees 1, 1, 2, 0: W[0, 2] = W[1, 2] = 1 / sqrt(2). One step with restart 0.5 gives
    # each landmark 0.5 on itself and 0.5 / sqrt(2) on gene 2; columns are scaled to length 1.
    half = 1 / np.sqrt(2)
    expected = [[1, 0, half, 0, half, half], [0, 1, half, 0, half, half]]
    matrix = propagation_matrix(drawn_graph(), restart=0.5, num_steps=1)
    np.testing.assert_allclose(matrix, expected, atol=1e-6)


def test_restart_of_one_stays_at_the_measured_genes():
    matrix = propagation_matrix(drawn_graph(), restart=1.0, num_steps=3)
    np.testing.assert_array_equal(matrix[:, :4], [[1, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(matrix[:, 4:], 0.0)


def test_many_steps_reach_the_fixed_point():
    graph = make_knowledge_graph()
    matrix = propagation_matrix(graph, restart=0.3, num_steps=200)[:, :7]
    weights = np.zeros((7, 7))
    weights[graph.interacts.senders, graph.interacts.receivers] = graph.interacts.weight
    degree = np.maximum(weights.sum(1), 1e-12)
    walk = weights / np.sqrt(np.outer(degree, degree)) * (weights > 0)
    closed = 0.3 * np.linalg.inv(np.eye(7) - 0.7 * walk)[:5]
    closed /= np.maximum(np.linalg.norm(closed, axis=0), 1e-12)
    np.testing.assert_allclose(matrix, closed, atol=1e-5)


def test_columns_have_length_one_or_zero_and_labels_do_not_matter():
    graph = make_knowledge_graph()
    matrix = propagation_matrix(graph, restart=0.5, num_steps=3)
    lengths = np.linalg.norm(matrix, axis=0)
    assert np.isin(np.round(lengths, 5), [0.0, 1.0]).all()
    order = np.array([0, 1, 2, 3, 4, 6, 5])
    swap = lambda edges, place: dataclasses.replace(  # noqa: E731 (two uses)
        edges, senders=order[edges.senders].astype(np.int32), **place
    )
    swapped = dataclasses.replace(
        graph,
        interacts=swap(
            graph.interacts, {"receivers": order[graph.interacts.receivers].astype(np.int32)}
        ),
        annotated_to=swap(graph.annotated_to, {}),
    )
    columns = np.concatenate([order, [7, 8, 9, 10]])
    np.testing.assert_allclose(
        propagation_matrix(swapped, restart=0.5, num_steps=3), matrix[:, columns], atol=1e-6
    )
