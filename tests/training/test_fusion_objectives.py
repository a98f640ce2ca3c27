"""What the networks among the experts minimise, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from moa_jax.training.early_learning import EarlyLearning
from moa_jax.training.fusion_objectives import (
    EarlyLearningObjective,
    PlainObjective,
    Said,
    make_objective,
)
from moa_jax.training.losses import label_distribution_cross_entropy
from moa_jax.training.robust_losses import ROBUST_LOSSES
from moa_jax.training.sigmoid_losses import BinaryCrossEntropy, WeightedPositives
from tests.synthetic import batch_of, tiny_config


def training_config(**overrides):
    config = tiny_config(training=overrides).training
    return ml_collections.FrozenConfigDict(config)


@pytest.mark.parametrize("name", [*ROBUST_LOSSES, "early_learning", "label_distribution"])
def test_every_loss_can_be_chosen_by_its_name(name):
    objective = make_objective(training_config(loss={"name": name}), 3)
    if name == "label_distribution":
        assert objective == PlainObjective(label_distribution_cross_entropy, None)
    elif name == "early_learning":
        base = WeightedPositives(BinaryCrossEntropy(), 5.0)
        assert objective == EarlyLearningObjective(EarlyLearning(base, 1.0, 0.7))
    else:
        assert isinstance(objective.example_loss.loss, ROBUST_LOSSES[name])
    assert hash(objective) == hash(make_objective(training_config(loss={"name": name}), 3))


def test_settings_of_the_chosen_loss_are_used():
    settings = {"name": "focal", "positive_weight": 1.0, "focal": {"gamma": 0.0}}
    focal = make_objective(training_config(loss=settings), 3)
    logits, labels = jnp.array([[2.0, -1.0, 0.5]]), jnp.array([[1.0, 0.0, 0.0]])
    probs = expit(np.array([2.0, -1.0, 0.5]))
    expected = -np.log(probs[0]) - np.log(1 - probs[1:]).sum()
    found = focal.example_loss(logits, labels, jnp.ones((1, 3), bool))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
    mixed = make_objective(
        training_config(
            loss={"name": "transition_correction", "transition_correction": {"rate": 0.4}}
        ),
        3,
    )
    expected = [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    np.testing.assert_allclose(mixed.example_loss.loss.transition, expected)


def said_by_hand():
    """Two experts; the second has nothing to say of the last of three examples."""
    logits = {
        "signature": jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        "molecule": jnp.array([[0.0, 3.0], [1.0, 0.0], [9.0, 9.0]]),
    }
    heard = {
        "signature": jnp.array([True, True, True]),
        "molecule": jnp.array([True, True, False]),
    }
    return Said(logits, heard, {"signature": 1.0, "molecule": 0.5})


def test_examples_are_ranked_by_the_mean_over_those_who_are_heard():
    losses = {"signature": jnp.array([1.0, 2.0, 4.0]), "molecule": jnp.array([4.0, 8.0, 99.0])}
    mean = said_by_hand().mean_loss(losses)
    np.testing.assert_allclose(mean, [(1 + 2) / 1.5, (2 + 4) / 1.5, 4.0], rtol=1e-6)
    together = said_by_hand().weighted_sum(said_by_hand().logits, axes=1)
    np.testing.assert_allclose(together, [[2.0, 1.5], [0.5, 1.0], [0.0, 0.0]])


def labelled_batch():
    """Labels of the three examples."""
    return dataclasses.replace(
        jax.tree.map(jnp.asarray, batch_of(3)),
        labels=jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        label_mask=jnp.ones((3, 2), bool),
        weight=jnp.array([1.0, 2.0, 1.0]),
    )


def test_easy_examples_come_first_and_count_as_all():
    config = training_config(
        num_steps=20, curriculum={"first_share": 0.34, "gradual_fraction": 0.5}
    )
    objective = make_objective(config, 2)
    first, (parts, _) = objective.totals(said_by_hand(), labelled_batch(), jnp.asarray(0), {})
    # Mean losses: example 0 (.127 + .5 * 3.049) / 1.5, 1 (1.313 + .5 * .313) / 1.5, 2 log 2.
    np.testing.assert_allclose(parts["signature"], 4 * np.log(2), rtol=1e-5)
    assert float(parts["molecule"]) == 0.0
    last, (parts, _) = objective.totals(said_by_hand(), labelled_batch(), jnp.asarray(10), {})
    logits = np.array(said_by_hand().logits["molecule"])
    costs = -log_softmax(logits, axis=1)[[0, 1], [0, 0]]
    np.testing.assert_allclose(parts["molecule"], costs[0] + 2 * costs[1], rtol=1e-5)
    assert not np.isclose(first, last)


def test_early_learning_remembers_the_last_of_a_row_and_no_padding():
    early = EarlyLearning(BinaryCrossEntropy(), 1.0, 0.5)
    memory = jnp.full((4, 1), 0.5)
    after = early.remembered(
        memory,
        jnp.array([2, 0, 2, 0]),
        jnp.array([[0.1], [0.2], [0.3], [0.4]]),
        jnp.array([True, True, True, False]),
    )
    np.testing.assert_allclose(after, [[0.2], [0.5], [0.3], [0.5]], rtol=1e-6)
