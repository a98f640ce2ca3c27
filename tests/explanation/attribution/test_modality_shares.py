import itertools
import math

import numpy as np
import pytest

from moa_jax.explanation.attribution.modality_shares import modality_shares, shapley_values
from moa_jax.explanation.attribution.target import AttributionTarget
from tests.explanation.attribution.linear_models import every_moa, linear_predictor
from tests.synthetic import make_examples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def games():
    return np.random.default_rng(0).normal(size=(50, 8))


def test_two_players_share_in_closed_form():
    nobody, first, second, both = worth = np.array([1.0, 3.0, 2.0, 9.0])
    expected = [
        ((first - nobody) + (both - second)) / 2,
        ((second - nobody) + (both - first)) / 2,
    ]
    np.testing.assert_allclose(shapley_values(worth), expected)


def test_values_are_means_over_orders(games):
    expected = np.zeros((50, 3))
    for order in itertools.permutations(range(3)):
        seen = 0
        for player in order:
            expected[:, player] += games[:, seen | 1 << player] - games[:, seen]
            seen |= 1 << player
    np.testing.assert_allclose(shapley_values(games), expected / math.factorial(3))


def test_the_axioms_hold(games):
    values = shapley_values(games)
    np.testing.assert_allclose(values.sum(axis=1), games[:, 7] - games[:, 0])
    swapped = games[:, [0, 2, 1, 3, 4, 6, 5, 7]]
    np.testing.assert_allclose(shapley_values(swapped), values[:, [1, 0, 2]])
    np.testing.assert_allclose(shapley_values(games + swapped), values + shapley_values(swapped))
    # Player 2 adds nothing to any coalition.
    null = games[:, [0, 1, 2, 3, 0, 1, 2, 3]]
    np.testing.assert_allclose(shapley_values(null)[:, 2], 0, atol=1e-12)
    with pytest.raises(ValueError, match="power of two"):
        shapley_values(np.zeros(6))


def test_shares_of_an_additive_model_are_its_terms():
    predictor, examples = linear_predictor(), make_examples(8)
    found = modality_shares(predictor, examples, AttributionTarget(predictor.task), every_moa(8))
    kernel = lambda name: np.asarray(predictor.params[name]["kernel"])  # noqa: E731
    genes = np.where(examples.gene_mask, examples.expression, 0) @ kernel("genes")
    structure = examples.substructures[examples.structure] @ kernel("structure")
    structure = structure * examples.has_structure[:, None]
    context = examples.dose_mask[:, None] * kernel("context")
    expected = np.stack([genes, structure, context], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert (found[6, :, 1] == 0).all()
