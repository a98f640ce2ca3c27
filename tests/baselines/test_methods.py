import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from moa_jax.baselines.inputs import MorganBits, StandardisedExpression
from moa_jax.baselines.interface import Fitted, Method
from moa_jax.baselines.late_fusion import LateFusion, fuse
from moa_jax.baselines.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.baselines.prevalence import Prevalence
from moa_jax.baselines.registry import METHODS, make_method
from moa_jax.baselines.similarity import CosineKnn, neighbour_votes
from moa_jax.compounds.fingerprints import morgan_fingerprints
from moa_jax.data.examples import concatenate, strata
from moa_jax.schemas import InputError
from tests.small_sets import ALCOHOLS, examples, knowledge_graph, planted_examples

GRAPH = knowledge_graph(5)
PRIOR = [8 / 24, 8 / 24, 8 / 24]


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


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_interface(name, parts):
    train, validation, test = parts
    method = make_method(name)
    assert isinstance(method, Method)
    assert method.name == name
    fitted = method.fit(train, validation, GRAPH, seed=0)
    assert isinstance(fitted, Fitted)
    probs = fitted.predict(test)
    assert probs.shape == (12, 3)
    assert ((probs >= 0) & (probs <= 1)).all()
    again = method.fit(train, validation, GRAPH, seed=0).predict(test)
    np.testing.assert_array_equal(probs, again)
    hidden = dataclasses.replace(test, labels=np.zeros_like(test.labels))
    np.testing.assert_array_equal(probs, fitted.predict(hidden))
    assert fitted.predict(test.take(np.array([], int))).shape == (0, 3)
    assert method.fit(train, validation.take(np.array([], int)), GRAPH, seed=0).predict(
        test
    ).shape == (12, 3)


@pytest.mark.parametrize("name", ["cosine_knn", "expression_logistic"])
def test_planted_mechanisms_are_found(name, parts):
    train, validation, test = parts
    probs = make_method(name).fit(train, validation, GRAPH, seed=0).predict(test)
    np.testing.assert_array_equal(probs.argmax(axis=1), strata(test))


@pytest.mark.parametrize("name", METHODS)
def test_what_an_example_lacks_is_answered_by_the_prevalence(name, parts):
    train, validation, test = parts
    test = without_expression(without_structure(test, [0, 1]), [0, 2])
    fitted = make_method(name).fit(train, validation, GRAPH, seed=0)
    probs = fitted.predict(test)
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs[0], PRIOR)
    if "structure" not in name and name in ("cosine_knn", "expression_logistic"):
        np.testing.assert_allclose(probs[2], PRIOR)
    if name == "morgan_logistic":
        np.testing.assert_allclose(probs[1], PRIOR)


@pytest.mark.parametrize("name", METHODS)
def test_training_without_any_input_answers_the_prevalence(name, parts):
    train, validation, test = (
        without_expression(without_structure(part, range(99)), range(99)) for part in parts
    )
    probs = make_method(name).fit(train, validation, GRAPH, seed=0).predict(test)
    np.testing.assert_allclose(probs, np.tile(PRIOR, (12, 1)))


@pytest.mark.parametrize("name", METHODS)
def test_a_class_absent_in_training_gets_no_probability(name, parts):
    train, validation, test = (part.take(np.flatnonzero(strata(part) != 2)) for part in parts)
    fitted = make_method(name).fit(train, validation, GRAPH, seed=0)
    probs = fitted.predict(parts[2])
    np.testing.assert_array_equal(probs[:, 2], 0)
    assert (probs[:, :2].sum(axis=1) > 0).all()
    assert test.num_examples == 8


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
