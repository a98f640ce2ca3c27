import dataclasses

import numpy as np
import pytest

from moa_jax.data.examples.build import build_examples, structure_only_compounds
from moa_jax.data.examples.labels import strata
from moa_jax.data.splits.unlabelled import LABELLED_SOURCES, unlabelled_examples
from moa_jax.schemas import Examples, InputError, concatenate
from tests.small_sets import dataset, examples

COMPOUNDS = [
    ("P1", "A", "CO", ("x", "y")),
    ("P2", "B", "CCO", ("x",)),
    ("P3", "B", "CCO", ("x", "z")),
    ("P4", "C", None, ("z",)),
    ("P5", "D", "CCCO", ()),
    ("P6", "E", "CCCCO", ("w",)),
]
PERT_IDS = ["P3", "P1", "P9", "P4", "P5", "P2", "P6", "P1"]


def test_the_vocabulary_counts_compounds_not_signatures():
    small = dataset(COMPOUNDS, PERT_IDS)
    built = build_examples(small, min_compounds=2)
    # x: groups A and B; y: A alone, twice; z: B alone, since C has no structure; w: E alone.
    assert built.moas == ("x",)
    rows = [0, 1, 5, 7]
    assert built.table["sig_id"].tolist() == [f"SIG{row}" for row in rows]
    assert built.groups == ("B", "A", "B", "A")
    assert built.smiles == ("CCO", "CO", "CCO", "CO")
    np.testing.assert_array_equal(built.expression, small.signatures.expression[rows])
    np.testing.assert_array_equal(built.labels, np.ones((4, 1)))
    assert built.has_expression.all()
    assert built.gene_mask.all()
    assert built.has_structure.all()


def test_the_open_vocabulary_has_what_can_be_learned_by_signature_or_structure():
    rows = [
        *COMPOUNDS,
        # Not measured: a mechanism of its own, one in another case, and one without a structure.
        ("P7", "F", "CCCCCO", ("only by structure",)),
        ("P8", "G", "CCCCCCO", ("X", "x")),
        ("P9", "H", None, ("nowhere",)),
    ]
    small = dataset(rows, [row for row in PERT_IDS if row != "P9"])
    built = build_examples(small, vocabulary="open", min_compounds=99)
    # z: B is measured, and C has no structure, as P9; the measured spelling of x is kept.
    assert built.moas == ("only by structure", "w", "x", "y", "z")
    assert built.table["pert_id"].tolist() == ["P3", "P1", "P2", "P6", "P1"]
    np.testing.assert_array_equal(
        built.labels,
        [[0, 0, 1, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]],
    )
    assert not built.has_other_moas.any()
    further = structure_only_compounds(small, built)
    assert further.table["pert_id"].tolist() == ["P7", "P8"]
    np.testing.assert_array_equal(further.labels, [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0]])
    with pytest.raises(InputError, match="the vocabulary is 'wide', expected open or frequent"):
        build_examples(small, vocabulary="wide")


def test_mechanisms_outside_the_vocabulary_are_remembered():
    small = dataset(COMPOUNDS, PERT_IDS)
    built = build_examples(small, min_compounds=2)
    assert built.moas == ("x",)
    assert built.other_moas == (("z",), ("y",), (), ("y",))
    np.testing.assert_array_equal(built.has_other_moas, [True, True, False, True])
    taken = built.take(np.array([2, 0]))
    assert taken.other_moas == ((), ("z",))
    bare = dataclasses.replace(taken, other_moas=None)
    assert not bare.has_other_moas.any()
    assert concatenate(bare, taken).other_moas == ((), (), (), ("z",))
    unlabelled = unlabelled_examples(small, built, LABELLED_SOURCES)
    known = dict(zip(unlabelled.table["pert_id"], unlabelled.other_moas, strict=True))
    # P4 and P6 have mechanisms that no compound of the vocabulary has, P5 has none.
    assert known == {"P4": ("z",), "P5": (), "P6": ("w",)}
    with pytest.raises(InputError, match="other_moas has size 1, expected 2"):
        dataclasses.replace(taken, other_moas=((),))


