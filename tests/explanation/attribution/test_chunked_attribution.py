import dataclasses

import numpy as np
import pytest

from moa_jax.data.examples.features import encode
from moa_jax.explanation.attribution.baseline_signatures import (
    cell_line_means,
    cell_line_offsets,
    no_change,
    reference_draws,
)
from moa_jax.explanation.attribution.chunked_attribution import attribute, attribute_to_tolerance
from moa_jax.explanation.attribution.gradients import (
    ExpectedGradients,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from moa_jax.explanation.attribution.target import (
    AttributionTarget,
    contrast_directions,
    moa_directions,
    predicted_directions,
)
from moa_jax.schemas import InputError
from tests.explanation.attribution.linear_models import (
    every_moa,
    feature_spec,
    linear_predictor,
    tiny_predictor,
)
from tests.synthetic import make_examples, make_raw_examples

pytestmark = pytest.mark.slow

METHODS = [IntegratedGradients(8), ExpectedGradients(8), InputXGradient(), SmoothGrad(4)]


@pytest.fixture(scope="module")
def encoded():
    return make_examples(8)


@pytest.fixture(scope="module")
def networks():
    return with_examples(tiny_predictor(("signature", "molecule", "joint")))


@pytest.fixture(scope="module")
def shipped():
    return with_examples(tiny_predictor(("signature_kernel", "structure_kernel")))


def with_examples(predictor):
    examples = encode(make_raw_examples(12, seed=1), predictor.features)
    mask = np.array([True, True, False, True, True])
    expression = np.where(mask, examples.expression, 0.0).astype(np.float32)
    return predictor, dataclasses.replace(examples, gene_mask=mask, expression=expression)


def test_a_linear_model_is_explained_in_closed_form(encoded):
    predictor = linear_predictor(num_moas=2)
    attribution_target = AttributionTarget(predictor.task)
    baselines = no_change(encoded, predictor.features)
    found = attribute(
        predictor,
        encoded,
        attribution_target,
        every_moa(8, 2),
        IntegratedGradients(4),
        baselines=baselines,
    )
    weights = np.asarray(predictor.params["genes"]["kernel"])
    change = (encoded.expression - baselines[:, 0])[:, None] * encoded.gene_mask
    np.testing.assert_allclose(found.values, weights.T * change, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found.score - found.baseline_score, found.values.sum(axis=-1), rtol=1e-3, atol=1e-4
    )
    # Structure is no part of the question, but of the score.
    structure = encoded.substructures[encoded.structure] * encoded.has_structure[:, None]
    logits = np.where(encoded.gene_mask, encoded.expression, 0) @ weights
    logits = logits + structure @ np.asarray(predictor.params["structure"]["kernel"])
    logits = logits + encoded.dose_mask[:, None] * np.asarray(predictor.params["context"]["kernel"])
    np.testing.assert_allclose(found.score, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "method"), [("networks", METHODS[0]), *(("shipped", method) for method in METHODS)]
)
def test_absent_genes_contribute_exactly_nothing(model, method, request):
    predictor, examples = request.getfixturevalue(model)
    baselines = no_change(examples, predictor.features)
    found = attribute(
        predictor,
        examples,
        AttributionTarget(predictor.task),
        every_moa(12),
        method,
        baselines=baselines,
    )
    assert (found.values[:, :, 2] == 0).all()
    assert (found.values[:, :, [0, 1, 3, 4]] != 0).any(axis=(0, 1)).all()
    hidden = dataclasses.replace(examples, has_expression=np.arange(12) > 5)
    blind = attribute(
        predictor,
        hidden,
        AttributionTarget(predictor.task),
        every_moa(12),
        method,
        baselines=baselines,
    )
    assert (blind.values[:6] == 0).all()
    np.testing.assert_allclose(blind.values[6:], found.values[6:], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS[:2], ids=repr)
