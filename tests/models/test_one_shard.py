"""Molecules of one shard take a path of their own, which changes nothing but the time."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from moa_jax.models.encoders.molecule import atom_states, mean_over_atoms
from moa_jax.schemas import MoleculeBatch
from tests.synthetic import batch_of

pytestmark = pytest.mark.slow


class MeanAtom(nn.Module):
    @nn.compact
    def __call__(self, molecules: MoleculeBatch) -> Float[Array, "example feature"]:
        return mean_over_atoms(atom_states(molecules, 8, 2), molecules, 8)


def test_one_shard_and_two_give_the_same_means_and_gradients():
    one, two = (batch_of(8, num_shards=shards).molecules for shards in (1, 2))
    params = MeanAtom().init(jax.random.key(0), one)
    jax.tree.map(np.testing.assert_array_equal, params, MeanAtom().init(jax.random.key(0), two))

    def loss(params, molecules):
        means = MeanAtom().apply(params, molecules)
        return jnp.sum(jnp.sin(means) * jnp.arange(8.0)[:, None]), means

    results = [jax.jit(jax.grad(loss, has_aux=True))(params, molecules) for molecules in (one, two)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *results)
    # Padding atoms and bonds of the one shard have no influence.
    assert not one.atom_mask.all()
    assert not one.bond_mask.all()
