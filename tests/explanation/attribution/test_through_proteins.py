"""Attributions of a model that answers through proteins: complete, and equal to the model's own."""

import dataclasses

import numpy as np
import pytest

from moa_jax.compounds.substructures import counts_without_atoms
from moa_jax.explanation.attribution.baseline_signatures import no_change
from moa_jax.explanation.attribution.chunked_attribution import attribute_to_tolerance
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.attribution.modality_shares import modality_shares
from moa_jax.explanation.attribution.occlusion import occlude_atoms, occlude_genes
from moa_jax.explanation.attribution.target import AttributionTarget
from tests.explanation.attribution.linear_models import every_moa
from tests.explanation.protein_models import asked_examples, protein_predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def asked():
    """A model, encoded examples with their structures, the target, and every MoA as a score."""
    predictor, examples = protein_predictor(), asked_examples()
    encoded = predictor.encode(examples)
    return predictor, encoded, AttributionTarget(predictor.task), every_moa(6)


def numpy_logits(predictor, encoded):
    """The closed form in float64."""
    params = {
        name: {key: np.asarray(value, np.float64) for key, value in predictor.params[name].items()}
        for name in ("signature_kernel", "structure_kernel")
    }
    scales = np.asarray(predictor.params["expert_scales"], np.float64)
    prototypes = np.asarray(predictor.params["mechanism_prototypes"], np.float64)
    own = params["signature_kernel"]
    change = (encoded.expression - own["offsets"][encoded.cell_line]) * own["gene_scale"]
    lengths = np.linalg.norm(change, axis=1)[:, None]
    cosine = change @ own["references"].T / (lengths * np.linalg.norm(own["references"], axis=1))
    kernels = {"signature_kernel": np.exp(cosine - 1)}
    counts, start = encoded.substructures[encoded.structure], 0
    total = 0.0
    for size in predictor.task.model.substructure_families:
        ours, theirs = (
            np.concatenate([values[:, start : start + size] >= level for level in (1, 2, 4)], 1)
            for values in (counts, params["structure_kernel"]["references"])
        )
        shared = ours.astype(float) @ theirs.T
        total += shared / np.maximum(ours.sum(1)[:, None] + theirs.sum(1) - shared, 1)
        start += size
    kernels["structure_kernel"] = total / len(predictor.task.model.substructure_families)
    shown = {
        "signature_kernel": encoded.has_expression,
        "structure_kernel": encoded.has_structure,
    }
    view = np.select(
        [encoded.has_expression == encoded.has_structure, encoded.has_expression], [0, 1], 2
    )
    logits = 0.0
    for place, name in enumerate(kernels):
        weights = params[name]["action_coefficients"] @ prototypes
        direct = scales[view, place][:, None] * (kernels[name] @ params[name]["coefficients"])
        through = scales[view, 2 + place][:, None] * (kernels[name] @ weights)
        logits = logits + np.where(shown[name][:, None], direct + through, 0.0)
    return logits


def test_integrated_gradients_sum_to_the_change_of_the_score(asked):
    predictor, encoded, *given = asked
    baseline = no_change(encoded, predictor.features)
    found, _ = attribute_to_tolerance(
        predictor,
        encoded,
        *given,
        IntegratedGradients(64),
        baselines=baseline,
        tolerance=0.001,
        max_steps=1024,
    )
    at_baseline = dataclasses.replace(encoded, expression=baseline[:, 0])
    change = numpy_logits(predictor, encoded) - numpy_logits(predictor, at_baseline)
    np.testing.assert_allclose(found.values.sum(axis=-1), change, atol=0.02)
    # Without a signature nothing is attributed to genes.
    assert not found.values[[1, 5]].any()


def test_modality_shares_sum_to_the_score_and_a_missing_modality_has_none(asked):
    predictor, encoded, *given = asked
    shares = modality_shares(predictor, encoded, *given)
    nothing = dataclasses.replace(
        encoded, has_expression=np.zeros(6, bool), has_structure=np.zeros(6, bool)
    )
    whole = numpy_logits(predictor, encoded) - numpy_logits(predictor, nothing)
    np.testing.assert_allclose(shares.sum(axis=-1), whole, atol=1e-3)
    # Expression, structure and context of examples without a structure, without a signature.
    assert not shares[0, :, 1].any()
    assert not shares[1, :, [0, 2]].any()


def test_occlusion_takes_the_evidence_for_proteins_with_it(asked):
    predictor, encoded, *given = asked
    replacement = no_change(encoded, predictor.features)[:, 0]
    found = occlude_genes(predictor, encoded, *given, replacement=replacement)
    whole = numpy_logits(predictor, encoded)
    for gene in range(encoded.expression.shape[1]):
        left = encoded.expression.copy()
        left[:, gene] = replacement[:, gene]
        without = numpy_logits(predictor, dataclasses.replace(encoded, expression=left))
        np.testing.assert_allclose(found[..., gene], whole - without, atol=1e-3)


def test_occluded_atoms_take_the_evidence_for_proteins_with_them(asked):
    predictor, encoded, *given = asked
    smiles = list(asked_examples().smiles)
    found = occlude_atoms(predictor, encoded, smiles, *given)
    assert [of_one.shape[1] for of_one in found] == [0, 3, 9, 9, 1, 0]
    whole, row = numpy_logits(predictor, encoded), 2
    without = counts_without_atoms(smiles[row], np.eye(9, dtype=bool))
    for atom, counts in enumerate(without):
        substructures = encoded.substructures.copy()
        substructures[encoded.structure[row]] = counts
        left = numpy_logits(predictor, dataclasses.replace(encoded, substructures=substructures))
        np.testing.assert_allclose(found[row][:, atom], (whole - left)[row], atol=1e-3)