def test_too_rare_moas_are_refused():
    with pytest.raises(InputError, match=r"no MoA has at least 3 compounds .* 5 labelled .* has 2"):
        build_examples(dataset(COMPOUNDS, PERT_IDS), min_compounds=3)
    with pytest.raises(InputError, match=r"no MoA has at least 1 compounds .* 0 labelled .* has 0"):
        build_examples(dataset(COMPOUNDS, ["P5"]), min_compounds=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    small = dataset(COMPOUNDS, PERT_IDS)
    small.signatures.expression[2, 0] = value  # P9 has no label, so it is not read.
    build_examples(small, min_compounds=2)
    small.signatures.expression[5, 3] = value
    with pytest.raises(InputError, match=f"SIG5 has the value {value} for the gene GENE3"):
        build_examples(small, min_compounds=2)


def test_a_compound_without_group_is_refused():
    compounds = [("P1", None, "CO", ("x",)), ("P2", "B", "CCO", ("x",))]
    with pytest.raises(InputError, match="gives P1 no compound_group"):
        build_examples(dataset(compounds, ["P1", "P2"]), min_compounds=1)


def test_take_and_concatenate_are_inverse():
    built = build_examples(dataset(COMPOUNDS, PERT_IDS), min_compounds=2)
    taken = built.take(np.array([2, 0]))
    assert taken.table["pert_id"].tolist() == ["P2", "P3"]
    assert taken.table.index.tolist() == [0, 1]
    assert taken.num_examples == 2
    np.testing.assert_array_equal(taken.expression, built.expression[[2, 0]])
    joined = concatenate(built.take(np.array([0, 1])), built.take(np.array([2, 3])))
    assert joined.table.equals(built.table)
    assert (joined.smiles, joined.groups, joined.moas) == (built.smiles, built.groups, built.moas)
    np.testing.assert_array_equal(joined.expression, built.expression)
    empty = built.take(np.array([], int))
    assert empty.num_examples == 0
    assert concatenate(built, empty).table.equals(built.table)
    assert concatenate(empty, empty).num_examples == 0


def test_other_vocabularies_are_not_joined():
    first = examples([[1.0]], ["A"], moas=["x"])
    with pytest.raises(InputError, match="different MoAs or genes"):
        concatenate(first, examples([[1.0]], ["A"], moas=["y"]))


def test_sizes_are_checked():
    with pytest.raises(InputError, match="groups has size 1, expected 2"):
        dataclasses.replace(examples(np.eye(2), ["A", "B"]), groups=("A",))


def test_the_stratum_is_the_moa_of_most_compounds():
    labels = [[1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]]
    # By signatures 0 and 1 have three each; by compounds 0 has three and 1 has two.
    built = examples(labels, ["A", "B", "B", "C", "D"])
    np.testing.assert_array_equal(strata(built), [0, 1, 1, 0, 0])


def test_equally_frequent_moas_go_by_the_vocabulary():
    np.testing.assert_array_equal(strata(examples([[0, 1, 1], [1, 0, 0]], ["A", "B"])), [1, 0])


def test_a_group_counts_once_over_its_differing_labels():
    # Group A has MoA 1 in one of its rows only, so MoA 1 has compounds A, B and MoA 0 has A.
    built = examples([[1, 0], [1, 1], [0, 1]], ["A", "A", "B"])
    np.testing.assert_array_equal(strata(built), [0, 1, 1])


def test_no_label_means_no_stratum():
    with pytest.raises(InputError, match="SIG1 has no label"):
        strata(examples([[1.0], [0.0]], ["A", "B"]))


def test_structure_only_compounds_are_other_compounds():
    rows = [
        *COMPOUNDS,
        # Of P1's group, of P2's name, of P1's InChIKey block.
        ("P7", "A", "CCCCCO", ("x",)),
        ("P8", "F", "CCCCCCO", ("x",)),
        ("P10", "G", "CCCCCCCO", ("x",)),
        # One structure of one compound twice, an isomer of it, no known MoA, no structure.
        ("P12", "H", "CC(O)CC", ("X",)),
        ("P13", "H", "CC(O)CC", ("z", "unknown")),
        ("P14", "H", "C[C@H](O)CC", ("x",)),
        ("P15", "I", "CCOC", ("unknown",)),
        ("P16", "J", None, ("x",)),
    ]
    small = dataset(rows, PERT_IDS)
    table = small.compounds.table
    table.loc[table["pert_id"] == "P8", "compound"] = "Compound_P2"
    table.loc[table["pert_id"].isin(["P1", "P10"]), "inchi_key"] = "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"
    built = build_examples(small, min_compounds=1)
    assert built.moas == ("w", "x", "y", "z")
    further = structure_only_compounds(small, built)
    assert further.table["sig_id"].tolist() == ["structure:P12", "structure:P14"]
    assert further.table["pert_id"].tolist() == ["P12", "P14"]
    assert further.table["compound"].tolist() == ["compound P12", "compound P14"]
    assert further.table.drop(columns=["sig_id", "pert_id", "compound"]).isna().all(axis=None)
    assert further.groups == ("H", "H")
    assert further.smiles == ("CC(O)CC", "C[C@H](O)CC")
    # `X` is `x` in another case.
    np.testing.assert_array_equal(further.labels, [[0, 1, 0, 1], [0, 1, 0, 0]])
    assert not further.has_expression.any()
    assert not further.expression.any()
    joined = concatenate(built, further)
    assert joined.num_examples == built.num_examples + 2


def test_no_structure_only_compounds():
    small = dataset(COMPOUNDS[:3], ["P1", "P2", "P3"])
    built = build_examples(small, min_compounds=1)
    none = structure_only_compounds(small, built)
    assert none.num_examples == 0
    joined = concatenate(built, none)
    np.testing.assert_array_equal(joined.labels, built.labels)
    assert joined.table["sig_id"].tolist() == built.table["sig_id"].tolist()


def test_signatures_that_tell_nothing_else_are_unlabelled_and_without_structure():
    table = examples(np.eye(2), ["A", "B"]).table
    made = Examples.of_signatures(
        np.ones((2, 3), np.float32), table, groups=["A", "B"], moas=("x",), smiles=["CO", np.nan]
    )
    assert made.has_expression.all()
    assert made.gene_mask.tolist() == [True] * 3
    assert made.smiles == ("CO", None)
    assert made.targets == ((), ())
    np.testing.assert_array_equal(made.labels, [[0], [0]])


def test_structures_alone_have_zero_expression_that_is_masked():
    table = examples(np.eye(2), ["A", "B"]).table
    made = Examples.of_structures(
        ["CO", None],
        table,
        groups=["A", "B"],
        moas=("x",),
        gene_mask=np.array([True, False]),
        targets=[["T1"], []],
        labels=np.array([[1], [0]], np.float32),
    )
    assert not made.has_expression.any()
    np.testing.assert_array_equal(made.expression, np.zeros((2, 2)))
    assert made.gene_mask.tolist() == [True, False]
    assert made.targets == (("T1",), ())
    assert made.has_structure.tolist() == [True, False]
    np.testing.assert_array_equal(made.labels, [[1], [0]])
