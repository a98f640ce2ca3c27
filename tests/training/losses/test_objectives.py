"""What the networks among the experts minimise, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from moa_jax.training.losses.co_teaching import CoTeaching, CoTeachingObjective
from moa_jax.training.losses.early_learning import (
    TARGETS,
    EarlyLearning,
    EarlyLearningObjective,
    with_rows,
)
from moa_jax.training.losses.factory import LOSSES, make_objective
from moa_jax.training.losses.objectives import PlainObjective, SelfPaced, mean_over_networks
from moa_jax.training.losses.sigmoid import BinaryCrossEntropy
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from tests.synthetic import batch_of, tiny_config

RNG = jax.random.key(0)


def training_config(**overrides):
    config = tiny_config(training=overrides).training
    return ml_collections.FrozenConfigDict(config)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_chosen_by_its_name(name):
    objective = make_objective(training_config(loss={"name": name}))
    kind = EarlyLearningObjective if name == "early_learning" else PlainObjective
    assert type(objective) is kind
    assert hash(objective) == hash(make_objective(training_config(loss={"name": name})))


def test_whose_losses_count_is_chosen_beside_the_loss():
    plain = PlainObjective(label_distribution_cross_entropy)
    assert make_objective(training_config()) == plain
    paced = training_config(num_steps=20, curriculum={"first_share": 0.3, "gradual_fraction": 0.5})
    assert make_objective(paced) == PlainObjective(plain.loss, SelfPaced(0.3, 10))
    taught = training_config(num_steps=20, co_teaching={"enabled": True, "gradual_fraction": 0.5})
    assert make_objective(taught) == CoTeachingObjective(plain.loss, CoTeaching(0.2, 10, False))


# Two networks; the second is not trained on the last of three examples.
LOGITS = {
    "signature": jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
    "molecule": jnp.array([[0.0, 3.0], [1.0, 0.0], [9.0, 9.0]]),
}
HEARD = {"signature": jnp.array([True, True, True]), "molecule": jnp.array([True, True, False])}


def answer(params, rng):
    del params, rng
    return LOGITS


def test_examples_are_ranked_by_the_mean_over_those_who_are_heard():
    losses = {"signature": jnp.array([1.0, 2.0, 4.0]), "molecule": jnp.array([4.0, 8.0, 99.0])}
    np.testing.assert_allclose(mean_over_networks(losses, HEARD), [2.5, 5.0, 4.0])
    nobody = {name: mask & False for name, mask in HEARD.items()}
    assert np.isinf(mean_over_networks(losses, nobody)).all()


def labelled_batch():
    """Labels of the three examples."""
    return dataclasses.replace(
        jax.tree.map(jnp.asarray, batch_of(3)),
        labels=jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        label_mask=jnp.ones((3, 2), bool),
        weight=jnp.array([1.0, 2.0, 1.0]),
    )


def sums(objective, step, params=None):
    return objective.sums(
        answer, params or {}, RNG, HEARD, labelled_batch(), step=jnp.asarray(step)
    )


def test_the_plain_loss_is_the_weighted_sum_over_who_is_heard():
    found = sums(PlainObjective(label_distribution_cross_entropy), 0)
    costs = {
        name: -log_softmax(np.array(logits), axis=1)[[0, 1, 2], [0, 0, 1]]
        for name, logits in LOGITS.items()
    }
    assert set(found) == {"signature", "molecule"}
    np.testing.assert_allclose(found["signature"], costs["signature"] @ [1, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(found["molecule"], costs["molecule"] @ [1, 2, 0], rtol=1e-6)


def test_easy_examples_come_first_and_count_as_all():
    objective = PlainObjective(label_distribution_cross_entropy, SelfPaced(0.34, 10))
    first = sums(objective, 0)
    # Mean losses: example 0 (.127 + 3.049) / 2, 1 (1.313 + .313) / 2, 2 log 2, the least.
    np.testing.assert_allclose(first["signature"], 4 * np.log(2), rtol=1e-5)
    assert float(first["molecule"]) == 0.0
    last = sums(objective, 10)
    whole = sums(PlainObjective(label_distribution_cross_entropy), 10)
    np.testing.assert_allclose(last["signature"], whole["signature"], rtol=1e-6)
    np.testing.assert_allclose(last["molecule"], whole["molecule"], rtol=1e-6)


def test_early_learning_moves_its_targets_and_is_pulled_to_them():
    early = EarlyLearning(BinaryCrossEntropy(), 1.0, 0.7)
    objective, batch = EarlyLearningObjective(early), labelled_batch()
    state = objective.first_state(("signature", "molecule"), 5, 2)
    np.testing.assert_array_equal(state[TARGETS]["molecule"], np.full((5, 2), 0.5))
    batch = dataclasses.replace(batch, row=jnp.array([3, 0, 4]))
    after = objective.next_state(answer, state, RNG, HEARD, batch)[TARGETS]
    expected = np.full((5, 2), 0.5)
    expected[[3, 0]] = 0.35 + 0.3 * expit(np.array(LOGITS["molecule"]))[:2]
    np.testing.assert_allclose(after["molecule"], expected, rtol=1e-6)
    found = objective.sums(answer, {TARGETS: after}, RNG, HEARD, batch, step=jnp.asarray(0))
    probs, own = expit(np.array(LOGITS["molecule"]))[:2], expected[[3, 0]]
    labels = np.array(batch.labels)[:2]
    costs = -np.log(np.where(labels > 0, probs, 1 - probs)) + np.log(
        probs * (1 - own) + (1 - probs) * own
    )
    np.testing.assert_allclose(found["molecule"], costs.sum(axis=1) @ [1, 2], rtol=1e-5)


def test_of_several_of_one_row_the_last_is_remembered_and_no_padding():
    after = with_rows(
        jnp.full((4, 1), 0.5),
        jnp.array([2, 0, 2, 0]),
        jnp.array([[0.1], [0.2], [0.3], [0.4]]),
        jnp.array([True, True, True, False]),
    )
    np.testing.assert_allclose(after, [[0.2], [0.5], [0.3], [0.5]], rtol=1e-6)
