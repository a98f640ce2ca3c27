import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from moa_jax.baselines.classifiers.late_fusion import LateFusion, fuse
from moa_jax.baselines.classifiers.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.baselines.inputs import MorganBits, StandardisedExpression
from moa_jax.baselines.interface import FittedMethod, Method
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.baselines.registry import (
    FAMILIES,
    FAMILY_OF,
    METHODS,
    make_method,
    trains_in_folder,
)
from moa_jax.baselines.similarity.nearest_neighbours import CosineKnn, neighbour_votes
from moa_jax.compounds.fingerprints import morgan_fingerprints
from moa_jax.data.examples.labels import strata
from moa_jax.schemas import InputError, concatenate
from tests.small_sets import ALCOHOLS, examples, knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = knowledge_graph(5)
PRIOR = [8 / 24, 8 / 24, 8 / 24]
# Networks are tested beside their code.
HERE = [name for name in METHODS if not trains_in_folder(name)]


@pytest.fixture(scope="module")
def parts():
    """18 training, 6 validation and 6 test compounds of three MoAs, two signatures each."""
    planted = planted_examples()
    cut = np.split(np.arange(60), [36, 48])
    return tuple(planted.take(rows) for rows in cut)


def without_structure(some, rows):
    smiles = [None if row in rows else text for row, text in enumerate(some.smiles)]
    return dataclasses.replace(some, smiles=tuple(smiles))


def without_expression(some, rows):
    has = ~np.isin(np.arange(some.num_examples), rows)
    expression = np.where(has[:, None], some.expression, np.nan).astype(np.float32)
    return dataclasses.replace(some, has_expression=has, expression=expression)


@pytest.fixture(scope="module")
def known(parts):
    return concatenate(parts[0], parts[1])


@pytest.fixture(scope="module")
def regulated():
    """60 compounds of three MoAs, each of which raises 50 of 300 genes and lowers 50 others."""
    moa = np.arange(60) % 3
    direction = np.kron(np.eye(3), np.repeat([1.0, -1.0], 50))
    noise = np.random.default_rng(0).normal(size=(60, 300))
    groups = [f"G{row:02d}" for row in range(60)]
    return examples(np.eye(3)[moa], groups, expression=2 * direction[moa] + noise)


def fit_untuned(name, known, graph=GRAPH):
    """The method at the first of its settings, as without validation examples."""
    return make_method(name).fit(known, known.take(np.array([], int)), graph, seed=0)


@pytest.mark.parametrize("name", HERE)
def test_every_method_keeps_the_interface(name, parts):
    train, validation, test = parts
    method = make_method(name)
    assert isinstance(method, Method)
    assert method.name == name
    fitted = method.fit(train, validation, GRAPH, seed=0)
    assert isinstance(fitted, FittedMethod)
    assert fitted.validation_probs.shape == (12, 3)
    assert fitted.report["settings"] in method.candidates
    probs = fitted.predict(test)
    assert probs.shape == (12, 3)
    assert ((probs >= 0) & (probs <= 1)).all()
    hidden = dataclasses.replace(test, labels=np.zeros_like(test.labels))
    np.testing.assert_array_equal(probs, fitted.predict(hidden))
    assert fitted.predict(test.take(np.array([], int))).shape == (0, 3)


@pytest.mark.parametrize("name", HERE)
def test_every_method_repeats_itself(name, known, parts):
    first, again = (fit_untuned(name, known).predict(parts[2]) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "name", [name for name in HERE if FAMILY_OF[name] in ("similarity", "expression")]
)
def test_planted_mechanisms_are_found_in_expression(name, regulated):
    trained_on = np.arange(60) < 45
    fitted = fit_untuned(name, regulated.take(np.flatnonzero(trained_on)), knowledge_graph(300))
    asked = regulated.take(np.flatnonzero(~trained_on))
    # Most find all; scores relative to the few references of a cell line err more often.
    assert (fitted.predict(asked).argmax(axis=1) == strata(asked)).mean() > 0.8


