import dataclasses

import numpy as np
import pytest

from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Tested
from moa_jax.benchmark.perturbations.training_perturbations import (
    SIMILARITY_TEMPERATURE,
    TrainingPerturbation,
    perturb_training,
    training_perturbations,
)
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.knowledge.controls import rewire_interactions, shuffle_annotations
from moa_jax.schemas import InputError, concatenate
from tests.small_sets import ALCOHOLS, edge_set, examples, knowledge_graph

NUM_MOAS = 5
OF_LABELS = {"shuffled_labels": 0.0, "uniform_labels": 0.4, "confusable_labels": 0.4}


def parts(num_compounds=100, num_signatures=2, num_validation=20, num_moas=NUM_MOAS):
    """MoAs 0 and 1 look alike in expression, the others do not; MoA 4 is rare."""
    moa = np.arange(num_compounds) % (num_moas - 1)
    moa[::25] = num_moas - 1
    centroids = np.eye(num_moas, num_moas + 3) * 4
    centroids[1] = centroids[0] + 0.5 * centroids[1]
    compound = np.repeat(np.arange(num_compounds), num_signatures)
    rng = np.random.default_rng(0)
    expression = centroids[moa[compound]]
    everything = examples(
        np.eye(num_moas)[moa[compound]],
        [f"G{row:03d}" for row in compound],
        expression=expression + 0.3 * rng.normal(size=expression.shape),
        smiles=[ALCOHOLS[row % 40] for row in compound],
    )
    validation = np.arange(len(compound)) >= (num_compounds - num_validation) * num_signatures
    return everything.take(np.flatnonzero(~validation)), everything.take(np.flatnonzero(validation))


def altered(kind, level=0.0, *, seed=0, given=None):
    train, validation = parts() if given is None else given
    return perturb_training(TrainingPerturbation(kind, level), train, validation, GRAPH, seed=seed)


def labels_of(train, validation):
    both = concatenate(train, validation)
    _, labels, groups = pool_by_compound(both.labels, both.labels, both.groups)
    return dict(zip(groups, labels, strict=True))


GRAPH = dataclasses.replace(
    knowledge_graph(12),
    interacts=edge_set([pair for a in range(11) for pair in ((a, a + 1), (a + 1, a))]),
    annotated_to=edge_set([(gene, gene % 3) for gene in range(12)], evidence=("IDA",) * 12),
)


def test_names_and_config():
    found = training_perturbations({"clean": (), "compounds": (0.5, 0.25), "rewired_string": ()})
    assert [perturbation.name for perturbation in found] == [
        "clean",
        "compounds_0.25",
        "compounds_0.5",
        "rewired_string",
    ]
    with pytest.raises(InputError, match="no training perturbation 'gaussian'"):
        training_perturbations({"gaussian": (1.0,)})
    with pytest.raises(InputError, match=r"uniform_labels has the level 1\.5"):
        TrainingPerturbation("uniform_labels", 1.5)


def test_what_was_not_there_in_training_is_not_there_in_the_test():
    assert TrainingPerturbation("without_expression").tested_under == Tested("expression_absent")
    assert TrainingPerturbation("without_structure").tested_under == Tested("structure_absent")
    assert TrainingPerturbation("uniform_labels", 0.1).tested_under == Tested("clean")


def test_clean_changes_nothing():
    train, validation = parts()
    result = perturb_training(TrainingPerturbation("clean"), train, validation, GRAPH, seed=0)
    assert result == (train, validation, GRAPH)


