import numpy as np
import pandas as pd
import pytest

from moa_jax.explanation.evidence.gene_sets import GeneSets, joined, listed_sets, term_sets
from moa_jax.schemas import InputError
from tests.small_sets import knowledge_graph
from tests.synthetic import make_knowledge_graph

TABLE = pd.DataFrame(
    [("reactome", "R-1", "first", ("100", "102", "9")), ("hallmark", "H", "second", ("9",))],
    columns=["collection", "set_id", "name", "genes"],
)


def test_listed_sets_keep_the_genes_of_the_background():
    sets = listed_sets(TABLE, ["102", "101", "100"])
    np.testing.assert_array_equal(sets.members, [[True, False, True], [False, False, False]])
    assert sets.sizes.tolist() == [2, 0]
    kept = sets.of_size(1, 2)
    assert (kept.ids, kept.names, kept.collection) == (("R-1",), ("first",), ("reactome",))


def test_terms_have_the_genes_of_the_terms_below_them():
    # Genes 0 and 1 are annotated with the second and third term, whose parent is the first.
    sets = term_sets(knowledge_graph(4))
    np.testing.assert_array_equal(
        sets.members,
        [[True, True, False, False], [True, False, False, False], [False, True, False, False]],
    )
    assert sets.collection == ("go biological process",) * 3
    assert sets.ids[0] == "GO:0000001"


def test_terms_follow_part_of_too():
    # Annotated: 0, 1 -> term 0; 2 -> 1; 5 -> 2; 6 -> 1. Terms 0 and 1 are kinds of 2, 2 part of 3.
    graph = make_knowledge_graph()
    # Genes 5 and 6 are not measured.
    measured = [[0, 1], [2], [0, 1, 2], [0, 1, 2]]
    assert [np.flatnonzero(row).tolist() for row in term_sets(graph).members] == measured


def test_sets_are_joined_in_order():
    first, second = listed_sets(TABLE, ["100", "9"]), term_sets(knowledge_graph(2))
    both = joined(first, second)
    assert both.num_sets == 5
    assert both.ids == (*first.ids, *second.ids)
    np.testing.assert_array_equal(both.members[2:], second.members)


def test_parts_of_other_lengths_are_refused():
    with pytest.raises(InputError, match=r"gene sets have the lengths \[1, 2\]"):
        GeneSets(("a",), ("1",), ("x", "y"), np.zeros((1, 3), bool))
