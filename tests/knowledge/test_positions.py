"""Return probabilities of random walks in closed form."""

import dataclasses

import numpy as np

from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.knowledge.positions import return_probabilities
from tests.small_sets import edge_set, knowledge_graph

# Genes 0 to 2 (the last is not measured) and terms 0 to 2, which are nodes 3 to 5.
BASE = knowledge_graph(2)


def both_ways(pairs, weights):
    return edge_set([*pairs, *[pair[::-1] for pair in pairs]], [*weights, *weights])


def test_a_path_of_four_nodes():
    """1 - 0 - term 0 - term 1, all weights 1; the two nodes that are left have no edge."""
    graph = dataclasses.replace(
        BASE,
        interacts=both_ways([(0, 1)], [1.0]),
        annotated_to=edge_set([(0, 0)], evidence=("IDA",)),
        is_a=edge_set([(1, 0)]),
    )
    found = return_probabilities(graph, 4)
    np.testing.assert_array_equal(found[:, [0, 2]], 0.0)
    # Ends come back from the middle half of the time, the middle by its end or by the other one.
    np.testing.assert_allclose(found[:, 1], [0.75, 0.5, 0, 0.75, 0.5, 0], rtol=1e-6)
    # Four steps: an end has 1/2 * 3/4, the middle 11/16.
    np.testing.assert_allclose(found[:, 3], [11 / 16, 3 / 8, 0, 11 / 16, 3 / 8, 0], rtol=1e-6)


def test_any_graph_against_powers_of_its_walk():
    graph = dataclasses.replace(
        BASE,
        interacts=both_ways([(0, 1), (1, 2), (0, 2)], [0.9, 0.4, 0.7]),
        annotated_to=edge_set([(0, 0), (1, 0), (2, 1)], evidence=("IDA",) * 3),
        is_a=edge_set([(0, 1), (2, 1)]),
        part_of=edge_set([(0, 2), (0, 1)]),
    )
    weights = np.zeros((6, 6))
    for sender, receiver, weight in (
        *((0, 1, 0.9), (1, 2, 0.4), (0, 2, 0.7), (0, 3, 1), (1, 3, 1), (2, 4, 1)),
        *((3, 4, 1), (5, 4, 1), (3, 5, 1), (3, 4, 1)),
    ):
        weights[sender, receiver] += weight
        weights[receiver, sender] += weight
    walk = weights / weights.sum(axis=0)
    expected = [np.diag(np.linalg.matrix_power(walk, step)) for step in range(1, 8)]
    np.testing.assert_allclose(return_probabilities(graph, 7).T, expected, rtol=1e-5, atol=1e-7)
    arrays = graph_arrays(graph, restart=0.5, num_steps=1, num_positions=7)
    # There are no loops, so one step brings nobody back.
    np.testing.assert_array_equal(arrays.positions[:, 0], 0.0)
    np.testing.assert_allclose(arrays.positions[:, 1:].mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(arrays.positions[:, 1:].std(axis=0), 1.0, rtol=1e-4)
    assert graph_arrays(graph, restart=0.5, num_steps=1).positions is None
