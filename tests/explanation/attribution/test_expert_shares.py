"""What each expert adds to a score."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.data.examples.batches import make_batch
from moa_jax.explanation.attribution.expert_shares import expert_shares
from moa_jax.explanation.attribution.target import (
    AttributionTarget,
    contrast_directions,
    moa_directions,
)
from moa_jax.models.experts import PROTEIN_NETWORK
from tests.explanation.protein_models import (
    THROUGH_PROTEINS,
    asked_examples,
    network_predictor,
    protein_predictor,
)

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


def test_a_target_without_an_expert_is_the_score_less_its_part():
    predictor = network_predictor()
    encoded = predictor.encode(asked_examples())
    batch = make_batch(encoded, np.arange(6), 6, num_shards=predictor.mesh.size)
    batch = jax.tree.map(jnp.asarray, batch)
    num_moas = len(predictor.features.moas)
    directions = moa_directions(np.tile(np.arange(num_moas), (6, 1)), num_moas)
    share = expert_shares(predictor, encoded, directions)[
        :, :, predictor.task.model.experts.index(PROTEIN_NETWORK)
    ]

    def logits(target):
        return np.asarray(target.logits(predictor.params, batch, predictor.graph))

    whole = AttributionTarget(predictor.task)
    without = dataclasses.replace(whole, without=(PROTEIN_NETWORK,))
    assert np.abs(share).max() > 0.01
    np.testing.assert_allclose(logits(whole) - logits(without), share, rtol=1e-4, atol=1e-4)
