"""The network that corrects the closed form: it starts as that, and reads nothing masked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.encoders.evidence import EvidencePassing
from moa_jax.models.experts import PROTEIN_NETWORK
from moa_jax.models.fusion import MECHANISMS
from moa_jax.models.protein_answers import PROTEINS, protein_logits
from moa_jax.models.protein_network import (
    ITEM_BLOCK,
    Mechanisms,
    SharedResidual,
    SharedResidualInBlocks,
)
from moa_jax.schemas import GraphArrays, LeftOut
from tests.models.random_params import drawn, randomised
from tests.synthetic import (
    NUM_GENES,
    NUM_MOAS,
    NUM_TERMS,
    batch_of,
    edges,
    make_given,
    make_graph,
    make_model,
    replace,
)

EXPERTS = (
    "signature_kernel",
    "structure_kernel",
    "signature_proteins",
    "structure_proteins",
    PROTEIN_NETWORK,
)
NUM_PROTEINS = 4
ROWS = np.array([6, 0, 3, 5], np.int32)


def closed_form(seed=5):
    """Parameters of the closed form, with four proteins."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731 (six uses)
    given = make_given()
    for name in ("signature_kernel", "structure_kernel"):
        count = len(given[name]["coefficients"])
        given[name]["action_coefficients"] = normal(count, 2 * NUM_PROTEINS)
    scales = rng.uniform(0.5, 2.0, (3, 5)).astype(np.float32)
    scales[:, 4] = 1.0
    return {
        **{name: given[name] for name in ("signature_kernel", "structure_kernel")},
        "expert_scales": scales,
        "mechanism_prototypes": normal(2 * NUM_PROTEINS, NUM_MOAS),
        MECHANISMS: {
            "lengths": np.array([1.0, 2.0, 3.0], np.float32),
        },
        PROTEINS: {
            "carry": normal(NUM_PROTEINS, NUM_GENES),
            "scales": rng.uniform(0.5, 2.0, (3, 2)).astype(np.float32),
            "rows": ROWS,
            "counts": np.array([1.0, 2.0, 5.0, 3.0], np.float32),
        },
    }


def left_out(count=8, seed=7):
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731 (four uses)
    return LeftOut(
        logits=normal(count, 4, NUM_MOAS),
        proteins=normal(count, 2, 2 * NUM_PROTEINS),
        own_targets=np.zeros((count, 2 * NUM_PROTEINS), np.float32),
        own_moas=np.zeros((count, NUM_MOAS), np.float32),
        targets=np.zeros((count, 2 * NUM_PROTEINS), np.float32),
    )


MODEL = make_model(experts=EXPERTS, num_proteins=NUM_PROTEINS)


@pytest.fixture(scope="module")
def params():
    """Of a network that has not been trained, and of one that has."""
    given = jax.tree.map(jnp.asarray, closed_form())
    batch, graph = jax.tree.map(jnp.asarray, (batch_of(), make_graph()))
    drawn_params = MODEL.init(jax.random.key(0), batch, graph, train=False)["params"]
    trained = {name: value for name, value in drawn_params.items() if name not in given}
    return {**trained, **given}, {**randomised(trained), **given}


@jax.jit
def answer(params, batch, graph):
    return MODEL.apply({"params": params}, batch, graph, train=False)


