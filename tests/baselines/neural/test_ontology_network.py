"""The visible network as a method: what it is trained on, and that it learns through the terms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.baselines.neural.ontology_network import VisibleTask, levelled_graph, visible_network
from moa_jax.data.examples.labels import strata
from moa_jax.models.visible_network import VisibleNetwork, VisibleOutput
from moa_jax.schemas import InputError
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from tests.small_sets import edge_set, knowledge_graph, planted_examples
from tests.synthetic import NUM_MOAS, batch_of, replace

pytestmark = pytest.mark.slow

# Gene of each MoA -> its own term; the terms 1 and 2 are children of term 0.
OWN_TERMS = ((0, 1), (1, 2), (2, 0))


def graph(annotated=OWN_TERMS):
    evidence = ("IDA",) * len(annotated)
    return dataclasses.replace(
        knowledge_graph(5), annotated_to=edge_set(annotated, evidence=evidence)
    )


@pytest.fixture(scope="module")
def parts():
    planted = planted_examples()
    return tuple(planted.take(rows) for rows in np.split(np.arange(60), [36, 48]))


def tiny(folder, settings, **training):
    method = visible_network(folder)
    config = method.candidates[settings]
    config.model.gene_dropout = config.model.dropout = 0.0
    config.training.update({"batch_size": 16, "patience": 9, "log_every": 20} | training)
    return dataclasses.replace(method, candidates={settings: config})


@pytest.mark.parametrize("settings", ["all terms", "roots"])
def test_what_enters_the_terms_is_learned_and_nothing_else(settings, parts, tmp_path):
    train, validation, test = parts
    method = tiny(tmp_path / "all", settings, num_steps=60, eval_every=20)
    told = method.fit(train, validation, graph(), seed=0).predict(test)
    assert (told.argmax(axis=1) == strata(test)).mean() > 0.9
    # Only the gene of the first MoA: the other two are indistinguishable.
    method = tiny(tmp_path / "one", settings, num_steps=60, eval_every=20)
    fitted = method.fit(train, validation, graph(OWN_TERMS[:1]), seed=0)
    first = strata(test) == 0
    found = fitted.predict(test)
    np.testing.assert_array_equal(found.argmax(axis=1) == 0, first)
    turned = test.expression * np.array([1, 7, -7, 3, 3], np.float32)
    others = dataclasses.replace(test, expression=turned)
    np.testing.assert_array_equal(fitted.predict(others), found)


def test_the_terms_losses_are_their_mean_beside_the_answers():
    batch = jax.tree.map(jnp.asarray, replace(batch_of(), weight=np.arange(8, dtype=np.float32)))
    rng = np.random.default_rng(0)
    output = VisibleOutput(
        logits=jnp.asarray(rng.normal(size=(8, NUM_MOAS)), jnp.float32),
        term_logits=jnp.asarray(rng.normal(size=(4, 8, NUM_MOAS)), jnp.float32),
    )
    network = VisibleNetwork(
        num_moas=NUM_MOAS,
        num_terms=4,
        term_features=2,
        gene_dropout=0.0,
        dropout=0.0,
        roots_only=True,
    )
    task = VisibleTask(network, drop_expression=0.0, drop_structure=0.0, term_weight=0.5)
    loss, told = task.loss_of(output, batch)
    loss_of = lambda logits: label_distribution_cross_entropy(  # noqa: E731 (two uses)
        logits, batch.labels, batch.label_mask
    )
    answer = batch.weight @ loss_of(output.logits)
    terms = batch.weight @ np.mean([loss_of(logits) for logits in output.term_logits], axis=0)
    np.testing.assert_allclose(loss, answer + 0.5 * terms, rtol=1e-6)
    np.testing.assert_allclose([told["answer"], told["terms"]], [answer, terms], rtol=1e-6)


def test_the_terms_of_a_trained_network_can_be_read(parts, tmp_path):
    train = parts[0]
    method = tiny(tmp_path, "all terms", num_steps=40, eval_every=40)
    fitted = method.fit(train, train.take(np.array([], int)), graph(), seed=0)
    network = fitted.fitted.predictor.task.model
    params = {"params": fitted.fitted.predictor.params}
    batch = batch_of()
    standing = np.eye(8, 5, dtype=np.float32) * 3
    batch = replace(batch, expression=standing, gene_mask=np.ones((8, 5), bool))
    batch = jax.tree.map(jnp.asarray, batch)
    output = network.apply(params, batch, levelled_graph(graph()), train=False)
    rest = output.term_logits[:, -1]
    moved = np.abs(output.term_logits - rest[:, None]).max(axis=-1) > 1e-3
    # A gene moves its own term and the root; those that nothing annotates move nothing.
    expected = np.zeros((3, 8), bool)
    expected[0, :3] = expected[1, 0] = expected[2, 1] = True
    np.testing.assert_array_equal(moved, expected)
    told = output.term_logits.sum(axis=0) * 3**-0.5 + params["params"]["bias"]
    np.testing.assert_allclose(output.logits, told, rtol=1e-5, atol=1e-5)


def test_a_graph_with_a_cycle_is_refused_before_anything_is_trained(parts, tmp_path):
    ring = dataclasses.replace(graph(), part_of=edge_set([(0, 1)]))
    with pytest.raises(InputError, match="form a cycle over the terms GO:0000001 -> "):
        tiny(tmp_path, "roots").fit(*parts[:2], ring, seed=0)
    assert not (tmp_path / "selection_0").exists()
