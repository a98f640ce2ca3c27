"""Signatures without label, learned from where their structures say what they are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.compounds.substructures import SUBSTRUCTURE_VIEWS, substructure_counts
from moa_jax.models.kernel_experts import structure_kernel
from moa_jax.training.co_training import co_trained
from moa_jax.training.shared_labels import References
from tests.small_sets import examples, gene_table
from tests.synthetic import tiny_config

ACID, AMINE, ALKANE = "c1ccccc1C(=O)O", "CCCCN", "CCCCCC"
LABELS = np.array([[1, 0], [0, 1]], np.float32)


def make(labels, groups, smiles, has_expression=None):
    made = examples(np.asarray(labels, np.float32), groups)
    if has_expression is None:
        has_expression = np.ones(len(groups), bool)
    return dataclasses.replace(
        made, smiles=tuple(smiles), has_expression=np.asarray(has_expression)
    )


TRAIN = make(LABELS, ["A", "B"], [ACID, AMINE])
REFERENCES = References(TRAIN, 0.5 + 0.4 * (LABELS - 0.5))
# C is A's molecule, D another one; of E the structure is not known, F has no signature, and B is
# among the references.
UNLABELLED = make(
    np.zeros((5, 2)),
    list("CDEFB"),
    [ACID, ALKANE, None, ACID, AMINE],
    [True, True, True, False, True],
)
GENES = gene_table(TRAIN.expression.shape[1])


def settings(least, **changes):
    config = tiny_config()
    config.co_training.least = least
    config.update_from_flattened_dict(changes)
    return config


def expected_probs(config, smiles):
    """Kernel ridge regression on the shared labels, written out."""
    views = tuple(SUBSTRUCTURE_VIEWS.values())
    known, asked = map(jnp.asarray, map(substructure_counts, ([ACID, AMINE], smiles)))
    kernel = np.asarray(structure_kernel(known, known, views=views), np.float64)
    labels = REFERENCES.labels - REFERENCES.labels.mean(axis=0)
    weights = np.linalg.solve(kernel + config.kernels.structure.ridge * np.eye(2), labels)
    logits = np.asarray(structure_kernel(asked, known, views=views), np.float64) @ weights
    return np.asarray(jax.nn.softmax(config.expert_scales.structure.structure_kernel * logits))


def test_signatures_get_the_answers_of_the_structure_expert():
    config = settings(0.0)
    found = co_trained(config, REFERENCES, UNLABELLED, GENES)
    assert found.examples.groups == ("A", "B", "C", "D")
    np.testing.assert_array_equal(found.labels[:2], REFERENCES.labels)
    np.testing.assert_allclose(found.labels[2:], expected_probs(config, [ACID, ALKANE]), rtol=1e-4)
    # C is like A; D shares its chain with B.
    np.testing.assert_array_equal(found.labels[2:].argmax(axis=1), [0, 1])
    np.testing.assert_array_equal(found.examples.expression[2:], UNLABELLED.expression[:2])


def test_only_sure_ones_teach_and_their_structures_are_not_learned_from():
    config = settings(0.0)
    sureness = expected_probs(config, [ACID, ALKANE]).max(axis=1)
    assert sureness[0] > sureness[1]
    found = co_trained(settings(float(sureness.mean())), REFERENCES, UNLABELLED, GENES)
    assert found.examples.groups == ("A", "B", "C")
    assert found.examples.smiles == (ACID, AMINE, None)
    assert found.examples.has_expression.tolist() == [True] * 3


@pytest.mark.parametrize(
    ("config", "unlabelled"),
    [
        (settings(1.0), UNLABELLED),
        (settings(0.0), None),
        (settings(0.0), UNLABELLED.take(np.array([2, 3, 4]))),
        (settings(0.0, **{"model.experts": ("signature_kernel",)}), UNLABELLED),
    ],
    ids=["least of 1", "nothing unlabelled", "nobody with both views", "one expert"],
)
def test_without_a_pupil_or_a_teacher_references_stay(config, unlabelled):
    found = co_trained(config, REFERENCES, unlabelled, GENES)
    assert found.examples.groups == TRAIN.groups
    np.testing.assert_array_equal(found.labels, REFERENCES.labels)
