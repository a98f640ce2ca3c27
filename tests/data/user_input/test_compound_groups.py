"""One group per drug, whatever ids, salts and stereoisomers it comes as."""

import dataclasses

import pytest

from moa_jax.compounds.structures import standardise
from moa_jax.data.user_input.compound_groups import one_group_per_drug
from tests.synthetic import make_raw_examples

S_IBUPROFEN = "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"
R_IBUPROFEN_SODIUM = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)[O-].[Na+]"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
PHENOL, ANILINE = "Oc1ccccc1", "Nc1ccccc1"


def examples_of(*compounds):
    """One signature for each (pert_id, name, SMILES)."""
    examples = make_raw_examples(len(compounds))
    pert_ids, names, smiles = zip(*compounds, strict=True)
    table = examples.table.assign(pert_id=pert_ids, compound=list(names))
    parents = tuple(None if text is None else standardise(text).smiles for text in smiles)
    return dataclasses.replace(examples, table=table, smiles=parents, groups=pert_ids)


@pytest.mark.parametrize(
    ("compounds", "groups"),
    [
        # Salt and stereoisomer, under other names.
        (
            [("B", "dexibuprofen", S_IBUPROFEN), ("A", "IBU", R_IBUPROFEN_SODIUM)],
            ["A|B", "A|B"],
        ),
        # A name however it is written, where one id has no structure.
        ([("A", "AST-1306", ASPIRIN), ("B", "ast 1306", None)], ["A|B", "A|B"]),
        # Structure and name link through a third id.
        (
            [("A", "x", ASPIRIN), ("B", "y", ASPIRIN), ("C", "y", None), ("D", "z", None)],
            ["A|B|C", "A|B|C", "A|B|C", "D"],
        ),
        # No name and no structure: every id for itself, and one id is one compound.
        ([("A", None, None), ("B", None, None), ("A", None, None)], ["A", "B", "A"]),
        # Two samples of one Broad compound, in any case.
        (
            [("BRD-K12343256-001-02-6", None, None), ("brd-k12343256-001-08-3", None, None)],
            ["BRD-K12343256-001-02-6|brd-k12343256-001-08-3"] * 2,
        ),
        # What three structures are called is no name.
        (
            [("A", "drug", ASPIRIN), ("B", "drug", PHENOL), ("C", "drug", ANILINE)],
            ["A", "B", "C"],
        ),
    ],
)
def test_ids_of_one_drug_are_one_group(compounds, groups):
    found = one_group_per_drug(examples_of(*compounds))
    assert list(found.groups) == groups
    # Signature tables keep their own ids.
    assert found.table["pert_id"].tolist() == [pert_id for pert_id, _, _ in compounds]
    backwards = one_group_per_drug(examples_of(*compounds[::-1]))
    assert list(backwards.groups) == groups[::-1]


def test_a_drug_lends_its_structure_to_all_its_ids():
    found = one_group_per_drug(examples_of(("A", "aspirin", ASPIRIN), ("B", "Aspirin", None)))
    assert found.smiles == (standardise(ASPIRIN).smiles,) * 2
