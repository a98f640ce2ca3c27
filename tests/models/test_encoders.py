"""Kinds of encoders against slow ones, and what must not change their answers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.context_encoder import ContextEncoder
from moa_jax.models.gene_tokens import GeneTokens
from moa_jax.models.knowledge_encoder import KnowledgeEncoder, typed_edges
from moa_jax.models.molecule_layers import BOND_LAYERS, NUM_HEADS, VirtualNode
from moa_jax.models.signature_encoder import SignatureEncoder
from tests.models.random_params import drawn
from tests.synthetic import NUM_GENES, NUM_MOAS, NUM_TERMS, batch_of, edges, make_graph

pytestmark = pytest.mark.slow

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def fitted(module, *inputs, **options):
    """Random parameters and the compiled module."""
    params = drawn(module, *inputs, **options)
    apply = jax.jit(lambda params, *inputs: module.apply({"params": params}, *inputs, **options))
    return params, apply


# Two genes and two terms: 0 - 1 interact, gene 1 has term 2, which is a child of term 3.
FOUR = dataclasses.replace(
    make_graph(),
    interacts=edges([(0, 1), (1, 0)], [0.5, 0.5]),
    annotated_to=edges([(1, 0)]),
    is_a=edges([(0, 1)]),
    part_of=edges([]),
    propagation=np.zeros((2, 4), np.float32),
    ontology=None,
)


def test_edges_of_four_nodes_go_both_ways():
    found = {
        name: list(zip(kind.senders.tolist(), kind.receivers.tolist(), strict=True))
        for name, kind in typed_edges(FOUR, 2).items()
    }
    assert found == {
        "interacts": [(0, 1), (1, 0)],
        "annotated_to": [(1, 2)],
        "is_a": [(2, 3)],
        "part_of": [],
        "annotated_to_reverse": [(2, 1)],
        "is_a_reverse": [(3, 2)],
        "part_of_reverse": [],
    }


def test_a_convolution_over_four_nodes_equals_its_matrices():
    """D^-1/2 (A + I) D^-1/2 of every edge type, averaged (Kipf 2017, eq. 2)."""
    module, graph = KnowledgeEncoder(2, 2, 3, 1, layer="gcn"), on_device(FOUR)
    params, apply = fitted(module, graph)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    nodes = np.concatenate([p["gene"], p["term"]])
    matrices = {
        # Degrees with the loop: 1.5 and 1.5; then 2 for whoever has an edge on its side.
        "interacts": [[1 / 1.5, 0.5 / 1.5, 0, 0], [0.5 / 1.5, 1 / 1.5, 0, 0], [0, 0, 1, 0]],
        "annotated_to": [[1, 0, 0, 0], [0, 0.5**0.5, 0, 0], [0, 0.5, 0.5**0.5, 0]],
        "is_a": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5**0.5, 0]],
    }
    last = {"interacts": [0, 0, 0, 1], "annotated_to": [0, 0, 0, 1], "is_a": [0, 0, 0.5, 0.5**0.5]}
    heard = np.zeros((4, 3))
    layer = p["layer_0"]
    for name in ("interacts", "annotated_to", "is_a", "part_of"):
        matrix = np.array([*matrices[name], last[name]]) if name in matrices else np.eye(4)
        turned = [matrix] if name == "interacts" else [matrix, matrix.T]
        for suffix, mixing in zip(("", "_reverse"), turned, strict=False):
            weights = layer[name + suffix]
            heard += mixing @ nodes @ weights["values"]["kernel"] + weights["bias"]
    update = nodes + np.asarray(jax.nn.gelu(jnp.asarray(heard / 7)))
    update = (update - update.mean(1, keepdims=True)) / np.sqrt(update.var(1) + 1e-6)[:, None]
    expected = update * layer["norm"]["scale"] + layer["norm"]["bias"]
    np.testing.assert_allclose(apply(params, graph), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", ["gcn", "gat", "sage"])
def test_node_states_do_not_care_how_nodes_and_edges_are_stored(layer):
    rng, graph = np.random.default_rng(0), make_graph()
    positions = rng.normal(size=(NUM_GENES + NUM_TERMS, 3)).astype(np.float32)
    graph = dataclasses.replace(graph, positions=positions)
    module = KnowledgeEncoder(NUM_GENES, NUM_TERMS, 4, 2, layer=layer, num_heads=2)
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
        positions=positions[order],
    )
    named = {**params, "gene": params["gene"][genes], "term": params["term"][terms]}
    np.testing.assert_allclose(apply(named, on_device(changed)), states[order], **CLOSE)
    without = {**params, "positions": {"kernel": jnp.zeros((3, 4))}}
    assert np.abs(apply(without, on_device(graph)) - states).max() > 1e-3


def test_modules_attend_to_written_out_gene_tokens():
    rng = np.random.default_rng(0)
    genes, nodes = on_device(
        (rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32))
    )
    mask = jnp.array([[True, True, False, True, True], [False] * 5])
    module = GeneTokens(num_tokens=4, features=6, num_heads=2)
    params, apply = fitted(module, genes, mask, nodes)
    state = apply(params, genes, mask, nodes)
    # Written out: only the first step, so the ones after it are made to do nothing.
    still = {name: jax.tree.map(jnp.zeros_like, params[name]) for name in ("out", "mix")}
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    query = p["tokens"] @ p["query"]["kernel"] + p["query"]["bias"]

    def tokens(kind, example):
        active = np.asarray(nodes) @ p[f"active_{kind}"]["kernel"]
        static = np.asarray(nodes) @ p[f"static_{kind}"]["kernel"]
        return np.asarray(genes)[example][:, None] * active + static

    scores = np.exp(query @ tokens("key", 0).T / 6**0.5) * np.asarray(mask[0])
    expected = p["tokens"] + scores / scores.sum(axis=1, keepdims=True) @ tokens("value", 0)
    first = apply({**params, **still}, genes, mask, nodes)
    np.testing.assert_allclose(first[0], expected, **CLOSE)
    # Where nothing was measured the modules hear nothing.
    np.testing.assert_allclose(first[1], p["tokens"], **CLOSE)
    garbled = apply(params, jnp.where(mask, genes, 99.0), mask, nodes)
    np.testing.assert_array_equal(garbled, state)
    turn = np.array([3, 0, 4, 1, 2])
    turned = apply(params, genes[:, turn], mask[:, turn], nodes[turn])
    np.testing.assert_allclose(turned, state, **CLOSE)


def test_residual_blocks_that_add_nothing_leave_the_plain_encoder():
    batch, graph = on_device(batch_of()), on_device(make_graph())
    nodes = jax.random.normal(jax.random.key(0), (NUM_GENES + NUM_TERMS, 3))
    inputs = (batch.expression, batch.gene_mask, nodes, graph.propagation)
    settings = {"num_moas": NUM_MOAS, "features": 4, "hidden": 6}
    rest = {"input_dropout": 0.0, "dropout": 0.0}
    plain = SignatureEncoder(**settings, **rest)
    residual = SignatureEncoder(**settings, **rest, encoder="residual", num_blocks=2)
    params, apply = fitted(residual, *inputs, train=False)
    still = {
        name: jax.tree.map(jnp.zeros_like, value) if name.endswith("_out") else value
        for name, value in params.items()
    }
    kept = {name: value for name, value in params.items() if not name.startswith("block")}
    expected = plain.apply({"params": kept}, *inputs, train=False)
    np.testing.assert_allclose(apply(still, *inputs).logits, expected.logits, **CLOSE)
    assert np.abs(apply(params, *inputs).logits - expected.logits).max() > 1e-2


# A path of four atoms, an atom alone, and padding; the last bond is masked.
SENDERS, RECEIVERS = np.array([0, 1, 1, 2, 2, 3, 4]), np.array([1, 0, 2, 1, 3, 2, 0])
BOND_MASK = np.array([True] * 6 + [False])
WIDTH = 2 * NUM_HEADS


def molecule(seed=0):
    rng = np.random.default_rng(seed)
    atoms, bonds = rng.normal(size=(6, WIDTH)), rng.normal(size=(7, 3))
    return on_device((atoms.astype(np.float32), bonds.astype(np.float32)))


@pytest.mark.parametrize("kind", ["gat", "mpnn"])
def test_bond_layers_equal_slow_ones(kind):
    atoms, bonds = molecule()
    params, apply = fitted(
        BOND_LAYERS[kind](WIDTH), atoms, bonds, *on_device((SENDERS, RECEIVERS, BOND_MASK))
    )
    found = apply(params, atoms, bonds, *on_device((SENDERS, RECEIVERS, BOND_MASK)))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x, e = np.asarray(atoms, np.float64), np.asarray(bonds, np.float64)
    real = list(zip(SENDERS[:6], RECEIVERS[:6], e[:6], strict=True))
    states = np.stack([SLOW[kind](p, x, node, real) for node in range(6)])
    centred = states - states.mean(axis=1, keepdims=True)
    states = centred / np.sqrt(states.var(axis=1, keepdims=True) + 1e-6)
    expected = states * p["norm"]["scale"] + p["norm"]["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def gelu(values):
    return np.asarray(jax.nn.gelu(jnp.asarray(values)), np.float64)


def slow_attention(p, x, node, bonds):
    heard = np.zeros((NUM_HEADS, 2))
    found = [(sender, bond) for sender, receiver, bond in bonds if receiver == node]
    form = lambda name, values: np.einsum("f,fhw->hw", values, p[name]["kernel"])  # noqa: E731 (3)
    values = [form("sender", x[s]) + p["sender"]["bias"] + form("bond", b) for s, b in found]
    asked = form("receiver", x[node])
    if found:
        raw = np.stack(values) + asked
        scores = (np.where(raw > 0, raw, 0.2 * raw) * p["score"]).sum(axis=-1)
        shares = np.exp(scores) / np.exp(scores).sum(axis=0)
        heard = np.einsum("bh,bhw->hw", shares, np.stack(values))
    own = x[node] @ p["own"]["kernel"] + p["own"]["bias"]
    return x[node] + gelu(own + heard.ravel())


def slow_recurrent(p, x, node, bonds):
    heard = np.zeros(WIDTH)
    for sender, receiver, bond in bonds:
        if receiver == node:
            hidden = x[sender] @ p["sender"]["kernel"] + p["sender"]["bias"]
            hidden = hidden + x[node] @ p["receiver"]["kernel"] + bond @ p["bond"]["kernel"]
            heard += gelu(hidden) @ p["message"]["kernel"] + p["message"]["bias"]
    u = p["update"]
    gate = lambda name, values: values @ u[name]["kernel"] + u[name].get("bias", 0)  # noqa: E731 (6)
    sigmoid = lambda values: 1 / (1 + np.exp(-values))  # noqa: E731 (two uses)
    reset = sigmoid(gate("ir", heard) + gate("hr", x[node]))
    keep = sigmoid(gate("iz", heard) + gate("hz", x[node]))
    new = np.tanh(gate("in", heard) + reset * gate("hn", x[node]))
    return (1 - keep) * new + keep * x[node]


SLOW = {"gat": slow_attention, "mpnn": slow_recurrent}


def test_a_virtual_node_hears_the_mean_of_its_own_atoms_alone():
    atoms, _ = molecule()
    owner, mask = np.array([0, 0, 1, 1, 1, 0]), np.array([True] * 5 + [False])
    state = jnp.zeros((3, WIDTH))
    params, apply = fitted(VirtualNode(WIDTH, 3), state, atoms, *on_device((owner, mask)))
    found, after = apply(params, state, atoms, *on_device((owner, mask)))
    # Molecule 2 has no atom: it hears zeros.
    x = np.asarray(atoms)
    mean = np.stack([x[:2].mean(axis=0), x[2:5].mean(axis=0), np.zeros(WIDTH)])
    alone = jnp.asarray(mean.repeat(1, axis=0), jnp.float32)
    expected, _ = apply(params, state, alone, jnp.arange(3), jnp.ones(3, bool))
    np.testing.assert_allclose(found, expected, **CLOSE)
    np.testing.assert_allclose(after - atoms, np.asarray(found)[owner], **CLOSE)
    garbled = apply(params, state, atoms.at[5].set(1e3), *on_device((owner, mask)))
    np.testing.assert_array_equal(garbled[0], found)


def test_an_unknown_cell_line_is_derived_from_a_signature_that_may_be_read():
    batch = on_device(batch_of())
    module = ContextEncoder(3, 4, 0.0, expression_context=True)
    read = jnp.arange(8) % 2 == 0
    given = (batch.cell_line, batch.log_dose, batch.dose_mask, batch.log_time, batch.time_mask)
    options = {"genes": batch.expression, "expression_mask": read}
    params, _ = fitted(module, *given, train=False, **options)
    state = module.apply({"params": params}, *given, train=False, **options)
    plain = ContextEncoder(3, 4, 0.0).apply({"params": params}, *given, train=False)
    moved = np.abs(state - plain).max(axis=1) > 0
    np.testing.assert_array_equal(moved, np.asarray((batch.cell_line == 0) & read))
    p = jax.tree.map(np.asarray, params)
    scores = np.asarray(batch.expression) @ p["line_of_signature"]["kernel"]
    scores = np.exp(scores + p["line_of_signature"]["bias"])
    derived = scores / scores.sum(axis=1, keepdims=True) @ p["cell_line"]["embedding"]
    np.testing.assert_allclose((state - plain)[moved], derived[moved], **CLOSE)
