"""Losses and weights against closed forms and scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from moa_jax.training.losses import (
    balanced_weights,
    label_distribution_cross_entropy,
    masked_sum,
)


def probs_to_logits(probs):
    return jnp.log(jnp.asarray(probs, jnp.float32))


def test_one_label_is_multinomial_log_loss():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), size=9)
    labels = np.eye(4)[rng.integers(4, size=9)]
    losses = label_distribution_cross_entropy(
        probs_to_logits(probs), jnp.asarray(labels), jnp.ones((9, 4), bool)
    )
    expected = log_loss(labels.argmax(1), probs, labels=range(4))
    np.testing.assert_allclose(losses.mean(), expected, rtol=1e-5)


def test_several_labels_share_evenly():
    losses = label_distribution_cross_entropy(
        probs_to_logits([[0.5, 0.3, 0.2]]), jnp.array([[1.0, 0.0, 1.0]]), jnp.ones((1, 3), bool)
    )
    np.testing.assert_allclose(losses, [-(np.log(0.5) + np.log(0.2)) / 2], rtol=1e-6)


def test_an_unknown_label_is_as_if_the_moa_were_not_there():
    rng = np.random.default_rng(1)
    logits = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    labels = jnp.asarray(np.eye(4)[[0, 1, 0, 1, 0]])
    mask = jnp.asarray(np.tile([True, True, False, True], (5, 1)))
    masked = label_distribution_cross_entropy(logits, labels, mask)
    kept = np.array([0, 1, 3])
    truncated = label_distribution_cross_entropy(
        logits[:, kept], labels[:, kept], jnp.ones((5, 3), bool)
    )
    np.testing.assert_allclose(masked, truncated, rtol=1e-6)


def test_an_example_without_a_known_label_costs_nothing():
    losses = label_distribution_cross_entropy(
        jnp.ones((1, 3)), jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[True, False, True]])
    )
    np.testing.assert_array_equal(losses, [0.0])


def test_masked_sum_is_the_sum_of_what_is_left():
    values, weight = jnp.array([1.0, 2.0, jnp.nan, 4.0]), jnp.array([1.0, 3.0, 5.0, 1.0])
    mask = jnp.array([True, True, False, False])
    np.testing.assert_allclose(masked_sum(values, weight, mask), 1 + 6)
    np.testing.assert_array_equal(masked_sum(values, weight, jnp.zeros(4, bool)), 0.0)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_balanced_weights_are_those_of_scikit_learn(power):
    strata = np.random.default_rng(2).integers(5, size=40)
    ours = balanced_weights(strata, power=power)
    theirs = compute_sample_weight("balanced" if power else None, strata)
    np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-6)
