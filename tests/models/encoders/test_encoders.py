"""Encoders against slow ones, and what must not change their answers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.encoders.context import ContextEncoder
from moa_jax.models.encoders.knowledge import KnowledgeEncoder
from moa_jax.models.message_passing import BondNetworkLayer
from tests.models.random_params import drawn
from tests.synthetic import NUM_GENES, NUM_TERMS, batch_of, edges, make_graph

pytestmark = pytest.mark.slow

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def fitted(module, *inputs, **options):
    """Random parameters and the compiled module."""
    params = drawn(module, *inputs, **options)
    apply = jax.jit(lambda params, *inputs: module.apply({"params": params}, *inputs, **options))
    return params, apply


def in_double(params):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)


def gelu(values):
    return np.asarray(jax.nn.gelu(jnp.asarray(values)), np.float64)


def normalised(values, norm):
    """Layer norm, row by row."""
    centred = values - values.mean(axis=1, keepdims=True)
    centred /= np.sqrt(values.var(axis=1, keepdims=True) + 1e-6)
    return centred * norm["scale"] + norm["bias"]


# Two genes and two terms: 0 - 1 interact, both have term 0, gene 1 with weight 3; term 0 is a
# child of term 1 and a part of it.
FOUR = dataclasses.replace(
    make_graph(),
    interacts=edges([(0, 1), (1, 0)], [0.5, 0.5]),
    annotated_to=edges([(0, 0), (1, 0)], [1.0, 3.0]),
    is_a=edges([(0, 1)]),
    part_of=edges([(0, 1)], [0.2]),
    propagation=np.zeros((2, 4), np.float32),
)


def test_four_nodes_hear_every_relation_both_ways():
    """Each relation has a matrix; a node receives the weighted mean of its senders."""
    module, graph = KnowledgeEncoder(2, 2, 3, 1), on_device(FOUR)
    params, apply = fitted(module, graph)
    p = in_double(params)
    layer, genes, terms = p["layer_0"], p["gene"], p["term"]
    sent = lambda relation, nodes: nodes @ layer[relation]["kernel"]  # noqa: E731 (seven uses)
    to_genes = sent("interacts", genes)[[1, 0]] + sent("annotates", terms)[[0, 0]]
    from_genes = sent("annotated_to", genes)
    to_terms = np.stack(
        [
            (from_genes[0] + 3 * from_genes[1]) / 4
            + sent("is_a_reverse", terms)[1]
            + sent("part_of_reverse", terms)[1],
            sent("is_a", terms)[0] + sent("part_of", terms)[0],
        ]
    )

    def updated(kind, nodes, has_modality):
        own = nodes @ layer[f"{kind}_self"]["kernel"] + layer[f"{kind}_self"]["bias"]
        return normalised(nodes + gelu(own + has_modality), layer[f"{kind}_norm"])

    expected = np.concatenate([updated("gene", genes, to_genes), updated("term", terms, to_terms)])
    np.testing.assert_allclose(apply(params, graph), expected, rtol=1e-4, atol=1e-4)


def test_node_states_do_not_care_how_nodes_and_edges_are_stored():
    rng, graph = np.random.default_rng(0), make_graph()
    module = KnowledgeEncoder(NUM_GENES, NUM_TERMS, 4, 2)
    params, apply = fitted(module, on_device(graph))
    states = apply(params, on_device(graph))
    assert states.shape == (NUM_GENES + NUM_TERMS, 4)
    genes, terms = rng.permutation(NUM_GENES), rng.permutation(NUM_TERMS)
    order = np.concatenate([genes, NUM_GENES + terms])
    place_of = {"gene": np.argsort(genes), "term": np.argsort(terms)}

    def moved(kind, senders, receivers):
        turn = rng.permutation(len(kind.senders))
        return edges(
            np.stack(
                [place_of[senders][kind.senders], place_of[receivers][kind.receivers]], axis=1
            )[turn],
            kind.weight[turn],
        )

    changed = dataclasses.replace(
        graph,
        interacts=moved(graph.interacts, "gene", "gene"),
        annotated_to=moved(graph.annotated_to, "gene", "term"),
        is_a=moved(graph.is_a, "term", "term"),
        part_of=moved(graph.part_of, "term", "term"),
    )
    named = {**params, "gene": params["gene"][genes], "term": params["term"][terms]}
    np.testing.assert_allclose(apply(named, on_device(changed)), states[order], **CLOSE)
    assert np.abs(apply(params, on_device(changed)) - states).max() > 1e-3


def test_atoms_of_a_molecule_equal_slow_ones():
    """GINE: a path of four atoms, an atom alone, and padding; the last bond is masked."""
    senders, receivers = np.array([0, 1, 1, 2, 2, 3, 4]), np.array([1, 0, 2, 1, 3, 2, 0])
    mask = np.array([True] * 6 + [False])
    rng = np.random.default_rng(0)
    atoms, bonds = rng.normal(size=(6, 4)), rng.normal(size=(7, 3))
    inputs = on_device(
        (atoms.astype(np.float32), bonds.astype(np.float32), senders, receivers, mask)
    )
    params, apply = fitted(BondNetworkLayer(4), *inputs)
    p = in_double(params)
    has_modality = np.zeros((6, 4))
    for place in range(6):
        bond = bonds[place] @ p["bond"]["kernel"] + p["bond"]["bias"]
        has_modality[receivers[place]] += np.maximum(atoms[senders[place]] + bond, 0)
    hidden = gelu(
        (atoms + has_modality) @ p["update_hidden"]["kernel"] + p["update_hidden"]["bias"]
    )
    update = hidden @ p["update_out"]["kernel"] + p["update_out"]["bias"]
    expected = normalised(atoms + update, p["norm"])
    np.testing.assert_allclose(apply(params, *inputs), expected, rtol=1e-4, atol=1e-4)


def test_a_context_is_the_sum_of_what_is_known_of_it():
    batch = on_device(batch_of())
    given = (batch.cell_line, batch.log_dose, batch.dose_mask, batch.log_time, batch.time_mask)
    params, apply = fitted(ContextEncoder(3, 4, 0.0), *given, train=False)
    p = in_double(params)
    expected = p["cell_line"]["embedding"][np.asarray(batch.cell_line)]
    for name, value, mask in (("dose", *given[1:3]), ("time", *given[3:5])):
        known = np.asarray(mask, np.float64)
        inputs = np.stack([np.asarray(value) * known, known], axis=1)
        expected = expected + inputs @ p[name]["kernel"] + p[name]["bias"]
    np.testing.assert_allclose(apply(params, *given), expected, **CLOSE)
