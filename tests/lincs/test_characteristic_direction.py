import numpy as np
import pytest

from moa_jax.lincs.characteristic_direction import characteristic_direction, fit_background


def profiles(count, num_genes, seed=0):
    """Genes that vary together, around 1."""
    rng = np.random.default_rng(seed)
    return 1 + rng.normal(size=(count, num_genes)) @ rng.normal(size=(num_genes, num_genes))


def unit(vector):
    return vector / np.linalg.norm(vector)


def dense(difference, within, degrees, gamma):
    """The formula over all genes, without components."""
    covariance = within.T @ within / degrees
    num_genes = within.shape[1]
    shrunk = gamma * covariance + (1 - gamma) * np.trace(covariance) / num_genes * np.eye(num_genes)
    return unit(np.linalg.inv(shrunk) @ difference)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
def test_direction_is_the_dense_formula(gamma):
    treated, control = profiles(9, 6) + np.arange(6), profiles(15, 6)
    means = treated.mean(axis=0), control.mean(axis=0)
    within = np.concatenate([treated - means[0], control - means[1]])
    found = characteristic_direction(treated, control, gamma=gamma)
    np.testing.assert_allclose(found, dense(means[0] - means[1], within, 22, gamma), rtol=1e-9)
    assert np.linalg.norm(found) == pytest.approx(1)


def test_without_covariance_it_is_the_difference_of_means():
    treated, control = profiles(5, 20), profiles(4, 20)
    found = characteristic_direction(treated, control, gamma=0.0)
    np.testing.assert_allclose(found, unit(treated.mean(axis=0) - control.mean(axis=0)))


def test_fewer_profiles_than_genes():
    # Two components: e0 within the groups (variance 4 * 1 / 2 = 2), e1 the difference.
    treated = np.array([[1.0, 3.0, 0.0], [-1.0, 3.0, 0.0]])
    control = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    np.testing.assert_allclose(characteristic_direction(treated, control), [0, 1, 0], atol=1e-12)
    # S = diag(2, 0), s = 1, g = 1/2: variances 1.5 and 0.5, so (3, 3) turns to (2, 6).
    treated[:, 0] += 3
    np.testing.assert_allclose(
        np.abs(np.dot(characteristic_direction(treated, control), unit([2.0, 6.0, 0.0]))), 1
    )


def test_a_noisy_gene_counts_less():
    rng = np.random.default_rng(0)
    spread = np.array([5.0, 1.0, 1.0])
    treated = rng.normal(size=(50, 3)) * spread + [2, 2, 0]
    found = characteristic_direction(treated, rng.normal(size=(50, 3)) * spread, gamma=0.9)
    assert found[1] > 3 * abs(found[0])


def test_equal_means_have_no_direction():
    control = profiles(6, 4)
    np.testing.assert_array_equal(characteristic_direction(control, control), 0)


@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_background_is_the_dense_formula_for_each_signature(gamma):
    training, others = profiles(30, 8), profiles(3, 8, seed=1)
    background = fit_background(training, gamma=gamma)
    within = training - training.mean(axis=0)
    expected = [dense(row - training.mean(axis=0), within, 29, gamma) for row in others]
    np.testing.assert_allclose(background.directions(others), expected, rtol=1e-9)
    np.testing.assert_array_equal(background.directions(training.mean(axis=0)[None]), 0)


def test_background_of_equal_signatures_has_no_directions():
    background = fit_background(np.ones((4, 5)))
    np.testing.assert_array_equal(background.directions(profiles(2, 5)), 0)