@pytest.mark.parametrize("known", [None, left_out()])
def test_it_starts_as_the_closed_form(params, known):
    batch = jax.tree.map(jnp.asarray, replace(batch_of(), left_out=known))
    graph = make_graph()
    alone = make_model(experts=EXPERTS[:4], num_proteins=NUM_PROTEINS)
    of_alone = {**params[0], "expert_scales": params[0]["expert_scales"][:, :4]}
    expected = jax.jit(lambda batch: alone.apply({"params": of_alone}, batch, graph, train=False))(
        batch
    )
    found = answer(params[0], batch, graph)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.network.mechanisms, 0.0)
    genes = protein_logits(params[0][PROTEINS], expected.proteins, batch)
    np.testing.assert_allclose(
        found.network.targets, genes.sum(axis=1)[:, ROWS], rtol=1e-4, atol=1e-4
    )
    trained = answer(params[1], batch, graph)
    assert np.abs(trained.network.mechanisms).max() > 0.1
    assert np.abs(trained.network.targets - found.network.targets).max() > 0.1
    np.testing.assert_allclose(trained.network.attention.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("known", [None, left_out()])
@pytest.mark.parametrize("masked", ["expression_mask", "structure_mask"])
def test_a_masked_modality_is_not_read(params, masked, known):
    batch = replace(batch_of(), left_out=known)
    batch = replace(batch, **{masked: np.zeros(8, bool)})
    other = replace(batch_of(seed=9), left_out=known)
    if masked == "expression_mask":
        names = ("expression", "cell_line", "log_dose", "log_time", "dose_mask", "time_mask")
        column = 0
    else:
        names = ("molecules", "fingerprint", "substructures")
        column = 1
    changes = {name: getattr(other, name) for name in names}
    if masked == "structure_mask":
        changes["fingerprint"] = 1.0 - batch.fingerprint
    if known is not None:
        logits, proteins = known.logits.copy(), known.proteins.copy()
        logits[:, [column, column + 2]] += 1.0
        proteins[:, column] -= 1.0
        changes["left_out"] = dataclasses.replace(known, logits=logits, proteins=proteins)
    found, again = (
        answer(params[1], each, make_graph()) for each in (batch, replace(batch, **changes))
    )
    for name in ("mechanisms", "targets", "actions", "attention"):
        np.testing.assert_array_equal(getattr(found.network, name), getattr(again.network, name))
    np.testing.assert_array_equal(found.logits, again.logits)


def test_padding_and_order_of_a_batch_change_nothing(params):
    whole = replace(batch_of(), left_out=left_out())
    order = np.array([3, 0, 7, 5, 1, 2, 6, 4])
    own = ("molecules", "left_out")
    moved = replace(
        whole,
        **{
            field.name: getattr(whole, field.name)[order]
            for field in dataclasses.fields(whole)
            if field.name not in (*own, "structure_mask")
        },
        left_out=jax.tree.map(lambda values: values[order], whole.left_out),
        structure_mask=np.zeros(8, bool),
    )
    found = answer(params[1], replace(whole, structure_mask=np.zeros(8, bool)), make_graph())
    again = answer(params[1], moved, make_graph())
    np.testing.assert_allclose(again.network.mechanisms, found.network.mechanisms[order], atol=1e-5)
    np.testing.assert_allclose(again.network.targets, found.network.targets[order], atol=1e-5)


def relabelled(graph, new):
    """The graph with gene `row` called `new[row]`, and its edges in reversed order."""
    turned = lambda edges, send, receive: edges_of(  # noqa: E731 (two uses)
        send[edges.senders][::-1], receive[edges.receivers][::-1], edges.weight[::-1]
    )
    terms = np.arange(NUM_TERMS)
    propagation = np.array(graph.propagation)
    propagation[:, new] = graph.propagation[:, :NUM_GENES]
    return GraphArrays(
        interacts=turned(graph.interacts, new, new),
        annotated_to=turned(graph.annotated_to, new, terms),
        is_a=graph.is_a,
        part_of=graph.part_of,
        propagation=propagation,
    )


def edges_of(senders, receivers, weight):
    return edges(np.stack([senders, receivers], axis=1), weight)


def test_names_of_genes_and_order_of_edges_change_nothing(params):
    new = np.array([2, 6, 0, 5, 1, 4, 3])
    batch, graph = replace(batch_of(), left_out=left_out()), make_graph()
    moved = dict(params[1])
    place = lambda values, axis: np.take(values, np.argsort(new), axis=axis)  # noqa: E731 (two uses)
    moved["knowledge"] = {
        **params[1]["knowledge"],
        "gene": place(np.array(params[1]["knowledge"]["gene"]), 0),
    }
    moved[PROTEINS] = {
        **params[1][PROTEINS],
        "carry": place(np.array(params[1][PROTEINS]["carry"]), 1),
        "rows": new[ROWS].astype(np.int32),
    }
    found = answer(params[1], batch, graph)
    again = answer(moved, batch, relabelled(graph, new))
    np.testing.assert_allclose(again.network.mechanisms, found.network.mechanisms, atol=1e-4)
    np.testing.assert_allclose(again.network.targets, found.network.targets, atol=1e-4)


def test_evidence_is_passed_as_a_weighted_mean_at_first():
    """By hand: STRING neighbours by weight; terms by weight over their number of genes."""
    graph = jax.tree.map(jnp.asarray, make_graph())
    evidence = jnp.arange(NUM_GENES, dtype=jnp.float32)[:, None] + 1.0
    nodes = jax.random.normal(jax.random.key(0), (NUM_GENES + NUM_TERMS, 6))
    module = EvidencePassing(NUM_GENES)
    passed = lambda params: module.apply(params, nodes, graph).passed(evidence, NUM_TERMS)  # noqa: E731
    start = module.init(jax.random.key(0), nodes, graph)
    neighbours, through_terms = np.array(passed(start))[..., 0]
    # Gene 5 has the neighbours 0 (.9) and 6 (1), gene 6 the neighbours 1 (.7) and 5 (1).
    expected = [6, 7, 0, 0, 0, (0.9 * 1 + 7) / 1.9, (0.7 * 2 + 6) / 1.7]
    np.testing.assert_allclose(neighbours, expected, rtol=1e-5)
    # Term 0 has genes 0 and 1, term 1 genes 2 and 6, term 2 gene 5.
    np.testing.assert_allclose(through_terms, [1.5, 1.5, 5, 0, 0, 6, 5], rtol=1e-5)
    moved = passed({"params": drawn(module, nodes, graph)})
    assert np.abs(moved[0, 5, 0] - expected[5]) > 1e-3
    np.testing.assert_allclose(moved[0, :2, 0], [6, 7], rtol=1e-5)


def test_a_match_leaves_out_what_the_compound_adds_to_its_mechanisms():
    rng = np.random.default_rng(0)
    own = rng.random((2, 8)).astype(np.float32)
    sums = rng.random((8, NUM_MOAS)).astype(np.float32) + own.T @ np.eye(2, NUM_MOAS)
    # Nobody else has the last mechanism.
    sums[:, 2] = own[1]
    moas = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
    lengths = np.linalg.norm(sums, axis=0)
    mechanisms = Mechanisms(jnp.asarray(sums / lengths), jnp.asarray(lengths))
    attention = jnp.asarray(rng.random((2, 8)).astype(np.float32))
    known = dataclasses.replace(left_out(2), own_targets=own, own_moas=moas)
    expected = np.zeros((2, NUM_MOAS))
    for row in range(2):
        for moa in range(NUM_MOAS):
            left = sums[:, moa] - moas[row, moa] * own[row]
            length = np.linalg.norm(left)
            expected[row, moa] = attention[row] @ left / length if length > 1e-3 else 0.0
    np.testing.assert_allclose(mechanisms.match(attention, known), expected, atol=1e-4)
    np.testing.assert_allclose(
        mechanisms.match(attention, None), attention @ (sums / lengths), rtol=1e-5
    )


def test_items_in_blocks_are_the_items_at_once():
    """Values, parameters and gradients, where the last block is not full."""
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    items = jax.random.normal(keys[0], (3, ITEM_BLOCK + 5, 4))
    compound = jax.random.normal(keys[1], (3, 6))
    at_once, in_blocks = SharedResidual(8, 2), SharedResidualInBlocks(8, 2)
    params = at_once.init(keys[2], items, compound)
    jax.tree.map(np.testing.assert_array_equal, params, in_blocks.init(keys[2], items, compound))
    params = randomised(params)

    def gradients(module):
        def total(*args):
            return jnp.sum(jnp.sin(module.apply(*args)))

        return jax.grad(total, argnums=(0, 1, 2))(params, items, compound)

    np.testing.assert_allclose(
        in_blocks.apply(params, items, compound),
        at_once.apply(params, items, compound),
        rtol=1e-5,
        atol=1e-6,
    )
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5),
        gradients(in_blocks),
        gradients(at_once),
    )