@pytest.mark.parametrize(
    "name", [name for name in HERE if FAMILY_OF[name] in ("structure", "fusion")]
)
def test_structures_without_expression_are_learnt_from(name):
    """Two series, three compounds of each with a signature and four with a structure alone."""
    acids = ["C" * length + "C(=O)O" for length in range(1, 11)]
    amines = ["C" * length + "CN" for length in range(1, 11)]
    labels = np.repeat(np.eye(2), 10, axis=0)
    some = examples(labels, [f"G{row}" for row in range(20)], smiles=acids + amines)
    place = np.arange(20) % 10
    some = without_expression(some, np.flatnonzero(place >= 3))
    fitted = fit_untuned(name, some.take(np.flatnonzero(place < 7)))
    probs = fitted.predict(some.take(np.flatnonzero(place >= 7)))
    np.testing.assert_array_equal(probs.argmax(axis=1), [0, 0, 0, 1, 1, 1])


# Modalities without which a method of the family predicts the prevalence.
NEEDS = {
    "control": (),
    "similarity": ("expression",),
    "expression": ("expression",),
    "structure": ("structure",),
    "fusion": (),
}


@pytest.mark.parametrize("name", HERE)
def test_what_an_example_lacks_is_answered_by_the_prevalence(name, known, parts):
    test = without_expression(without_structure(parts[2], [0, 1]), [0, 2])
    probs = fit_untuned(name, known).predict(test)
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs[0], PRIOR)
    if "expression" in NEEDS[FAMILY_OF[name]]:
        np.testing.assert_allclose(probs[2], PRIOR)
    if "structure" in NEEDS[FAMILY_OF[name]]:
        np.testing.assert_allclose(probs[1], PRIOR)


@pytest.mark.parametrize("name", HERE)
def test_training_without_any_input_answers_the_prevalence(name, known, parts):
    nothing = without_expression(without_structure(known, range(99)), range(99))
    probs = fit_untuned(name, nothing).predict(parts[2])
    np.testing.assert_allclose(probs, np.tile(PRIOR, (12, 1)))


@pytest.mark.parametrize("name", HERE)
def test_a_class_absent_in_training_gets_no_probability(name, known, parts):
    fitted = fit_untuned(name, known.take(np.flatnonzero(strata(known) != 2)))
    probs = fitted.predict(parts[2])
    np.testing.assert_array_equal(probs[:, 2], 0)
    assert (probs[:, :2].sum(axis=1) > 0).all()


def test_families_come_in_the_order_of_the_results_table():
    assert list(dict.fromkeys(FAMILY_OF.values())) == list(FAMILIES)


def test_prevalence_counts_compounds_not_signatures():
    known = examples(
        [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [1, 1]], ["A", "A", "A", "B", "C", "D"]
    )
    fitted = Prevalence().fit(known, GRAPH, seed=0)
    np.testing.assert_allclose(fitted.predict(known), [[0.5, 0.75]] * 6)


def test_neighbour_votes_by_hand():
    references = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    labels = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    queries = np.array([[5.0, 0.0], [0.0, 0.0]])
    # Cosines 1, 0, -1, sqrt(1/2): the nearest two are references 0 and 3.
    weight = (1 + np.sqrt(0.5)) / 2
    expected = np.array([1 + weight, weight, 0]) / (1 + 2 * weight)
    votes = neighbour_votes(queries, references, labels, num_neighbours=2)
    np.testing.assert_allclose(votes[0], expected)
    # A query of zeros is equally far from all, so the first two vote with equal weight.
    np.testing.assert_allclose(votes[1], [0.5, 0.5, 0])
    # More neighbours than references: all vote, the opposite one with no weight.
    votes = neighbour_votes(queries[:1], references, labels, num_neighbours=10)
    expected = np.array([1 + weight, 0.5 + weight, 0]) / (1.5 + 2 * weight)
    np.testing.assert_allclose(votes[0], expected)
    alone = neighbour_votes(queries[:1], references[2:3], labels[2:3], num_neighbours=1)
    np.testing.assert_array_equal(alone, [[0, 0, 0]])


