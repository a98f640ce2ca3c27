"""The closed form against scikit-learn, and what enters it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from moa_jax.data.examples.features import encode, fit_features
from moa_jax.kernels.ridge import kernel_system
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.kernel_functions import signature_kernel, structure_kernel
from tests.synthetic import (
    NUM_GENES,
    NUM_LANDMARKS,
    NUM_TERMS,
    make_gene_table,
    make_graph,
    make_knowledge_graph,
    make_model,
    make_raw_examples,
    solved,
    tiny_config,
)

VIEWS = (1024,) * 6 + (167,)


def coefficients(expert, encoded, spec, *, graph=None, model=None, **settings):
    """The expert's parameters, for the labels of the examples."""
    config = tiny_config(seed=settings.pop("seed", 0))
    values = {"ridge": 0.2, "max_references": 1000, "bead_difference": 0.4} | settings
    config.kernels = {name: values for name in ("signature", "network", "structure")}
    model = model or make_model(
        kernel_settings={"signature_kernel_width": 1.3}, substructure_families=VIEWS
    )
    system = kernel_system(
        expert, config, model, encoded, features=spec, graph=graph or make_graph()
    )
    return solved({expert: system}, encoded)[expert]


def signature_coefficients(encoded, spec, **settings):
    return coefficients("signature_kernel", encoded, spec, **settings)


def network_coefficients(encoded, spec, graph, model):
    return coefficients("network_kernel", encoded, spec, graph=graph, model=model)


def structure_coefficients(encoded, spec):
    return coefficients("structure_kernel", encoded, spec)


@pytest.fixture(scope="module")
def train():
    return make_raw_examples(30)


@pytest.fixture(scope="module")
def spec(train):
    return fit_features(train, make_gene_table())


def test_signature_coefficients_are_kernel_ridge_regression(train, spec):
    encoded = encode(train, spec)
    given = signature_coefficients(encoded, spec)
    kernel = signature_kernel(
        given["references"],
        jnp.ones(given["references"].shape, bool),
        given["references"],
        width=1.3,
    )
    target = train.labels - train.labels.mean(axis=0)
    sklearn = KernelRidge(alpha=0.2, kernel="precomputed").fit(np.asarray(kernel), target)
    np.testing.assert_allclose(given["coefficients"], sklearn.dual_coef_, rtol=1e-3, atol=1e-4)
    # Centred within the cell line, on the scale of the release.
    lines = train.table["cell_line"].to_numpy()
    usual = np.stack([train.expression[lines == line].mean(axis=0) for line in lines])
    np.testing.assert_allclose(given["references"], train.expression - usual, atol=1e-4)


def test_signatures_with_exchanged_beads_are_the_same_where_differences_are_left_out(train):
    """With nothing left of the differences an exchange changes no kernel and no answer."""
    partners = np.array([1, 0, 3, 2, *range(4, NUM_LANDMARKS)], np.int32)
    paired = dataclasses.replace(train, bead_partners=partners)
    spec = fit_features(paired, make_gene_table())
    assert spec.bead_partners == tuple(partners)
    given, swapped = (
        signature_coefficients(encode(examples, spec), spec, bead_difference=0.0)
        for examples in (
            paired,
            dataclasses.replace(paired, expression=paired.expression[:, partners]),
        )
    )
    np.testing.assert_array_equal(given["bead_partners"], partners)
    np.testing.assert_allclose(given["coefficients"], swapped["coefficients"], rtol=1e-3, atol=1e-4)
    told_apart = signature_coefficients(encode(paired, spec), spec, bead_difference=1.0)
    assert np.abs(told_apart["coefficients"] - given["coefficients"]).max() > 0.01