def test_chunks_and_a_loop_give_the_same(method, shipped):
    predictor, examples = shipped
    baselines = no_change(examples, predictor.features)
    attribution_target, directions = AttributionTarget(predictor.task), every_moa(12)
    whole, cut = (
        attribute(
            predictor,
            examples,
            attribution_target,
            directions,
            method,
            baselines=baselines,
            max_rows=max_rows,
        )
        for max_rows in (1024, 40)
    )
    np.testing.assert_allclose(whole.values, cut.values, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(whole.completeness_gap.shape, (12, 3))
    if isinstance(method, IntegratedGradients):
        for row in (0, 7):
            alone = attribute(
                predictor,
                examples.take(np.array([row])),
                attribution_target,
                directions[[row]],
                method,
                baselines=baselines[[row]],
            )
            np.testing.assert_allclose(alone.values[0], whole.values[row], rtol=1e-3, atol=1e-5)


def test_the_shipped_model_is_complete_at_default_steps(shipped):
    predictor, examples = shipped
    directions = predicted_directions(predictor.predict(make_raw_examples(12, seed=1))["fusion"])
    for baselines in (
        no_change(examples, predictor.features),
        reference_draws(examples, predictor, num_baselines=4),
    ):
        found = attribute(
            predictor,
            examples,
            AttributionTarget(predictor.task),
            directions,
            IntegratedGradients(),
            baselines=baselines,
        )
        assert np.median(found.completeness_gap) <= 0.01
    # The cell line's own mean is the point that the kernel centres on.
    means = cell_line_means(examples, cell_line_offsets(predictor))
    found = attribute(
        predictor,
        examples,
        AttributionTarget(predictor.task),
        directions,
        IntegratedGradients(),
        baselines=means,
    )
    assert np.median(found.completeness_gap) > 0.9


def test_steps_are_doubled_where_needed(shipped):
    predictor, examples = shipped
    baselines = no_change(examples, predictor.features)
    arguments = (predictor, examples, AttributionTarget(predictor.task), every_moa(12))
    method = IntegratedGradients(4)
    found, steps = attribute_to_tolerance(
        *arguments, method, baselines=baselines, tolerance=0.01, max_steps=32
    )
    assert len(set(steps)) > 1
    assert (found.completeness_gap[steps < 32] <= 0.01).all()
    row = int(np.argmax(steps))
    again = attribute(
        *arguments, dataclasses.replace(method, num_steps=int(steps[row])), baselines=baselines
    )
    np.testing.assert_allclose(found.values[row], again.values[row], rtol=1e-3, atol=1e-5)


def test_activity_of_nodes_carries_what_it_carries(encoded):
    predictor = linear_predictor(nodes=1.0)
    attribution_target = AttributionTarget(predictor.task, input_name="activity")
    baselines = no_change(encoded, predictor.features)[:, 0]
    found = attribute(
        predictor,
        encoded,
        attribution_target,
        every_moa(8),
        IntegratedGradients(64),
        reference=baselines,
    )
    propagation = np.asarray(predictor.graph.propagation)
    weights = np.asarray(predictor.params["nodes"]["kernel"])
    here, there = (
        np.tanh(np.where(encoded.gene_mask, values, 0.0) @ propagation)
        for values in (encoded.expression, baselines)
    )
    expected = np.einsum("en,nm->emn", here - there, weights)
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4)
    silent = attribute(
        predictor, encoded, attribution_target, every_moa(8), IntegratedGradients(64)
    )
    np.testing.assert_allclose(
        silent.values, np.einsum("en,nm->emn", here, weights), rtol=1e-3, atol=1e-4
    )


def test_activity_of_a_trained_network(networks):
    predictor, examples = networks
    found = attribute(
        predictor,
        examples,
        AttributionTarget(predictor.task, input_name="activity"),
        every_moa(12),
        IntegratedGradients(64),
        reference=no_change(examples, predictor.features)[:, 0],
    )
    assert np.median(found.completeness_gap) < 0.01
    assert found.values.shape[-1] == predictor.graph.propagation.shape[1]


def test_node_contributions_sum_to_the_network_kernels_logit():
    predictor, examples = with_examples(tiny_predictor(("network_kernel",)))
    baselines = no_change(examples, predictor.features)
    by_nodes, by_genes = (
        attribute(
            predictor,
            examples,
            AttributionTarget(predictor.task, input_name=part),
            every_moa(12),
            IntegratedGradients(64),
            **given,
        )
        for part, given in (
            ("activity", {"reference": baselines[:, 0]}),
            ("expression", {"baselines": baselines}),
        )
    )
    assert np.median(by_nodes.completeness_gap) < 0.01
    np.testing.assert_allclose(by_nodes.baseline_score, by_genes.baseline_score, atol=1e-4)
    np.testing.assert_allclose(by_nodes.score, by_genes.score, atol=1e-4)


def test_a_model_without_nodes_is_refused(shipped):
    predictor, examples = shipped
    with pytest.raises(ValueError, match="does not read node activities"):
        attribute(
            predictor,
            examples,
            AttributionTarget(predictor.task, input_name="activity"),
            every_moa(12),
            InputXGradient(),
        )


def test_baselines(encoded):
    features = feature_spec()
    change = no_change(encoded, features)[:, 0] * features.scale + features.mean
    np.testing.assert_allclose(change[:, encoded.gene_mask], 0, atol=1e-7)
    with pytest.raises(InputError, match="no signature kernel"):
        reference_draws(encoded, linear_predictor(), num_baselines=2)


def test_directions():
    probs = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    np.testing.assert_array_equal(
        predicted_directions(probs),
        [[[0, 1, 0]], [[1, 0, 0]]],
    )
    one, other = np.array([[0]]), np.array([[2]])
    np.testing.assert_array_equal(contrast_directions(one, other, 3), [[[1, 0, -1]]])
    np.testing.assert_array_equal(moa_directions(one, 3), [[[1, 0, 0]]])


def test_wrong_questions_are_refused(encoded):
    predictor = linear_predictor()
    attribution_target = AttributionTarget(predictor.task)
    with pytest.raises(InputError, match="cannot be attributed to 'fingerprint'"):
        AttributionTarget(predictor.task, input_name="fingerprint")
    with pytest.raises(InputError, match="directions of 3 examples, but 8 examples to explain"):
        attribute(predictor, encoded, attribution_target, every_moa(3), InputXGradient())
    with pytest.raises(InputError, match="no examples"):
        attribute(
            predictor,
            encoded.take(np.zeros(0, np.int64)),
            attribution_target,
            every_moa(0),
            InputXGradient(),
        )