@pytest.mark.parametrize("kind", OF_LABELS)
def test_labels_change_by_whole_compounds_and_nothing_else_does(kind):
    before = parts()
    after = altered(kind, OF_LABELS[kind])
    assert after[2] is GRAPH
    for old, new in zip(before, after, strict=False):
        assert new.groups == old.groups
        np.testing.assert_array_equal(new.expression, old.expression)
        assert new.labels.dtype == np.float32
        assert new.labels.any(axis=1).all()
        rows_of = dict(zip(new.groups, new.labels, strict=True))
        assert all(
            (rows_of[group] == row).all() for group, row in zip(new.groups, new.labels, strict=True)
        )
        assert not np.array_equal(new.labels, old.labels)
    again = altered(kind, OF_LABELS[kind])
    other = altered(kind, OF_LABELS[kind], seed=1)
    assert np.array_equal(again[0].labels, after[0].labels)
    assert not np.array_equal(other[0].labels, after[0].labels)


@pytest.mark.parametrize("kind", [*OF_LABELS, "compounds"])
def test_the_order_of_the_rows_changes_nothing(kind):
    train, validation = parts()
    order = np.random.default_rng(0).permutation(train.num_examples)
    level = OF_LABELS.get(kind, 0.4)
    plain = altered(kind, level)[0]
    turned = altered(kind, level, given=(train.take(order), validation))[0]
    by_id = dict(zip(plain.table["sig_id"], plain.labels, strict=True))
    assert set(turned.table["sig_id"]) == set(by_id)
    for sig_id, row in zip(turned.table["sig_id"], turned.labels, strict=True):
        np.testing.assert_array_equal(row, by_id[sig_id])


def test_shuffled_labels_keep_every_label_set():
    before, after = labels_of(*parts()), labels_of(*altered("shuffled_labels")[:2])
    assert sorted(map(tuple, before.values())) == sorted(map(tuple, after.values()))
    kept = np.mean([(before[group] == after[group]).all() for group in before])
    # Chance: the sum of the squared frequencies of five label sets.
    assert kept == pytest.approx(4 * 0.24**2, abs=0.15)


def test_a_compound_in_both_parts_gets_one_label():
    """As under a split that leaks."""
    train, validation = parts()
    after = altered("uniform_labels", 0.5, given=(train, concatenate(validation, train)))
    expected = {group: tuple(row) for group, row in zip(train.groups, after[0].labels, strict=True)}
    found = {
        group: tuple(row)
        for group, row in zip(after[1].groups, after[1].labels, strict=True)
        if group in expected
    }
    assert found == expected


@pytest.mark.parametrize("kind", ["uniform_labels", "confusable_labels"])
def test_the_share_of_wrong_compounds_is_exact_and_nested(kind):
    before = labels_of(*parts())
    wrong = {}
    for level in (0.1, 0.4, 1.0):
        after = labels_of(*altered(kind, level)[:2])
        wrong[level] = {
            group: int(after[group].argmax())
            for group in before
            if not np.array_equal(before[group], after[group])
        }
        assert len(wrong[level]) == 100 * level
        assert all(after[group].sum() == 1 for group in wrong[level])
        assert all(before[group][moa] == 0 for group, moa in wrong[level].items())
    assert wrong[0.1].items() <= wrong[0.4].items() <= wrong[1.0].items()


def test_both_kinds_of_wrong_labels_strike_the_same_compounds():
    before = labels_of(*parts())
    mislabelled = [
        {
            group
            for group, row in labels_of(*altered(kind, 0.3)[:2]).items()
            if not np.array_equal(row, before[group])
        }
        for kind in ("uniform_labels", "confusable_labels")
    ]
    assert mislabelled[0] == mislabelled[1]


def test_uniform_labels_are_uniform_and_confusable_ones_look_alike():
    before = labels_of(*parts(num_compounds=400))
    first = [group for group, row in before.items() if row[0]]
    counts = {}
    for kind in ("uniform_labels", "confusable_labels"):
        after = labels_of(*altered(kind, 1.0, given=parts(num_compounds=400))[:2])
        counts[kind] = np.mean([after[group] for group in first], axis=0)
    np.testing.assert_allclose(counts["uniform_labels"], [0, 0.25, 0.25, 0.25, 0.25], atol=0.12)
    # MoA 1 has a cosine near 0.9 with MoA 0, the others below 0: more than e^5 times as likely.
    assert SIMILARITY_TEMPERATURE == 0.1
    assert counts["confusable_labels"][1] > 0.98