def test_network_coefficients_are_kernel_ridge_regression_on_the_nodes(train, spec):
    graph = graph_arrays(make_knowledge_graph(), restart=0.5, num_steps=3)
    model = make_model(kernel_settings={"network_kernel_width": 1.3, "network_term_share": 0.8})
    given = network_coefficients(encode(train, spec), spec, graph, model)
    lines = train.table["cell_line"].to_numpy()
    usual = np.stack([train.expression[lines == line].mean(axis=0) for line in lines])
    activity = (train.expression - usual) @ graph.propagation
    activity[:, :NUM_GENES] *= np.sqrt(0.2)
    activity[:, NUM_GENES:] *= np.sqrt(0.8 * NUM_GENES / NUM_TERMS)
    np.testing.assert_allclose(given["references"], activity, atol=1e-4)
    unit = activity / np.linalg.norm(activity, axis=1, keepdims=True)
    target = train.labels - train.labels.mean(axis=0)
    sklearn = KernelRidge(alpha=0.2, kernel="precomputed").fit(
        np.exp(1.3 * (unit @ unit.T - 1)), target
    )
    np.testing.assert_allclose(given["coefficients"], sklearn.dual_coef_, rtol=1e-3, atol=1e-3)


def test_with_an_identity_for_a_graph_the_network_kernel_is_the_signature_kernel(train, spec):
    graph = dataclasses.replace(
        graph_arrays(make_knowledge_graph(), restart=0.5, num_steps=3),
        propagation=np.eye(NUM_LANDMARKS, dtype=np.float32),
    )
    model = make_model(
        num_genes=NUM_LANDMARKS, num_terms=0, kernel_settings={"network_kernel_width": 1.3}
    )
    encoded = encode(train, spec)
    given = network_coefficients(encoded, spec, graph, model)
    expected = signature_coefficients(encoded, spec)
    assert set(given) == set(expected) - {"bead_partners", "bead_difference"}
    for name in given:
        np.testing.assert_allclose(given[name], expected[name], rtol=1e-4, atol=1e-4)


def test_structure_coefficients_count_each_structure_once(train, spec):
    encoded = encode(train, spec)
    given = structure_coefficients(encoded, spec)
    smiles = sorted(set(train.smiles))
    assert given["references"].shape == (len(smiles), sum(VIEWS))
    labels = np.stack(
        [
            train.labels[[row for row, text in enumerate(train.smiles) if text == one]].max(axis=0)
            for one in smiles
        ]
    )
    references = jnp.asarray(given["references"])
    kernel = structure_kernel(references, references, views=VIEWS)
    noisy = np.asarray(kernel) + 0.2 * np.eye(len(smiles))
    target = labels - labels.mean(axis=0)
    np.testing.assert_allclose(
        given["coefficients"], np.linalg.solve(noisy, target), rtol=1e-3, atol=1e-4
    )


def test_examples_without_the_modality_take_no_part(train, spec):
    has = np.arange(train.num_examples) % 3 > 0
    partial = dataclasses.replace(
        train,
        has_expression=has,
        smiles=tuple(None if row % 5 == 0 else text for row, text in enumerate(train.smiles)),
    )
    encoded = encode(partial, spec)
    given = signature_coefficients(encoded, spec)
    assert len(given["references"]) == has.sum()
    known = {text for text in partial.smiles if text is not None}
    given = structure_coefficients(encoded, spec)
    assert len(given["references"]) == len(known)


def test_without_any_signature_or_structure_the_expert_says_nothing(train, spec):
    bare = dataclasses.replace(
        train,
        has_expression=np.zeros(train.num_examples, bool),
        smiles=(None,) * train.num_examples,
    )
    encoded = encode(bare, spec)
    graph = graph_arrays(make_knowledge_graph(), restart=0.5, num_steps=3)
    for given in (
        network_coefficients(encoded, spec, graph, make_model()),
        signature_coefficients(encoded, spec),
        structure_coefficients(encoded, spec),
    ):
        np.testing.assert_array_equal(given["coefficients"], np.zeros((1, train.labels.shape[1])))
        assert not np.asarray(given["references"]).any()
        assert len(given["references"]) == 1


def test_too_many_references_are_thinned_by_the_seed(train, spec):
    encoded = encode(train, spec)
    few = [signature_coefficients(encoded, spec, max_references=7, seed=seed) for seed in (0, 0, 1)]
    assert few[0]["references"].shape[0] == 7
    np.testing.assert_array_equal(few[0]["references"], few[1]["references"])
    assert not np.array_equal(few[0]["references"], few[2]["references"])
