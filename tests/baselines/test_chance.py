"""With shuffled labels every method is at chance, on the embedded simulated release."""

import numpy as np
import pytest

from moa_jax.baselines.controls import permute_labels
from moa_jax.baselines.registry import METHODS, make_method, trains_in_folder
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.preparation.embedded_release import embedded_dataset
from moa_jax.evaluation.metrics import macro_auprc, prevalence

# Chance is the expectation of a random ranking, or the prevalence where all compounds tie. Macro
# AUPRC may leave the two by this much: about three of its standard deviations over random
# rankings (0.011 with 146 compounds and 22 MoAs).
TOLERANCE = 0.03
NUM_FOLDS = 2
HERE = [name for name in METHODS if not trains_in_folder(name)]


def expected_average_precision(num_positive, num_compounds):
    """Of a random ranking (Bestgen 2015, eq. 2): above the prevalence where compounds are few."""
    harmonic = (1 / np.arange(1, num_compounds + 1)).sum()
    rest = (num_compounds - num_positive) * (harmonic - 1) / (num_compounds * (num_compounds - 1))
    return num_positive / num_compounds + rest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moa_jax.data.preparation.embedded_release.SIMULATED_FOLDER", folder)
        return embedded_dataset()


@pytest.fixture(scope="module")
def simulated(dataset):
    """Three signatures of each compound."""
    examples = build_examples(dataset)
    place = examples.table.groupby(np.asarray(examples.groups)).cumcount()
    return examples.take(np.flatnonzero(place < 3))


def out_of_fold_auprc(name, examples, graph):
    """Macro AUPRC of a method at the first of its settings, folds drawn without regard to MoAs.

    Stratified folds would bias chance itself: what the test part has more of, training has less.
    """
    groups, unit = np.unique(np.asarray(examples.groups), return_inverse=True)
    fold = np.random.default_rng(1).permutation(len(groups))[unit] % NUM_FOLDS
    nothing = examples.take(np.array([], int))
    probs = np.zeros(examples.labels.shape)
    for part in range(NUM_FOLDS):
        train = examples.take(np.flatnonzero(fold != part))
        test = examples.take(np.flatnonzero(fold == part))
        fitted = make_method(name).fit(train, nothing, graph, seed=0)
        probs[fold == part] = fitted.predict(test)
    return macro_auprc(*pool_by_compound(probs, examples.labels, examples.groups)[:2])


def test_expected_average_precision_is_that_of_random_rankings():
    rng = np.random.default_rng(0)
    labels = (np.arange(40) < 5)[:, None]
    found = [macro_auprc(rng.random((40, 1)), labels) for _ in range(4000)]
    assert expected_average_precision(5, 40) == pytest.approx(np.mean(found), abs=0.005)


@pytest.mark.parametrize("name", HERE)
def test_shuffled_labels_give_chance(name, dataset, simulated):
    shuffled = permute_labels(simulated, 3)
    _, labels, groups = pool_by_compound(shuffled.labels, shuffled.labels, shuffled.groups)
    of_random_ranking = expected_average_precision(labels.sum(axis=0), len(groups)).mean()
    of_ties = prevalence(labels).mean()
    found = out_of_fold_auprc(name, shuffled, dataset.graph)
    assert of_ties - TOLERANCE < found < of_random_ranking + TOLERANCE


@pytest.mark.parametrize("name", ["expression_logistic", "morgan_knn", "stacked"])
def test_the_true_labels_are_well_above_chance(name, dataset, simulated):
    assert out_of_fold_auprc(name, simulated, dataset.graph) > 0.2


def test_labels_are_permuted_among_compounds(simulated):
    shuffled = permute_labels(simulated, 0)
    _, before, groups = pool_by_compound(simulated.labels, simulated.labels, simulated.groups)
    _, after, _ = pool_by_compound(shuffled.labels, shuffled.labels, shuffled.groups)
    np.testing.assert_array_equal(before.sum(axis=0), after.sum(axis=0))
    assert sorted(map(tuple, before)) == sorted(map(tuple, after))
    # Few compounds keep their own MoAs by chance, and a compound's signatures agree.
    assert (before == after).all(axis=1).mean() < 0.2
    row = {group: index for index, group in enumerate(groups)}
    np.testing.assert_array_equal(
        shuffled.labels, after[[row[group] for group in shuffled.groups]].astype(np.float32)
    )
    assert shuffled.groups == simulated.groups
