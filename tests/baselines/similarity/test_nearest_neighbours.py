import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from moa_jax.baselines.prevalence import fit_prevalence
from moa_jax.baselines.similarity.candidates import SIMILARITY_CANDIDATES
from moa_jax.baselines.similarity.discriminant import DiscriminantCosine
from moa_jax.baselines.similarity.measures import (
    CharacteristicDirectionCosine,
    Cosine,
    ExtremeScore,
    Spearman,
)
from moa_jax.baselines.similarity.nearest_neighbours import (
    SimilarityKnn,
    best_signature,
    compound_votes,
    compounds_of,
)
from moa_jax.baselines.tuning import BUDGET
from moa_jax.data.examples.labels import strata
from moa_jax.lincs.connectivity import extreme_sets
from moa_jax.lincs.extreme_scores import extreme_only, sscmap, xcos, xsum
from tests.small_sets import examples, knowledge_graph

GRAPH = knowledge_graph(40)
LEARNERS = [
    pytest.param(learner, id=f"{name}: {settings}")
    for name, candidates in SIMILARITY_CANDIDATES.items()
    for settings, learner in candidates.items()
]


@pytest.fixture(scope="module")
def parts():
    """24 training and 6 test compounds of three MoAs, two signatures each.

    An MoA raises six genes of 40 and lowers six others.
    """
    rng = np.random.default_rng(4)
    compound = np.repeat(np.arange(30), 2)
    labels = np.eye(3)[compound % 3]
    effects = np.stack([rng.permutation([2] * 6 + [-2] * 6 + [0] * 28) for _ in range(3)])
    planted = examples(
        labels,
        [f"G{row:03d}" for row in compound],
        expression=labels @ effects + 0.5 * rng.normal(size=(60, 40)),
    )
    return planted.take(np.arange(48)), planted.take(np.arange(48, 60))


