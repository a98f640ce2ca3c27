"""Losses against closed forms and scikit-learn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm
from sklearn.metrics import log_loss

from moa_jax.training.losses.embeddings import (
    gaussian_divergence,
    gaussian_reconstruction,
    semihard_triplet_loss,
    supervised_contrastive_loss,
)
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from moa_jax.training.losses.sums import masked_sum


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


def unit_rows(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_supervised_contrastive_loss_is_khosla_2020_eq_2():
    rng = np.random.default_rng(3)
    points, temperature = unit_rows(rng, 7, 3), 0.2
    # Row 5 shares an MoA with nobody, row 6 one with each of two classes.
    labels = np.eye(4)[[0, 0, 1, 1, 0, 2, 0]]
    labels[6, 1] = 1
    expected = np.zeros(7)
    for anchor in range(7):
        others = [row for row in range(7) if row != anchor]
        positives = [row for row in others if labels[anchor] @ labels[row] > 0]
        total = sum(np.exp(points[anchor] @ points[row] / temperature) for row in others)
        for row in positives:
            share = np.exp(points[anchor] @ points[row] / temperature) / total
            expected[anchor] -= np.log(share) / len(positives)
    losses = supervised_contrastive_loss(
        jnp.asarray(points, jnp.float32),
        jnp.asarray(labels, jnp.float32),
        jnp.ones(7, bool),
        temperature=temperature,
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[5] == 0


def test_contrast_of_equal_points_is_chance():
    losses = supervised_contrastive_loss(
        jnp.tile(jnp.array([[0.6, 0.8]]), (5, 1)),
        jnp.eye(2)[jnp.array([0, 0, 1, 1, 1])],
        jnp.ones(5, bool),
        temperature=0.1,
    )
    np.testing.assert_allclose(losses, np.log(4), rtol=1e-6)


def test_contrast_does_not_see_masked_rows():
    rng = np.random.default_rng(4)
    points = jnp.asarray(unit_rows(rng, 6, 3), jnp.float32)
    labels = jnp.eye(2)[jnp.array([0, 1, 0, 1, 0, 1])]
    real = jnp.arange(6) < 4
    losses = supervised_contrastive_loss(points, labels, real, temperature=0.1)
    alone = supervised_contrastive_loss(points[:4], labels[:4], real[:4], temperature=0.1)
    np.testing.assert_allclose(losses[:4], alone, rtol=1e-5)
    np.testing.assert_array_equal(losses[4:], 0)


def triplets_one_by_one(points, labels, real, *, margin, width):
    """Mean over all semi-hard triplets, and their number."""
    similarity, losses = points @ points.T, []
    for anchor, positive, negative in itertools.permutations(np.flatnonzero(real), 3):
        gap = similarity[anchor, positive] - similarity[anchor, negative]
        alike = labels[anchor] @ labels[positive] > 0 and labels[anchor] @ labels[negative] == 0
        if alike and 0 < gap <= width:
            losses.append(margin - gap)
    return np.mean(losses), len(losses)


def test_triplet_loss_is_the_mean_over_the_semi_hard_ones():
    rng = np.random.default_rng(2)
    points, real = unit_rows(rng, 12, 3), np.arange(12) < 10
    labels = np.eye(4)[rng.integers(4, size=12)]
    labels[3, 2] = 1
    expected, number = triplets_one_by_one(points, labels, real, margin=0.4, width=0.3)
    assert number > 10

    def loss(points, labels, real):
        return semihard_triplet_loss(points, labels, real, margin=0.4, width=0.3)

    rows = jnp.asarray(points, jnp.float32), jnp.asarray(labels, jnp.float32), jnp.asarray(real)
    np.testing.assert_allclose(loss(*rows), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(*(part[:10] for part in rows)), expected, rtol=1e-5)
    # The gradient is that of the mean over the same triplets.
    slope, step = jax.grad(loss)(*rows), np.zeros_like(points)
    step[1, 2] = 1e-4
    ends = [
        triplets_one_by_one(points + sign * step, labels, real, margin=0.4, width=0.3)
        for sign in (1, -1)
    ]
    assert ends[0][1] == ends[1][1] == number
    np.testing.assert_allclose(slope[1, 2], (ends[0][0] - ends[1][0]) / 2e-4, rtol=1e-3)
    np.testing.assert_array_equal(slope[10:], 0)


def test_without_a_semi_hard_triplet_the_loss_is_zero():
    points = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    labels = jnp.eye(2)[jnp.array([0, 0, 1])]
    assert semihard_triplet_loss(points, labels, jnp.ones(3, bool), margin=0.1, width=0.01) == 0


def test_divergence_is_the_integral_over_gaussians():
    mean, log_variance = jnp.array([[0.7, -1.2]]), jnp.array([[-0.5, 0.9]])
    axis = np.linspace(-12, 12, 20001)
    expected = 0.0
    for centre, spread in zip(mean[0], np.exp(0.5 * log_variance[0]), strict=True):
        density = norm.pdf(axis, centre, spread)
        ratio = norm.logpdf(axis, centre, spread) - norm.logpdf(axis)
        expected += np.trapezoid(density * ratio, axis)
    np.testing.assert_allclose(gaussian_divergence(mean, log_variance), [expected], rtol=1e-4)
    np.testing.assert_array_equal(gaussian_divergence(jnp.zeros((1, 3)), jnp.zeros((1, 3))), [0.0])


def test_reconstruction_is_the_gaussian_likelihood_of_measured_genes():
    values, guess = jnp.array([[1.0, -2.0, jnp.nan]]), jnp.array([[0.5, 1.0, 3.0]])
    mask = jnp.array([[True, True, False]])
    constant = np.log(2 * np.pi)
    expected = -norm.logpdf([1.0, -2.0], [0.5, 1.0]).sum() - constant
    np.testing.assert_allclose(gaussian_reconstruction(values, guess, mask), [expected], rtol=1e-6)
