"""What each expert adds to a score."""

import numpy as np
import pytest

from moa_jax.explanation.attribution.expert_shares import expert_shares
from moa_jax.explanation.attribution.target import contrast_directions
from tests.explanation.protein_models import THROUGH_PROTEINS, asked_examples, protein_predictor

pytestmark = pytest.mark.slow


def test_the_experts_parts_sum_to_the_score_and_missing_modalities_add_nothing():
    predictor = protein_predictor()
    encoded = predictor.encode(asked_examples())
    moas, others = np.zeros((6, 1), int), np.ones((6, 1), int)
    directions = contrast_directions(moas, others, len(predictor.features.moas))
    found = expert_shares(predictor, encoded, directions)
    assert found.shape == (6, 1, len(THROUGH_PROTEINS))
    logits = np.log(predictor.predict(encoded)["fusion"].astype(float))
    np.testing.assert_allclose(
        found.sum(axis=-1), logits[:, [0]] - logits[:, [1]], rtol=1e-4, atol=1e-4
    )
    # The first example has no structure, the second no signature.
    assert (found[0, :, [1, 3]] == 0).all()
    assert (found[1, :, [0, 2]] == 0).all()
    assert np.abs(found[2]).min() > 0
