import numpy as np
import pytest
from scipy.special import softmax

from moa_jax.baselines.similarity.connectivity import Connectivity
from moa_jax.lincs.connectivity import extreme_sets, ncs, tau, wtcs
from tests.small_sets import examples, knowledge_graph

GRAPH = knowledge_graph(40)
# Five compounds with three signatures each; C has both MoAs, nobody the third.
LABELS = np.repeat([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]], 3, axis=0)


@pytest.fixture(scope="module")
def train():
    expression = np.random.default_rng(0).normal(size=(15, 40))
    return examples(LABELS, list(np.repeat(list("ABCDE"), 3)), expression=expression)


@pytest.fixture(scope="module")
def test_part():
    expression = np.random.default_rng(1).normal(size=(4, 40))
    return examples(np.zeros((4, 3)), list("WXYZ"), expression=expression)


def quantile_rule(scores):
    high, low = np.quantile(scores, [0.67, 0.33])
    return high if abs(high) >= abs(low) else low


def expected_probs(scores, rule, of_best, temperature):
    """Scores of one query with the 15 signatures."""
    compounds = np.array([rule(scores[3 * row : 3 * row + 3]) for row in range(5)])
    classes = np.array([of_best(compounds[:3]), of_best(compounds[2:])])
    probs = softmax(classes / classes.std() / temperature)
    return [*probs, 0.0]


def scores_of(name, train, test):
    sets = extreme_sets(test.expression, 6)
    raw = wtcs(train.expression, *sets)
    if name == "wtcs":
        return raw
    lines = [None if line is None else str(line) for line in train.table["cell_line"]]
    normalised = ncs(raw, lines)
    if name == "ncs":
        return normalised
    every = ncs(wtcs(train.expression, *extreme_sets(train.expression, 6)), lines)
    return tau(normalised, every)


@pytest.mark.parametrize("name", ["wtcs", "ncs", "tau"])
def test_quantiles_of_signatures_then_of_compounds(name, train, test_part):
    found = Connectivity(name, set_size=6).fit(train, GRAPH, seed=0)
    scores = scores_of(name, train, test_part).astype(float)
    expected = [expected_probs(row, quantile_rule, quantile_rule, 0.5) for row in scores]
    np.testing.assert_allclose(found.predict(test_part), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["wtcs", "ncs", "tau"])
def test_best_compounds_by_their_best_signature(name, train, test_part):
    found = Connectivity(name, set_size=6, num_best=2).fit(train, GRAPH, seed=0)
    scores = scores_of(name, train, test_part).astype(float)
    expected = [
        expected_probs(row, np.max, lambda compounds: np.sort(compounds)[-2:].mean(), 0.5)
        for row in scores
    ]
    np.testing.assert_allclose(found.predict(test_part), expected, atol=1e-5)


def test_a_training_signature_connects_best_with_its_own_moa(train):
    probs = Connectivity("wtcs", set_size=6, num_best=1).fit(train, GRAPH, seed=0).predict(train)
    alone = LABELS.sum(axis=1) == 1
    np.testing.assert_array_equal(probs.argmax(axis=1)[alone], LABELS.argmax(axis=1)[alone])
