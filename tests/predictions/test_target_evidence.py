"""Evidence for proteins, scaled by view as in the model, and carried and pooled by hand."""

import numpy as np
import pytest

from moa_jax.kernels.protein_carry import gene_rows
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.target_evidence import TargetEvidence, pooled_scores, target_evidence
from moa_jax.training.target_answers import target_scores
from tests.explanation.protein_models import TARGET_SCALES, asked_examples, protein_predictor
from tests.synthetic import make_knowledge_graph


@pytest.fixture(scope="module")
def asked():
    """A model, six examples (two of each compound, some without a modality), and its evidence."""
    predictor, examples = protein_predictor(), asked_examples()
    return predictor, examples, target_evidence(predictor, predictor.encode(examples))


def test_one_pass_gives_the_logits_of_all_views(asked):
    predictor, examples, evidence = asked
    carry = np.asarray(predictor.params["proteins"]["carry"])
    for view, logits in predictor.predict_proteins(examples).items():
        expected = logits.sum(axis=1)
        own = evidence.by_protein(TARGET_SCALES, view)
        np.testing.assert_allclose(own @ carry, expected, rtol=1e-5, atol=1e-5)


def test_scores_are_those_of_the_model_averaged_by_compound(asked):
    predictor, examples, evidence = asked
    columns = gene_rows(make_knowledge_graph(), predictor.features.proteins)
    carry = np.asarray(predictor.params["proteins"]["carry"])
    pooled = pooled_scores(evidence, TARGET_SCALES, carry, columns, examples.groups)
    groups = np.asarray(examples.groups)
    for view, logits in predictor.predict_proteins(examples).items():
        scores = target_scores(logits, columns)
        expected = [scores[groups == group].mean(axis=0) for group in np.unique(groups)]
        np.testing.assert_allclose(pooled[view], expected, rtol=1e-5)


def test_an_example_has_the_scales_of_the_modalities_that_are_shown():
    # One protein; the pairs are inhibits and activates.
    evidence = TargetEvidence(
        {
            "signature_kernel": np.array([[1.0, 2.0]] * 4, np.float32),
            "structure_kernel": np.array([[3.0, 1.0]] * 4, np.float32),
        },
        has_expression=np.array([True, True, False, False]),
        has_structure=np.array([True, False, True, False]),
    )
    scales = np.array([[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], np.float32)
    # 3 and 4 by signature and structure; both, alone, alone and neither.
    expected = {
        "fusion": [2 * 3 + 3 * 4, 4 * 3, 7 * 4, 0],
        "expression": [4 * 3, 4 * 3, 0, 0],
        "structure": [7 * 4, 0, 7 * 4, 0],
    }
    for view in VIEWS:
        assert evidence.by_protein(scales, view)[:, 0].tolist() == expected[view]
    assert evidence.take(np.array([2])).by_protein(scales)[:, 0].tolist() == [28]
