"""Mix-up: values by hand, and rows that have to stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.training.fusion.mix_up import mix_up, mixed_with
from moa_jax.training.losses.softmax import label_distribution_cross_entropy
from tests import synthetic
from tests.synthetic import replace


def batch_of(*size):
    """On the device, as a step has it."""
    return jax.tree.map(jnp.asarray, synthetic.batch_of(*size))


def test_a_pair_is_mixed_by_its_share():
    batch = batch_of(2)
    partner, share = jnp.array([1, 0]), jnp.array([0.75, 0.5])
    mixed = mixed_with(batch, partner, share)
    first, second = batch.expression
    np.testing.assert_allclose(mixed.expression[0], 0.75 * first + 0.25 * second, rtol=1e-6)
    np.testing.assert_allclose(mixed.expression[1], 0.5 * second + 0.5 * first, rtol=1e-6)
    np.testing.assert_allclose(mixed.labels, [[0.75, 0.25, 0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(mixed.cell_line, [0, 0])
    assert not np.asarray(mixed.structure_mask).any()


def test_the_loss_of_a_mixture_is_the_mixture_of_losses():
    """Zhang 2018, section 2: cross-entropy is linear in the labels."""
    batch = batch_of(2)
    mixed = mixed_with(batch, jnp.array([1, 0]), jnp.array([0.7, 0.6]))
    logits = jnp.array([[0.3, -1.0, 2.0]] * 2)
    of = lambda labels: label_distribution_cross_entropy(  # noqa: E731 (two uses)
        logits, jnp.asarray(labels), jnp.ones((2, 3), bool)
    )
    own, other = of(batch.labels), of(batch.labels[::-1])
    expected = jnp.array([0.7, 0.6]) * own + jnp.array([0.3, 0.4]) * other
    np.testing.assert_allclose(of(mixed.labels), expected, rtol=1e-5)


def test_rows_without_a_usable_partner_stay_as_they_are():
    batch = batch_of(4)
    batch = replace(
        batch,
        expression_mask=jnp.array([True, False, True, True]),
        example_mask=jnp.array([True, True, True, False]),
        expression=jnp.where(jnp.arange(4)[:, None] == 1, jnp.nan, batch.expression),
    )
    # 0 with a row without signature, 1 with one that has it, 2 with itself, 3 is padding.
    mixed = mixed_with(batch, jnp.array([1, 0, 2, 0]), jnp.full(4, 0.6))
    rows = [0, 2, 3]
    np.testing.assert_array_equal(
        np.asarray(mixed.expression)[rows], np.asarray(batch.expression)[rows]
    )
    for name in ("labels", "cell_line", "structure_mask", "weight", "gene_mask", "label_mask"):
        np.testing.assert_array_equal(getattr(mixed, name), getattr(batch, name))


def test_a_row_is_the_larger_part_of_its_mixture():
    batch = batch_of()
    batch = replace(batch, expression=jnp.eye(8), gene_mask=jnp.ones((8, 8), bool))
    mixed = np.asarray(mix_up(jax.random.key(1), batch, alpha=0.5).expression)
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-6)
    assert (np.diagonal(mixed) >= 0.5).all()
    assert (np.diagonal(mixed) < 1.0).any()
