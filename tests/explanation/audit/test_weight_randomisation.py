import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.explanation_audit.roar import roar_curves, without_top_genes
from moa_jax.explanation.attribution.baseline_signatures import no_change
from moa_jax.explanation.attribution.chunked_attribution import attribute
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.attribution.target import AttributionTarget
from moa_jax.explanation.audit.weight_randomisation import randomisation_cascade, randomised
from moa_jax.schemas import InputError
from tests.explanation.attribution.linear_models import every_moa, linear_predictor
from tests.explanation.protein_models import asked_examples, protein_predictor
from tests.small_sets import planted_examples
from tests.synthetic import make_examples

pytestmark = pytest.mark.slow


def test_a_cascade_changes_one_part_after_the_other():
    predictor = linear_predictor()
    steps = list(randomisation_cascade(predictor, seed=1))
    # None of them is a part of the fusion model.
    assert [name for name, _ in steps] == ["context", "genes", "nodes", "structure"]
    original, first, second = (
        {name: np.asarray(part["kernel"]) for name, part in model.params.items()}
        for model in (predictor, *(steps[0][1], steps[1][1]))
    )
    for name, values in original.items():
        np.testing.assert_array_equal(np.sort(second[name].ravel()), np.sort(values.ravel()))
    assert (first["genes"] == original["genes"]).all()
    assert (second["genes"] != original["genes"]).any()
    assert (second["structure"] == original["structure"]).all()
    assert (first["context"] == second["context"]).all()


def test_the_cascade_of_a_model_through_proteins_begins_with_its_mechanisms():
    predictor = protein_predictor()
    encoded = predictor.encode(asked_examples())
    steps = list(randomisation_cascade(predictor, seed=1))
    assert [name for name, _ in steps] == [
        *("mechanism_prototypes", "proteins", "signature_kernel", "structure_kernel")
    ]
    original = jax.device_get(predictor.params)
    for (name, model), key in zip(steps[2:], ("coefficients", "action_coefficients"), strict=True):
        values = np.asarray(model.params[name][key])
        assert (values != original[name][key]).any()
        np.testing.assert_array_equal(np.sort(values.ravel()), np.sort(original[name][key].ravel()))
    # Each of the two parts by itself changes what the model answers, and so its explanation.
    for changed in (
        {"mechanism_prototypes": steps[0][1].params["mechanism_prototypes"]},
        {
            "signature_kernel": {
                **predictor.params["signature_kernel"],
                "action_coefficients": steps[2][1].params["signature_kernel"][
                    "action_coefficients"
                ],
            }
        },
    ):
        other = dataclasses.replace(predictor, params={**predictor.params, **changed})
        usual, now = (
            attribute(
                model,
                encoded,
                AttributionTarget(predictor.task),
                every_moa(6),
                IntegratedGradients(4),
                baselines=no_change(encoded, predictor.features),
            ).values
            for model in (predictor, other)
        )
        assert np.abs(usual - now).max() > 0.01


def test_contributions_change_with_the_weights():
    predictor, examples = linear_predictor(), make_examples(8)
    attribution_target = AttributionTarget(predictor.task)
    usual, other = (
        attribute(model, examples, attribution_target, every_moa(8), IntegratedGradients(4)).values
        for model in (predictor, randomised(predictor))
    )
    kept = [row for row in range(5) if examples.gene_mask[row]]
    correlation = np.corrcoef(usual[..., kept].ravel(), other[..., kept].ravel())[0, 1]
    assert abs(correlation) < 0.7


def test_top_genes_are_replaced():
    examples = planted_examples(num_compounds=4)
    importance = np.tile(np.arange(5.0), (8, 1))
    left = without_top_genes(examples, importance, 0.4, np.full(5, 7.0))
    np.testing.assert_array_equal(left.expression[:, 3:], 7)
    np.testing.assert_array_equal(left.expression[:, :3], examples.expression[:, :3])
    with pytest.raises(InputError, match=r"importance has size \(8, 4\)"):
        without_top_genes(examples, importance[:, :4], 0.4, np.zeros(4))


def test_models_trained_without_the_planted_genes_are_worse():
    train, test = (planted_examples(num_compounds=40, seed=seed) for seed in (0, 1))

    def fit_and_score(train, test):
        model = LogisticRegression().fit(train.expression, train.labels.argmax(axis=1))
        return float(model.score(test.expression, test.labels.argmax(axis=1)))

    rng = np.random.default_rng(0)
    planted = tuple(np.pad(part.labels, ((0, 0), (0, 2))) + 0.01 for part in (train, test))
    chance = tuple(rng.random((80, 5)) for _ in range(2))
    table = roar_curves(
        train,
        test,
        {"planted": planted, "random": chance},
        fit_and_score,
        fractions=(0.0, 0.2, 0.6),
    )
    scores = pd.pivot(table, index="fraction", columns="ranking", values="score")
    assert scores.loc[0.0, "planted"] == scores.loc[0.0, "random"] > 0.95
    assert scores.loc[0.6, "planted"] < scores.loc[0.6, "random"]