def test_confusion_is_learned_from_the_training_signatures_alone():
    train, validation = parts()
    noise = np.random.default_rng(1).normal(size=validation.expression.shape)
    other = dataclasses.replace(validation, expression=noise.astype(np.float32))
    plain = altered("confusable_labels", 1.0, given=(train, validation))
    changed = altered("confusable_labels", 1.0, given=(train, other))
    for place in (0, 1):
        np.testing.assert_array_equal(plain[place].labels, changed[place].labels)


def test_without_expression_confusable_labels_are_uniform():
    bare = tuple(
        dataclasses.replace(part, has_expression=np.zeros(part.num_examples, bool))
        for part in parts()
    )
    confusable = altered("confusable_labels", 0.5, given=bare)[0]
    uniform = altered("uniform_labels", 0.5, given=bare)[0]
    np.testing.assert_array_equal(confusable.labels, uniform.labels)


def test_a_compound_with_every_moa_keeps_its_labels():
    train, validation = parts()
    labels = train.labels.copy()
    labels[:4] = 1
    given = (dataclasses.replace(train, labels=labels), validation)
    after = altered("uniform_labels", 1.0, given=given)[0]
    assert after.labels[:4].all()
    assert (after.labels[4:].sum(axis=1) == 1).all()


def test_one_moa_has_no_wrong_one():
    only = examples(np.ones((4, 1)), list("abcd"))
    with pytest.raises(InputError, match="at least two MoAs; found 1"):
        altered("uniform_labels", 0.5, given=(only, only.take(np.arange(0))))


def test_the_learning_curve_is_nested_stratified_and_covers_every_moa():
    train, _ = parts()
    kept = {}
    for level in (0.1, 0.2, 0.5, 1.0):
        fewer, fewer_validation, graph = altered("compounds", level)
        assert graph is GRAPH
        kept[level] = set(fewer.groups)
        assert len(kept[level]) == round(80 * level)
        assert len(set(fewer_validation.groups)) == round(20 * level)
        # Whole compounds stay.
        assert fewer.num_examples == 2 * len(kept[level])
        assert (fewer.labels.sum(axis=0) > 0).all(), "an MoA was lost"
    assert kept[0.1] < kept[0.2] < kept[0.5] < kept[1.0] == set(train.groups)
    assert set(altered("compounds", 0.5, seed=1)[0].groups) != kept[0.5]
    share = altered("compounds", 0.5)[0].labels.sum(axis=0) / train.labels.sum(axis=0)
    np.testing.assert_allclose(share, 0.5, atol=0.11)


def test_the_learning_curve_keeps_one_compound_and_an_empty_part():
    train, validation = parts()
    fewer, nothing, _ = altered("compounds", 0.001, given=(train, validation.take(np.arange(0))))
    assert len(set(fewer.groups)) == 1
    assert nothing.num_examples == 0


@pytest.mark.parametrize(
    ("kind", "control"),
    [("rewired_string", rewire_interactions), ("shuffled_annotations", shuffle_annotations)],
)
def test_the_graph_goes_through_the_controls_of_the_knowledge(kind, control):
    train, validation = parts()
    found = perturb_training(TrainingPerturbation(kind), train, validation, GRAPH, seed=3)
    assert found[0] is train
    assert found[1] is validation
    expected = control(GRAPH, seed=3)
    for name in ("interacts", "annotated_to"):
        for end in ("senders", "receivers"):
            np.testing.assert_array_equal(
                getattr(getattr(found[2], name), end), getattr(getattr(expected, name), end)
            )
    assert found[2] is not GRAPH


def test_a_modality_is_taken_from_both_parts():
    for part in altered("without_expression")[:2]:
        assert not part.has_expression.any()
        assert part.has_structure.all()
    for part in altered("without_structure")[:2]:
        assert part.has_expression.all()
        assert not part.has_structure.any()
