import collections
import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from moa_jax.data.examples.labels import strata
from moa_jax.data.splits.stratification import (
    grouped_folds,
    iterative_stratification,
    multilabel_folds,
)
from moa_jax.schemas import InputError
from tests.small_sets import examples, planted_examples


@pytest.fixture
def planted():
    return planted_examples(num_compounds=40, num_moas=4, num_signatures=3)


def test_grouped_folds_are_scikit_learns(planted):
    folds = grouped_folds(strata(planted), planted.groups, num_folds=5, seed=3)
    direct = StratifiedGroupKFold(5, shuffle=True, random_state=3)
    parts = direct.split(planted.expression, strata(planted), np.array(planted.groups))
    for fold, (_, test) in enumerate(parts):
        np.testing.assert_array_equal(np.flatnonzero(folds == fold), test)


def test_rare_classes_do_not_warn():
    rare = examples(np.eye(2)[[0] * 10 + [1]], [f"G{row}" for row in range(11)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grouped_folds(strata(rare), rare.groups, num_folds=5, seed=0)


def test_classes_smaller_than_the_folds_are_refused():
    each_its_own = examples(np.eye(6), [f"G{row}" for row in range(6)])
    with pytest.raises(InputError, match="no class has 5 examples"):
        grouped_folds(strata(each_its_own), each_its_own.groups, num_folds=5, seed=0)


def random_labels(num_units=120, num_labels=9, seed=0):
    """Sparse labels of very unequal frequency, some units with several and some with none."""
    rng = np.random.default_rng(seed)
    share = np.linspace(0.04, 0.3, num_labels)
    return (rng.random((num_units, num_labels)) < share).astype(np.int64)


def folds_that_the_paper_allows(labels, num_folds, folds, order):
    """Algorithm 1 of the paper, word for word: for each unit in turn the folds tied as best."""
    num_labels = len(labels[0])
    want_all = [len(labels) / num_folds] * num_folds
    want = [
        [sum(unit[label] for unit in labels) / num_folds for label in range(num_labels)]
        for _ in range(num_folds)
    ]
    left = list(order)

    def tied(candidates, wanted):
        best = max(round(wanted(fold), 6) for fold in candidates)
        return [fold for fold in candidates if round(wanted(fold), 6) == best]

    while left:
        counts = [sum(labels[unit][label] for unit in left) for label in range(num_labels)]
        rarest = min(((count, label) for label, count in enumerate(counts) if count), default=None)
        members = [unit for unit in left if rarest is None or labels[unit][rarest[1]]]
        for unit in members:
            candidates = list(range(num_folds))
            if rarest is not None:
                candidates = tied(candidates, lambda fold, label=rarest[1]: want[fold][label])
            yield unit, tied(candidates, lambda fold: want_all[fold])
            left.remove(unit)
            want_all[folds[unit]] -= 1
            for label, has in enumerate(labels[unit]):
                want[folds[unit]][label] -= has


def test_six_units_in_two_folds_by_hand():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 1], [0, 1], [0, 1]])
    folds = iterative_stratification(labels, np.ones(6, np.int64), num_folds=2, seed=0)
    # The two units of the rarer label part; the other label then levels what unit 2 brought.
    assert folds[0] != folds[2]
    assert sorted(np.bincount(folds[labels[:, 1] > 0])) == [2, 3]
    assert np.bincount(folds).tolist() == [3, 3]


@pytest.mark.parametrize("seed", range(5))
def test_every_step_is_the_papers(seed):
    labels = random_labels(seed=seed)
    sizes = np.ones(len(labels), np.int64)
    folds = iterative_stratification(labels, sizes, num_folds=5, seed=seed)
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    steps = list(folds_that_the_paper_allows(labels.tolist(), 5, folds, order))
    assert sorted(unit for unit, _ in steps) == list(range(len(labels)))
    assert all(folds[unit] in allowed for unit, allowed in steps)
    # Many steps leave nothing to chance.
    assert np.mean([len(allowed) == 1 for _, allowed in steps]) > 0.4


def test_labels_spread_better_than_by_chance():
    labels, rng = random_labels(400), np.random.default_rng(0)

    def unevenness(folds):
        shares = np.array([labels[folds == fold].mean(axis=0) for fold in range(5)])
        return np.abs(shares / labels.mean(axis=0) - 1).mean()

    ours = unevenness(iterative_stratification(labels, np.ones(400, np.int64), num_folds=5, seed=0))
    chance = np.mean([unevenness(rng.integers(0, 5, 400)) for _ in range(20)])
    assert ours < 0.2 * chance


def test_heavy_units_come_first_so_that_folds_are_equally_heavy():
    sizes = np.array([8, 5, 4, 3, 3, 1])
    folds = iterative_stratification(sizes[:, None].copy(), sizes, num_folds=3, seed=0)
    assert np.bincount(folds, sizes).tolist() == [8, 8, 8]


def test_no_fold_is_empty_and_the_seed_decides():
    labels = random_labels(7, 2)
    sizes = np.arange(1, 8)
    folds = iterative_stratification(labels, sizes, num_folds=7, seed=1)
    assert sorted(folds) == list(range(7))
    again = iterative_stratification(labels, sizes, num_folds=7, seed=1)
    np.testing.assert_array_equal(folds, again)
    others = [iterative_stratification(labels, sizes, num_folds=7, seed=s) for s in range(2, 6)]
    assert any((other != folds).any() for other in others)


def test_units_stay_whole_and_weigh_as_many_compounds_as_they_have(planted):
    units = [str(int(group[1:]) // 2) for group in planted.groups]
    folds = multilabel_folds(planted.labels, planted.groups, units, num_folds=5, seed=0)
    fold_of = collections.defaultdict(set)
    for unit, fold in zip(units, folds, strict=True):
        fold_of[unit].add(fold)
    assert all(len(found) == 1 for found in fold_of.values())
    compounds = [
        len({g for g, f in zip(planted.groups, folds, strict=True) if f == fold})
        for fold in range(5)
    ]
    assert compounds == [8] * 5
    # More signatures of a compound do not make it heavier.
    twice = np.repeat(np.arange(planted.num_examples), 2)
    repeated = multilabel_folds(
        planted.labels[twice],
        [planted.groups[row] for row in twice],
        [units[row] for row in twice],
        num_folds=5,
        seed=0,
    )
    np.testing.assert_array_equal(repeated, folds[twice])


@pytest.mark.parametrize("num_folds", [1, 5])
def test_more_folds_than_units_are_refused(num_folds):
    with pytest.raises(InputError, match=f"4 units cannot be split into {num_folds} folds"):
        iterative_stratification(
            np.ones((4, 1), np.int64), np.ones(4, np.int64), num_folds=num_folds, seed=0
        )
