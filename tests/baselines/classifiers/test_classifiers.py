"""The classifiers of one matrix, against scikit-learn and by hand."""

import dataclasses

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from moa_jax.baselines.classifiers.classifier import ClassifierLearner
from moa_jax.baselines.classifiers.gene_selection import (
    elastic_net_importance,
    with_selected_features,
)
from moa_jax.baselines.classifiers.logistic import MORGAN_LOGISTIC, morgan_logistic
from moa_jax.baselines.classifiers.support_vectors import kernel_machine
from moa_jax.baselines.classifiers.trees import lightgbm_trees, random_forest, xgboost_trees
from moa_jax.baselines.inputs import MorganBits, one_per_structure
from moa_jax.baselines.similarity.structure_neighbours import tanimoto_votes
from moa_jax.schemas import concatenate
from tests.small_sets import knowledge_graph, planted_examples

pytestmark = pytest.mark.slow

GRAPH = knowledge_graph(5)


@pytest.fixture(scope="module")
def blobs():
    """90 rows of the classes 2, 5 and 7, which the first three of 20 features separate."""
    rng = np.random.default_rng(0)
    index = np.arange(90) % 3
    inputs = rng.normal(size=(90, 20))
    inputs[np.arange(90), index] += 3
    return (
        inputs[:60],
        np.array([2, 5, 7])[index[:60]],
        inputs[60:],
        np.array([2, 5, 7])[index[60:]],
    )


@pytest.mark.parametrize("gamma", [None, 0.7])
def test_machines_are_scikit_learns(blobs, gamma):
    inputs, classes, asked, _ = blobs
    machine = kernel_machine(2.0, 3.0, gamma=gamma)(0)
    kernel = {"kernel": "linear", "C": 2.0 / 20}
    if gamma is not None:
        kernel = {"kernel": "rbf", "C": 2.0, "gamma": gamma / 20}
    direct = OneVsRestClassifier(SVC(**kernel, class_weight="balanced", tol=1e-8))
    machine.fit(inputs, classes)
    np.testing.assert_array_equal(machine.classes_, [2, 5, 7])
    margins = direct.fit(inputs, classes).decision_function(asked)
    np.testing.assert_allclose(
        machine.predict_proba(asked), softmax(3 * margins, axis=1), atol=0.01
    )


@pytest.mark.parametrize(
    "make",
    [
        random_forest(n_estimators=50),
        xgboost_trees(n_estimators=10, learning_rate=0.3),
        lightgbm_trees(n_estimators=20, learning_rate=0.3, num_leaves=4),
        with_selected_features(xgboost_trees(n_estimators=10, learning_rate=0.3), 3),
    ],
)
def test_trees_keep_the_numbers_of_the_classes(blobs, make):
    inputs, classes, asked, truth = blobs
    trees = make(3)
    trees.fit(inputs, classes)
    np.testing.assert_array_equal(trees.classes_, [2, 5, 7])
    probs = trees.predict_proba(asked)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    assert (trees.classes_[probs.argmax(axis=1)] == truth).mean() > 0.8


def test_selection_keeps_the_genes_that_tell_classes_apart(blobs):
    inputs, classes, _, _ = blobs
    importance = elastic_net_importance(inputs, classes)
    assert set(np.argsort(-importance)[:3]) == {0, 1, 2}
    assert (importance[3:] < 0.5 * importance[:3].min()).all()
    chosen = with_selected_features(random_forest(), 3)(0)
    np.testing.assert_array_equal(chosen.fit(inputs, classes).selected, [0, 1, 2])


def test_elastic_net_weighs_classes_alike(blobs):
    inputs, classes, _, _ = blobs
    rows = np.concatenate([np.arange(60), np.flatnonzero(classes == 2)])
    np.testing.assert_allclose(
        elastic_net_importance(inputs[rows], classes[rows]),
        elastic_net_importance(inputs, classes),
        atol=1e-3,
    )


def test_tanimoto_votes_by_hand():
    similarity = np.array([[0.5, 1.0, 0.0], [0.0, 0.0, 0.0]])
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    prior = np.array([0.6, 0.4])
    votes = tanimoto_votes(similarity, labels, prior, num_neighbours=2, power=2.0)
    # Weights 1 and 1/4, no doubt; the second query is like nothing and gets the prior.
    np.testing.assert_allclose(votes, [[0.25 / 1.25, 1 / 1.25], prior])
    alone = tanimoto_votes(similarity[:1, [0]], labels[:1], prior, num_neighbours=9, power=1.0)
    np.testing.assert_allclose(alone, [[0.5 + 0.5 * 0.6, 0.5 * 0.4]])


def test_a_structure_is_learnt_from_once():
    some = planted_examples(num_signatures=2)
    once = one_per_structure(some)
    assert sorted(once.smiles) == sorted(set(some.smiles))
    labels = some.labels.copy()
    labels[0, 1] = 1
    union = one_per_structure(dataclasses.replace(some, labels=labels))
    np.testing.assert_array_equal(union.labels[union.groups.index(some.groups[0])], [1, 1, 0])
    more = concatenate(some, some.take(np.arange(10)))
    first, second = (morgan_logistic(0.3).fit(part, GRAPH, seed=0) for part in (some, more))
    np.testing.assert_array_equal(first.predict(some), second.predict(some))
    # The reference line weighs a compound by its signatures, as its published numbers do.
    first, second = (MORGAN_LOGISTIC.fit(part, GRAPH, seed=0) for part in (some, more))
    assert not np.array_equal(first.predict(some), second.predict(some))
    once_only = ClassifierLearner(random_forest(n_estimators=5), MorganBits, True)
    assert once_only.fit(some, GRAPH, seed=0).predict(some).shape == some.labels.shape
