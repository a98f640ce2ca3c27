import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moa_jax.compounds.identity import (
    compound_groups,
    inchi_block,
    normalise_inchi_key,
    normalise_name,
)
from moa_jax.compounds.tables import read_compound_table


def key(letter, stereo="U"):
    return f"{letter * 14}-{stereo}HFFFAOYSA-N"


@pytest.mark.parametrize("name", ["AST1306", "AST-1306", "ast 1306", " Ast\u20111306_ "])
def test_spellings_of_one_name(name):
    assert normalise_name(name) == "ast1306"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ACM-1-102", "ACM-110-2"),
        ("(+)-JQ1", "(-)-JQ1"),
        ("(R)-rolipram", "(S)-rolipram"),
        ("vitamin D2", "vitamin D3"),
    ],
)
def test_different_names_stay_different(left, right):
    assert normalise_name(left) != normalise_name(right)


@pytest.mark.parametrize("name", [None, "", " ", "-"])
def test_no_name(name):
    assert normalise_name(name) == ""


@given(st.text())
def test_normalising_twice_changes_nothing(name):
    assert normalise_name(normalise_name(name)) == normalise_name(name)


def test_inchi_keys():
    aspirin = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
    inchi = "InChI=1S/C9H8O4/c1-6(10)13-8-5-3-2-4-7(8)9(11)12/h2-5H,1H3,(H,11,12)"
    assert normalise_inchi_key(f" {aspirin} ") == aspirin
    assert normalise_inchi_key(inchi) == aspirin
    for text in (None, "", "InChI=nonsense", "restricted", aspirin[:14], aspirin.lower()):
        assert normalise_inchi_key(text) is None
    assert inchi_block(aspirin) == inchi_block(aspirin[:14]) == "BSYNRYMUTXBXSQ"
    for text in (None, "", "restricted", "NAME:aspirin"):
        assert inchi_block(text) is None


def test_groups_are_the_union_of_block_and_name():
    groups = compound_groups(
        [key("B"), key("B", "Z"), None, key("A"), None, None, None, None],
        ["one", "two", "Two", "t-wo", "Three", "THREE", None, "four"],
    )
    assert groups == ["A" * 14] * 4 + ["THREE", "THREE", "row 6", "four"]


def test_a_late_row_joins_two_groups():
    keys = [key("C"), key("D"), None, key("C")]
    assert compound_groups(keys, ["x", "y", "y", "Y"]) == ["C" * 14] * 4


def test_a_block_groups_like_its_key():
    assert compound_groups(["E" * 14, key("E")], ["a", "b"]) == ["E" * 14] * 2


def test_no_rows():
    assert compound_groups([], []) == []


rows = st.lists(
    st.tuples(
        st.sampled_from([None, *(key(letter) for letter in "ABCDE")]),
        st.sampled_from(["a", "b", "C", "c", "d-1", "d1", "e"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(rows, st.integers(0, 2**32 - 1))
def test_groups_do_not_depend_on_the_order_of_rows(rows, seed):
    groups = compound_groups([row[0] for row in rows], [row[1] for row in rows])
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = compound_groups([rows[i][0] for i in order], [rows[i][1] for i in order])
    assert shuffled == [groups[i] for i in order]


@settings(deadline=None)
@given(rows)
def test_groups_are_the_connected_components(rows):
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph()
    for row, (inchi_key, name) in enumerate(rows):
        graph.add_edge(row, ("name", normalise_name(name)))
        if inchi_key:
            graph.add_edge(row, ("block", inchi_key[:14]))
    expected = {
        frozenset(node for node in part if isinstance(node, int))
        for part in networkx.connected_components(graph)
    }
    groups = compound_groups([row[0] for row in rows], [row[1] for row in rows])
    members = {}
    for row, group in enumerate(groups):
        members.setdefault(group, set()).add(row)
    assert {frozenset(part) for part in members.values()} == expected


def test_real_groups(real_data):
    """Ours are the published groups, joined further by 14 names that differ in separators."""
    table = read_compound_table(real_data / "compounds" / "compounds.tsv")
    ours = compound_groups(list(table["inchi_key"]), list(table["compound"]))
    published = table["compound_group"]
    assert pd.Series(ours).groupby(published).nunique().max() == 1
    joined = published.groupby(ours).unique()
    joined = joined[joined.str.len() > 1]
    assert len(joined) == 14
    assert all(len(part) == 2 and part[1].startswith("NAME:") for part in joined)
    assert ("YABJJWZLRMPFSI", "NAME:RAF 265") in {tuple(part) for part in joined}
