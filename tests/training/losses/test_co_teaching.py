"""Co-teaching: who learns from what, on labels of which 40 % are planted wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from moa_jax.baselines.neural.config import no_graph
from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.models.baseline_networks.expression import ExpressionMlp
from moa_jax.training.losses.co_teaching import CoTeaching, CoTeachingObjective
from moa_jax.training.losses.objectives import small_losses
from moa_jax.training.losses.sigmoid import BinaryCrossEntropy
from moa_jax.training.losses.sums import masked_sum
from tests.small_sets import gene_table, knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = no_graph(knowledge_graph(7))
NUM_COMPOUNDS = 300
NETWORK = ExpressionMlp(num_moas=5, hidden=(32,), gene_dropout=0.0, dropout=0.0)


def objective(**changes):
    settings = {"forget_rate": 0.4, "num_gradual": 20, "on_disagreement": False} | changes
    return CoTeachingObjective(BinaryCrossEntropy(), CoTeaching(**settings))


def logits_of(params, batch):
    return NETWORK.apply({"params": params}, batch, GRAPH, train=False)


def loss(some, params, batch, rng, step):
    def answer(params, rng):
        del rng
        return {"network": logits_of(params, batch)}

    has_modality = {"network": batch.example_mask}
    return sum(some.sums(answer, params, rng, has_modality, batch, step=step).values())


def first_params(some, batch, seed):
    def draw(rng):
        return NETWORK.init(rng, batch, GRAPH, train=False)["params"]

    return some.first_params(draw, jax.random.key(seed))


def on_device(batch):
    return jax.tree.map(jnp.asarray, batch)


@pytest.fixture(scope="module")
def right():
    """Five MoAs, each of which shifts its gene: every example is easy to classify."""
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
    params = first_params(some, batch, seed)
    optimiser = optax.adam(0.02)

    @jax.jit
    def update(carry, step):
        params, state = carry
        gradient = jax.grad(lambda params: loss(some, params, batch, jax.random.key(step), step))(
            params
        )
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    carry = params, optimiser.init(params)
    (params, _), _ = jax.lax.scan(update, carry, jnp.arange(num_steps))
    return params


# A step at which the whole share is forgotten.
LATE = jnp.asarray(1000)


def logits_of_both(params, batch):
    return jnp.stack([logits_of(params[member], batch) for member in ("first", "second")])


def kept_rows(some, params, batch, step=LATE):
    logits = logits_of_both(params, batch)
    losses = jax.vmap(some.loss, in_axes=(0, None, None))(logits, batch.labels, batch.label_mask)
    return np.array(some.teaching.kept(logits, losses, batch, step))


def test_what_is_kept_is_labelled_right(noisy, wrong):
    kept = kept_rows(objective(), trained(objective(), noisy), noisy)
    assert kept.sum(axis=1).tolist() == [180, 180]
    # By chance 72 of the 180 would be wrong.
    num_wrong = kept[:, wrong].sum(axis=1)
    assert (num_wrong <= 5).all(), num_wrong


def test_two_networks_that_teach_each_other_forget_wrong_labels(noisy, right):
    def accuracy(some):
        answers = logits_of(some.answering(trained(some, noisy, num_steps=200)), noisy)
        return float((answers.argmax(axis=1) == right.labels.argmax(axis=1)).mean())

    assert accuracy(objective()) > 0.97
    assert accuracy(objective()) > accuracy(objective(forget_rate=0.0)) + 0.1


def gradient_of(some, params, batch, step=LATE):
    return jax.grad(lambda params: loss(some, params, batch, jax.random.key(0), step))(params)


def test_each_network_learns_from_what_the_other_keeps_and_shares_no_gradient(noisy):
    some = objective()
    params = trained(some, noisy, num_steps=10)
    gradient = gradient_of(some, params, noisy)
    kept = kept_rows(some, params, noisy)
    assert (kept[0] != kept[1]).any()
    for own, given in (("first", jnp.asarray(kept[1])), ("second", jnp.asarray(kept[0]))):

        def alone(own_params, given=given):
            logits = logits_of(own_params, noisy)
            losses = some.loss(logits, noisy.labels, noisy.label_mask)
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
    params = trained(objective(), noisy, num_steps=5)
    whole = gradient_of(objective(forget_rate=0.0), params, noisy)
    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5),
        gradient_of(objective(), params, noisy, jnp.asarray(0)),
        whole,
    )


def test_the_kept_share_falls_to_its_end():
    shares = [float(objective().teaching.kept_share(jnp.asarray(step))) for step in (0, 10, 20, 90)]
    np.testing.assert_allclose(shares, [1, 0.8, 0.6, 0.6], rtol=1e-6)
    np.testing.assert_allclose(
        objective(num_gradual=0).teaching.kept_share(jnp.asarray(0)), 0.6, rtol=1e-6
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
    for some in (objective(), objective(on_disagreement=True)):
        params = trained(some, noisy, num_steps=10)
        assert not kept_rows(some, params, padded)[:, 200:].any()
        jax.tree.map(
            lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5),
            gradient_of(some, params, padded),
            gradient_of(some, params, spoiled),
        )


def test_only_disagreement_is_ranked_once_the_share_has_fallen(noisy):
    some = objective(on_disagreement=True)
    params = trained(some, noisy, num_steps=10)
    logits = np.array(logits_of_both(params, noisy))
    differ = logits[0].argmax(axis=1) != logits[1].argmax(axis=1)
    assert 0 < differ.sum() < NUM_COMPOUNDS
    early = kept_rows(some, params, noisy, jnp.asarray(19))
    np.testing.assert_array_equal(early, kept_rows(objective(), params, noisy, jnp.asarray(19)))
    late = kept_rows(some, params, noisy, jnp.asarray(20))
    assert not late[:, ~differ].any()
    assert late.sum(axis=1).tolist() == [max(1, round(0.6 * differ.sum()))] * 2
    # Twins that agree on everything rank everything.
    alike = {"first": params["first"], "second": params["first"]}
    assert kept_rows(some, alike, noisy).sum(axis=1).tolist() == [180, 180]


def test_the_two_start_apart_and_the_first_answers(noisy):
    params = first_params(objective(), noisy, 0)
    shapes = jax.tree.map(jnp.shape, params["first"])
    assert jax.tree.map(jnp.shape, params["second"]) == shapes
    kernels = [params[member]["trunk"]["hidden_0"]["kernel"] for member in ("first", "second")]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01
    answering = objective().answering({**params, "expert_scales": jnp.ones(3)})
    assert set(answering) == {*params["first"], "expert_scales"}
    np.testing.assert_array_equal(answering["trunk"]["hidden_0"]["kernel"], kernels[0])