def test_knn_stands_on_training_statistics(parts):
    train, validation, test = parts
    known = concatenate(train, validation)
    scaler = StandardScaler().fit(known.expression)
    expected = neighbour_votes(
        scaler.transform(test.expression),
        scaler.transform(known.expression),
        known.labels.astype(float),
        num_neighbours=3,
    )
    fitted = CosineKnn(num_neighbours=3).fit(known, GRAPH, seed=0)
    np.testing.assert_allclose(fitted.predict(test), expected, rtol=1e-6)


def test_logistics_are_scikit_learns(parts):
    train, validation, test = parts
    known = concatenate(train, validation)
    scaler = StandardScaler().fit(known.expression)
    for learner, inverse_penalty, inputs in (
        (EXPRESSION_LOGISTIC, 0.003, lambda some: scaler.transform(some.expression)),
        (MORGAN_LOGISTIC, 0.1, lambda some: morgan_fingerprints(some.smiles).astype(float)),
    ):
        direct = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=2000)
        direct.fit(inputs(known), strata(known))
        probs = learner.fit(known, GRAPH, seed=0).predict(test)
        np.testing.assert_allclose(probs, direct.predict_proba(inputs(test)), atol=1e-6)


def test_unmeasured_genes_stand_at_the_training_mean(parts):
    train, validation, test = parts
    mask = np.array([True, False, True, True, False])
    garbled = dataclasses.replace(
        test,
        gene_mask=mask,
        expression=np.where(mask, test.expression, np.nan).astype(np.float32),
    )
    inputs = StandardisedExpression()
    inputs.fit_transform(train)
    z = inputs.transform(garbled)
    np.testing.assert_array_equal(z[:, ~mask], 0)
    np.testing.assert_array_equal(z[:, mask], inputs.transform(test)[:, mask])
    for name in ("cosine_knn", "expression_logistic"):
        assert np.isfinite(
            make_method(name).fit(train, validation, GRAPH, seed=0).predict(garbled)
        ).all()


def test_morgan_bits_are_two_bonds_and_2048_wide():
    some = examples([[1.0], [1.0]], ["A", "B"], smiles=ALCOHOLS[2:4])
    np.testing.assert_array_equal(
        MorganBits().transform(some), morgan_fingerprints(ALCOHOLS[2:4], radius=2, num_bits=2048)
    )


def test_fuse_closed_form():
    first = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.3, 0.7]])
    second = np.array([[0.4, 0.6], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    fused = fuse(
        first, second, np.array([True, True, False, False]), np.array([True, False, True, False])
    )
    expected = [[0.6, np.sqrt(0.06)], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]
    np.testing.assert_allclose(fused, expected)


def test_late_fusion_fuses_the_two_logistics(parts):
    train, validation, test = parts
    test = without_expression(without_structure(test, [0, 1]), [0, 2])
    known = concatenate(train, validation)
    probs = LateFusion().fit(known, GRAPH, seed=0).predict(test)
    expression = EXPRESSION_LOGISTIC.fit(known, GRAPH, seed=0).predict(test)
    structure = MORGAN_LOGISTIC.fit(known, GRAPH, seed=0).predict(test)
    np.testing.assert_allclose(probs[0], PRIOR)
    np.testing.assert_array_equal(probs[1], expression[1])
    np.testing.assert_array_equal(probs[2], structure[2])
    np.testing.assert_allclose(probs[3:], np.sqrt(expression * structure)[3:])


def test_late_fusion_without_structures_in_training_is_the_expression_method(parts):
    train, validation, test = parts
    known = without_structure(concatenate(train, validation), range(99))
    probs = LateFusion().fit(known, GRAPH, seed=0).predict(test)
    expression = EXPRESSION_LOGISTIC.fit(known, GRAPH, seed=0).predict(test)
    np.testing.assert_array_equal(probs, expression)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(
        InputError, match=r"no method 'svm'; the methods are prevalence, .*logistics"
    ):
        make_method("svm")
