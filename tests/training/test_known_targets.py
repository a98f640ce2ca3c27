"""Known targets: found among the graph's genes, learned with a closed-form loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.data.features import TARGET_BUCKET, encode, fit_features
from moa_jax.training.fusion_task import reads_targets
from moa_jax.training.known_targets import target_loss, targets_of_moas
from tests.synthetic import (
    NUM_LANDMARKS,
    batch_of,
    make_examples,
    make_knowledge_graph,
    make_raw_examples,
    replace,
    tiny_config,
)

GRAPH = make_knowledge_graph()


def test_targets_are_rows_of_the_graph_s_genes():
    examples = make_raw_examples(4)
    known = (("GENE105", "GENE100", "elsewhere"), (), ("elsewhere",), ("GENE106", "GENE106"))
    examples = dataclasses.replace(examples, targets=known)
    symbols = tuple(GRAPH.genes["symbol"])
    spec = fit_features(examples, GRAPH.genes.iloc[:NUM_LANDMARKS], node_symbols=symbols)
    assert type(spec).from_json(spec.to_json()).node_symbols == symbols
    encoded = encode(examples, spec)
    assert encoded.targets.shape == (4, TARGET_BUCKET)
    found = [
        rows[mask].tolist() for rows, mask in zip(encoded.targets, encoded.target_mask, strict=True)
    ]
    assert found == [[0, 5], [], [], [6]]
    unread = encode(examples, dataclasses.replace(spec, node_symbols=()))
    assert unread.targets.shape == unread.target_mask.shape == (4, 0)


def test_the_loss_is_the_cross_entropy_of_the_known_targets():
    batch = batch_of()
    known = {0: [1], 1: [2, 4], 2: [0, 6]}
    targets, mask = np.zeros((8, 3), np.int32), np.zeros((8, 3), bool)
    for example, rows in known.items():
        targets[example, : len(rows)], mask[example, : len(rows)] = rows, True
    weight = np.linspace(1, 2, 8, dtype=np.float32)
    real = np.arange(8) != 2
    batch = replace(batch, targets=targets, target_mask=mask, weight=weight, example_mask=real)
    logits = jax.random.normal(jax.random.key(0), (8, 7))
    batch = jax.tree.map(jnp.asarray, batch)
    log_probs = np.asarray(jax.nn.log_softmax(logits))
    expected = -weight[0] * log_probs[0, 1] - weight[1] * log_probs[1, [2, 4]].mean()
    np.testing.assert_allclose(target_loss(logits, batch), expected, rtol=1e-5)
    garbled = replace(batch, targets=jnp.where(mask, targets, 5))
    np.testing.assert_array_equal(target_loss(logits, garbled), target_loss(logits, batch))


def test_targets_of_an_moa_are_counted_over_its_examples():
    examples = dataclasses.replace(
        make_examples(3),
        labels=np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], np.float32),
        targets=np.array([[2, 0], [2, 5], [6, 1]], np.int32),
        target_mask=np.array([[True, False], [True, True], [True, True]]),
    )
    expected = np.zeros((3, 7))
    expected[0, [2, 5]] = 2 / 3, 1 / 3
    expected[1, [2, 5]] = 1 / 2
    np.testing.assert_allclose(targets_of_moas(examples, 7), expected, rtol=1e-6)


def test_targets_are_read_where_something_learns_them():
    config = tiny_config()
    assert not reads_targets(config)
    config.model.moa_head = "prototypes"
    assert reads_targets(config)
    config.model.experts = ("signature",)
    assert not reads_targets(config)
