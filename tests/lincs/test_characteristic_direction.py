import numpy as np
import pytest

from moa_jax.lincs.characteristic_direction import fit_background


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