def random_examples(count, num_genes=30, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.eye(2)[np.arange(count) % 2]
    return examples(
        labels,
        [f"G{row // 2}" for row in range(count)],
        expression=rng.normal(size=(count, num_genes)),
    )


def without_expression(some, rows):
    has = ~np.isin(np.arange(some.num_examples), rows)
    expression = np.where(has[:, None], some.expression, np.nan).astype(np.float32)
    return dataclasses.replace(some, has_expression=has, expression=expression)


def test_each_method_keeps_the_budget():
    assert all(1 <= len(each) <= BUDGET for each in SIMILARITY_CANDIDATES.values())


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_candidate_finds_planted_mechanisms(learner, parts):
    train, test = parts
    fitted = learner.fit(train, GRAPH, seed=0)
    probs = fitted.predict(test)
    assert probs.shape == (12, 3)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (probs >= 0).all()
    np.testing.assert_array_equal(probs.argmax(axis=1), strata(test))
    hidden = dataclasses.replace(test, labels=np.zeros_like(test.labels))
    np.testing.assert_array_equal(fitted.predict(hidden), probs)
    np.testing.assert_array_equal(learner.fit(train, GRAPH, seed=1).predict(test), probs)
    assert fitted.predict(test.take(np.array([], int))).shape == (0, 3)


@pytest.mark.parametrize("learner", LEARNERS)
def test_predictions_of_every_candidate_without_a_modality(learner, parts):
    train, test = parts
    prior = fit_prevalence(train).prior
    fitted = learner.fit(without_expression(train, [0, 5]), GRAPH, seed=0)
    probs = fitted.predict(without_expression(test, [1]))
    np.testing.assert_allclose(probs[1], prior)
    # What is answered does not depend on what is asked beside it.
    np.testing.assert_allclose(probs[2:], fitted.predict(test)[2:], atol=1e-12)
    nothing = learner.fit(without_expression(train, range(99)), GRAPH, seed=0)
    np.testing.assert_allclose(nothing.predict(test), np.tile(prior, (12, 1)))
    # An MoA that nobody had, and a world of one MoA.
    some = train.take(np.flatnonzero(strata(train) != 2))
    assert (learner.fit(some, GRAPH, seed=0).predict(test)[:, 2] == 0).all()
    one = train.take(np.flatnonzero(strata(train) == 1))
    np.testing.assert_allclose(learner.fit(one, GRAPH, seed=0).predict(test)[:, 1], 1)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_gene_that_was_not_measured_is_not_read(learner, parts):
    train, test = parts
    mask = np.arange(40) % 5 > 0
    garbled = dataclasses.replace(
        test, gene_mask=mask, expression=np.where(mask, test.expression, np.nan).astype(np.float32)
    )
    other = dataclasses.replace(
        garbled, expression=np.where(mask, test.expression, 99).astype(np.float32)
    )
    fitted = learner.fit(train, GRAPH, seed=0)
    probs = fitted.predict(garbled)
    assert np.isfinite(probs).all()
    np.testing.assert_array_equal(probs, fitted.predict(other))


def test_a_compound_votes_once_by_its_best_signature():
    similarity = np.array([[0.9, 0.1, 0.5, -0.5]])
    members = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    labels = np.array([[1, 0], [1, 1], [0, 1]], bool)
    np.testing.assert_array_equal(best_signature(similarity, members), [[0.9, 0.5, -0.5]])
    weight = np.exp(np.array([0.9, 0.5, -0.5]) / (0.5 * np.std([0.9, 0.1, 0.5, -0.5])))
    expected = np.array([weight[0] + weight[1], weight[1] + weight[2]])
    found = compound_votes(similarity, members, labels, temperature=0.5)
    np.testing.assert_allclose(found[0], expected / expected.sum())
    # Another unit, another origin: the same votes.
    np.testing.assert_allclose(
        compound_votes(7 * similarity - 3, members, labels, temperature=0.5), found
    )
    nearest = compound_votes(similarity, members, labels, temperature=0.5, num_neighbours=1)
    np.testing.assert_allclose(nearest, [[1, 0]])
    equal = compound_votes(np.zeros((1, 4)), members, labels, temperature=0.5)
    np.testing.assert_allclose(equal, [[0.5, 0.5]])


def test_a_repeated_signature_changes_no_vote(parts):
    train, _ = parts
    members, labels = compounds_of(train)
    assert members.shape == (24, 48)
    np.testing.assert_array_equal(labels.argmax(axis=1), np.arange(24) % 3)
    similarity = np.random.default_rng(0).normal(size=(5, 48))
    twice = np.tile(similarity, 2), np.tile(members, 2)
    np.testing.assert_allclose(
        compound_votes(*twice, labels, temperature=0.3),
        compound_votes(similarity, members, labels, temperature=0.3),
    )


def test_blocks_of_queries_change_nothing(parts, monkeypatch):
    train, test = parts
    fitted = SimilarityKnn(Cosine()).fit(train, GRAPH, seed=0)
    whole = fitted.predict(test)
    monkeypatch.setattr("moa_jax.baselines.similarity.nearest_neighbours._BLOCK_ROWS", 5)
    np.testing.assert_allclose(fitted.predict(test), whole, rtol=1e-12)


def test_cosine_and_spearman_are_scipys():
    train, test = random_examples(9), random_examples(4, seed=1)
    found = Cosine().fit(train).similarity(test)
    np.testing.assert_allclose(
        found, 1 - cdist(test.expression, train.expression, "cosine"), atol=1e-6
    )
    both = np.concatenate([test.expression, train.expression])
    both[:, ::4] = np.round(both[:, ::4])
    train = dataclasses.replace(train, expression=both[4:])
    test = dataclasses.replace(test, expression=both[:4])
    found = Spearman().fit(train).similarity(test)
    np.testing.assert_allclose(found, spearmanr(both, axis=1).statistic[:4, 4:], atol=1e-12)


def test_extreme_scores_keep_a_quarter_of_the_reference_on_each_side():
    train, test = random_examples(9), random_examples(4, seed=1)
    queries, references = (some.expression.astype(float) for some in (test, train))
    up, down = extreme_sets(queries, 3)
    kept, query = extreme_only(references, 7), np.where(up | down, queries, 0)
    for score, expected in (
        ("xsum", xsum(up, down, kept)),
        ("xcos", xcos(query, kept)),
        ("sscmap", sscmap(query, references)),
    ):
        found = ExtremeScore(score, set_size=3).fit(train).similarity(test)
        np.testing.assert_allclose(found, expected)


def test_directions_discount_what_varies_anyway():
    train = random_examples(40, num_genes=3)
    train = dataclasses.replace(train, expression=train.expression * np.float32([9, 1, 1]))
    test = random_examples(2, num_genes=3)
    test = dataclasses.replace(test, expression=np.float32([[9, 0, 1], [9, 0, -1]]))
    plain = Cosine().fit(test).similarity(test)[0, 1]
    turned = CharacteristicDirectionCosine(0.9).fit(train)
    directions = turned.features(test.expression.astype(float))
    assert plain > 0.9
    assert directions[0] @ directions[1] < 0.3


def test_discriminants_are_scikit_learns(parts):
    train, test = parts
    pca = PCA(4, svd_solver="full").fit(train.expression.astype(float))
    lda = LinearDiscriminantAnalysis().fit(
        pca.transform(train.expression.astype(float)), strata(train)
    )
    queries, references = (
        lda.transform(pca.transform(some.expression.astype(float))) for some in (test, train)
    )
    found = DiscriminantCosine(4).fit(train).similarity(test)
    np.testing.assert_allclose(found, 1 - cdist(queries, references, "cosine"), atol=1e-8)
