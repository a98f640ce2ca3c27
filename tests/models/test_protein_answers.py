"""What a compound does to each protein: evidence of kernel experts, scaled and carried."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.models.experts import VIEWS
from moa_jax.models.protein_answers import protein_logits
from tests.synthetic import batch_of

NUM_PROTEINS, NUM_GENES = 3, 5
RNG = np.random.default_rng(0)
PARAMS = {
    "carry": RNG.normal(size=(NUM_PROTEINS, NUM_GENES)).astype(np.float32),
    "scales": RNG.uniform(1, 9, size=(len(VIEWS), 2)).astype(np.float32),
}
EVIDENCE = {
    name: RNG.normal(size=(8, 2 * NUM_PROTEINS)).astype(np.float32)
    for name in ("signature_kernel", "structure_kernel")
}


def seen(expression, structure):
    """Eight examples with or without each modality."""
    mask = lambda value: jnp.asarray(np.broadcast_to(value, 8))  # noqa: E731 (two uses)
    return dataclasses.replace(
        batch_of(), expression_mask=mask(expression), structure_mask=mask(structure)
    )


def answers(params, evidence, batch):
    """`protein_logits` of host arrays."""
    return np.asarray(protein_logits(*jax.tree.map(jnp.asarray, (params, evidence)), batch))


def carried(evidence):
    """The carried evidence of one expert, by action."""
    return np.stack([part @ PARAMS["carry"] for part in np.split(evidence, 2, axis=1)], axis=1)


@pytest.mark.parametrize(
    ("view", "expression", "structure"),
    [("fusion", True, True), ("expression", True, False), ("structure", False, True)],
)
def test_logits_are_scaled_evidence_carried_to_the_genes(view, expression, structure):
    found = answers(PARAMS, EVIDENCE, seen(expression, structure))
    assert found.shape == (8, 2, NUM_GENES)
    scales = PARAMS["scales"][VIEWS.index(view)]
    expected = sum(
        scale * has * carried(values)
        for scale, has, values in zip(
            scales, (expression, structure), EVIDENCE.values(), strict=True
        )
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_expert_without_its_modality_takes_no_part():
    """Not a bit of its evidence reaches the answer, in one batch with others."""
    expression = np.arange(8) % 2 == 0
    batch = seen(expression, np.arange(8) % 3 > 0)
    noisy = dict(EVIDENCE)
    noisy["signature_kernel"] = np.where(expression[:, None], EVIDENCE["signature_kernel"], 1e6)
    noisy = {name: values.astype(np.float32) for name, values in noisy.items()}
    found, same = (answers(PARAMS, each, batch) for each in (EVIDENCE, noisy))
    np.testing.assert_array_equal(found, same)
    alone = answers(PARAMS, EVIDENCE, seen(False, np.arange(8) % 3 > 0))
    np.testing.assert_array_equal(found[~expression], alone[~expression])
    # With neither modality nothing is said of any gene.
    np.testing.assert_array_equal(found[3], 0)


def test_the_order_of_the_proteins_does_not_matter():
    order = RNG.permutation(NUM_PROTEINS)
    columns = np.concatenate([order, NUM_PROTEINS + order])
    moved = {name: values[:, columns] for name, values in EVIDENCE.items()}
    batch = seen(True, True)
    np.testing.assert_allclose(
        answers({**PARAMS, "carry": PARAMS["carry"][order]}, moved, batch),
        answers(PARAMS, EVIDENCE, batch),
        rtol=1e-5,
        atol=1e-5,
    )
