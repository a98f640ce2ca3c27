"""Co-teaching: who learns from what, on labels of which 40 % are planted wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from moa_jax.baselines.neural_config import neural_config, no_graph
from moa_jax.data.batches import make_batch
from moa_jax.data.features import encode, fit_features
from moa_jax.models.expression_network import ExpressionMlp
from moa_jax.training.co_teaching import CoTeaching, CoTeachingTask, Twins, small_losses
from moa_jax.training.fit import Run
from moa_jax.training.losses import masked_sum
from moa_jax.training.sigmoid_losses import BinaryCrossEntropy
from tests.small_sets import gene_table, knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = no_graph(knowledge_graph(7))
NUM_COMPOUNDS = 300
NETWORK = ExpressionMlp(num_moas=5, hidden=(32,), gene_dropout=0.0, dropout=0.0)


def task(**changes):
    settings = {"forget_rate": 0.4, "num_gradual": 20, "on_disagreement": False} | changes
    return CoTeachingTask(Twins(NETWORK), BinaryCrossEntropy(), CoTeaching(**settings))


def on_device(batch):
    return jax.tree.map(jnp.asarray, batch)


@pytest.fixture(scope="module")
def right():
    """Five MoAs, each of which shifts its gene: every example is easy to tell."""
    planted = planted_examples(num_compounds=NUM_COMPOUNDS // 10, num_moas=5, num_signatures=10)
    known = dataclasses.replace(planted, smiles=(None,) * NUM_COMPOUNDS)
    encoded = encode(known, fit_features(known, gene_table(7)))
    return on_device(make_batch(encoded, np.arange(NUM_COMPOUNDS), NUM_COMPOUNDS, num_shards=1))


@pytest.fixture(scope="module")
def wrong(right):
    """The rows of the 40 % that get another MoA than theirs."""
    rng = np.random.default_rng(7)
    return np.sort(rng.choice(NUM_COMPOUNDS, size=120, replace=False))


@pytest.fixture(scope="module")
def noisy(right, wrong):
    rng = np.random.default_rng(8)
    labels = np.array(right.labels)
    moa = labels[wrong].argmax(axis=1)
    labels[wrong] = np.eye(5)[(moa + rng.integers(1, 5, size=len(wrong))) % 5]
    return on_device(dataclasses.replace(right, labels=labels))


def trained(some, batch, *, num_steps=80, seed=0):
    params = some.model.init(jax.random.key(seed), batch, GRAPH, train=False)["params"]
    optimiser = optax.adam(0.02)

    @jax.jit
    def update(carry, step):
        params, state = carry
        loss = lambda params: some.loss(  # noqa: E731 (its gradient is all that is wanted)
            params, batch, GRAPH, jax.random.key(step), step
        )
        gradient = jax.grad(loss, has_aux=True)(params)[0]
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    carry = params, optimiser.init(params)
    (params, _), _ = jax.lax.scan(update, carry, jnp.arange(num_steps))
    return params


# A step at which the whole share is forgotten.
LATE = jnp.asarray(1000)


def kept_rows(some, params, batch, step=LATE):
    logits = some.model.apply({"params": params}, batch, GRAPH, train=False)
    losses = jax.vmap(some.example_loss, in_axes=(0, None, None))(
        logits, batch.labels, batch.label_mask
    )
    return np.array(some.teaching.kept(logits, losses, batch, step))


def test_what_is_kept_is_labelled_right(noisy, wrong):
    kept = kept_rows(task(), trained(task(), noisy), noisy)
    assert kept.sum(axis=1).tolist() == [180, 180]
    # By chance 72 of the 180 would be wrong.
    num_wrong = kept[:, wrong].sum(axis=1)
    assert (num_wrong <= 5).all(), num_wrong


def test_two_networks_that_teach_each_other_forget_wrong_labels(noisy, right):
    def accuracy(some):
        answers = some.views(trained(some, noisy, num_steps=200), noisy, GRAPH)["answer"]
        return float((answers.argmax(axis=1) == right.labels.argmax(axis=1)).mean())

    assert accuracy(task()) > 0.97
    assert accuracy(task()) > accuracy(task(forget_rate=0.0)) + 0.1


def gradient_of(some, params, batch, step=LATE):
    loss = lambda params: some.loss(params, batch, GRAPH, jax.random.key(0), step)[0]  # noqa: E731 (as above)
    return jax.grad(loss)(params)


def test_each_network_learns_from_what_the_other_keeps_and_shares_no_gradient(noisy):
    some = task()
    params = trained(some, noisy, num_steps=10)
    gradient = gradient_of(some, params, noisy)
    kept = kept_rows(some, params, noisy)
    assert (kept[0] != kept[1]).any()
    for own, given in (("first", jnp.asarray(kept[1])), ("second", jnp.asarray(kept[0]))):

        def alone(own_params, given=given):
            logits = NETWORK.apply({"params": own_params}, noisy, GRAPH, train=False)
            losses = some.example_loss(logits, noisy.labels, noisy.label_mask)
            return masked_sum(losses, noisy.weight, given) * len(given) / given.sum()

        expected = jax.grad(alone)(params[own])
        jax.tree.map(
            lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4),
            gradient[own],
            expected,
        )
    # A change of one that leaves its order as it is is no news to the other.
    moved = jax.tree.map(lambda value: value, params)
    moved["first"]["logits"]["bias"] = params["first"]["logits"]["bias"] + 1e-6
    np.testing.assert_array_equal(kept_rows(some, moved, noisy), kept)
    jax.tree.map(
        np.testing.assert_array_equal,
        gradient_of(some, moved, noisy)["second"],
        gradient["second"],
    )


def test_nothing_is_forgotten_at_first(noisy):
    params = trained(task(), noisy, num_steps=5)
    whole = gradient_of(task(forget_rate=0.0), params, noisy)
    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5),
        gradient_of(task(), params, noisy, jnp.asarray(0)),
        whole,
    )


def test_the_kept_share_falls_to_its_end():
    shares = [float(task().teaching.kept_share(jnp.asarray(step))) for step in (0, 10, 20, 90)]
    np.testing.assert_allclose(shares, [1, 0.8, 0.6, 0.6], rtol=1e-6)
    np.testing.assert_allclose(
        task(num_gradual=0).teaching.kept_share(jnp.asarray(0)), 0.6, rtol=1e-6
    )


def test_small_losses_are_counted_among_candidates():
    losses = jnp.array([3.0, 1.0, jnp.nan, 2.0, 0.5, 4.0])
    candidates = jnp.array([True, True, False, True, False, True])
    for share, rows in ((1.0, [0, 1, 3, 5]), (0.5, [1, 3]), (0.0, [1])):
        kept = small_losses(losses, candidates, jnp.asarray(share))
        assert np.flatnonzero(kept).tolist() == rows
    assert not small_losses(losses, candidates & False, jnp.asarray(1.0)).any()


def test_padding_changes_nothing(noisy):
    real = np.arange(NUM_COMPOUNDS) < 200
    padded = on_device(
        dataclasses.replace(noisy, example_mask=real, label_mask=noisy.label_mask & real[:, None])
    )
    spoiled = dataclasses.replace(
        padded,
        labels=jnp.where(real[:, None], padded.labels, 1 - padded.labels),
        weight=jnp.where(real, padded.weight, 9.0),
        expression=jnp.where(real[:, None], padded.expression, 5.0),
    )
    for some in (task(), task(on_disagreement=True)):
        params = trained(some, noisy, num_steps=10)
        assert not kept_rows(some, params, padded)[:, 200:].any()
        jax.tree.map(
            lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5),
            gradient_of(some, params, padded),
            gradient_of(some, params, spoiled),
        )


def test_only_disagreement_is_ranked_once_the_share_has_fallen(noisy):
    some = task(on_disagreement=True)
    params = trained(some, noisy, num_steps=10)
    logits = np.array(some.model.apply({"params": params}, noisy, GRAPH, train=False))
    differ = logits[0].argmax(axis=1) != logits[1].argmax(axis=1)
    assert 0 < differ.sum() < NUM_COMPOUNDS
    early = kept_rows(some, params, noisy, jnp.asarray(19))
    np.testing.assert_array_equal(early, kept_rows(task(), params, noisy, jnp.asarray(19)))
    late = kept_rows(some, params, noisy, jnp.asarray(20))
    assert not late[:, ~differ].any()
    assert late.sum(axis=1).tolist() == [max(1, round(0.6 * differ.sum()))] * 2
    # Twins that agree on everything rank everything.
    alike = {"first": params["first"], "second": params["first"]}
    assert kept_rows(some, alike, noisy).sum(axis=1).tolist() == [180, 180]


def test_the_answer_is_the_mean_of_both(noisy):
    some = task()
    params = trained(some, noisy, num_steps=10)
    logits = [
        NETWORK.apply({"params": params[name]}, noisy, GRAPH, train=False)
        for name in ("first", "second")
    ]
    assert not np.allclose(*logits, atol=1e-3)
    expected = (jax.nn.sigmoid(logits[0]) + jax.nn.sigmoid(logits[1])) / 2
    np.testing.assert_allclose(some.views(params, noisy, GRAPH)["answer"], expected, rtol=1e-5)


def test_a_run_trains_both_on_eight_devices_as_on_one(tmp_path):
    planted = planted_examples(num_compounds=20, num_moas=5)
    known = dataclasses.replace(planted, smiles=(None,) * planted.num_examples)
    answers = []
    for num_devices in (1, 8):
        config = neural_config(
            "co_teaching",
            model={},
            task={},
            batch_size=16,
            num_steps=6,
            eval_every=3,
            patience=9,
            learning_rate=0.02,
            weight_decay=0.1,
            balance_power=1.0,
        )
        config.num_devices = num_devices
        predictor = Run(
            config,
            known,
            None,
            make_task=lambda *_: task(),
            genes=gene_table(7),
            graph=GRAPH,
            graph_size=(0, 0),
            workdir=tmp_path / str(num_devices),
        ).train()
        answers.append(predictor.predict(known)["answer"])
    np.testing.assert_allclose(*answers, rtol=1e-3)
    assert answers[0].std() > 0.01
