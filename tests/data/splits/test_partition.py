import dataclasses

import numpy as np

from moa_jax.data.splits.partition import (
    both_releases,
    partition_by_rule,
    partition_examples,
    train_and_validation,
)
from moa_jax.data.splits.rules import make_split
from tests.data.splits.split_sets import (
    MOLECULES,
    keys_in,
    screen_examples,
    structure_only_examples,
)

SCREEN = screen_examples()
SPLIT = make_split("compound", SCREEN, fold=1, num_folds=4, seed=3, validation_fraction=0.25)


def test_each_example_is_in_the_part_of_its_compound():
    parts = partition_examples(SPLIT, SCREEN)
    assert list(parts) == ["train", "validation", "test"]
    for part, found in parts.items():
        assert sorted(set(found.table["pert_id"])) == keys_in(SPLIT, part)
    learned = train_and_validation(parts)
    assert learned.num_examples + parts["test"].num_examples == SCREEN.num_examples
    assert learned.groups == parts["train"].groups + parts["validation"].groups


def test_a_rule_partitions_as_its_split_does():
    parts = partition_by_rule(
        "compound", SCREEN, fold=1, num_folds=4, seed=3, validation_fraction=0.25
    )
    for part, expected in partition_examples(SPLIT, SCREEN).items():
        assert parts[part].table.equals(expected.table)


def test_structures_of_other_parts_do_not_join_the_training_part():
    held_out = keys_in(SPLIT, "test")[0]
    structures = structure_only_examples(SCREEN, ["Brc1ccccc1CCBr", MOLECULES[int(held_out[1:])]])
    plain = partition_examples(SPLIT, SCREEN)
    parts = partition_examples(SPLIT, SCREEN, structures=structures)
    added = parts["train"].take(np.arange(plain["train"].num_examples, parts["train"].num_examples))
    assert added.smiles == ("Brc1ccccc1CCBr",)
    assert not added.has_expression.any()
    assert parts["test"].table.equals(plain["test"].table)


def test_another_release_is_the_test_part_whatever_genes_it_measures():
    other = dataclasses.replace(SCREEN, gene_mask=np.array([True, True, True, False]))
    assert partition_examples(SPLIT, SCREEN, test_release=other)["test"] is other
    both = both_releases(SCREEN, other)
    assert both.num_examples == 2 * SCREEN.num_examples
    assert both.gene_mask.all()
    assert both_releases(SCREEN, None) is SCREEN
