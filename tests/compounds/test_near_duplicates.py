import pytest

from moa_jax.compounds.near_duplicates import near_duplicates
from moa_jax.compounds.structures import standardise
from tests.small_sets import ALCOHOLS

# One chain with fluorine and chlorine; in the second, chlorine is one carbon further out. No
# environment of two bonds reaches from one end of these chains to the next substituent.
FAR_APART = ("CCCCCC(F)CCCCCCC(Cl)CCCCCC", "CCCCCC(F)CCCCCCCC(Cl)CCCCC")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("C[C@H](O)C(=O)O", "C[C@@H](O)C(=O)O"),
        ("CC(O)C(=O)[O-].[Na+]", "C[C@H](O)C(=O)O"),
        ("CN(C)CCOC(c1ccccc1)c1ccccc1.Cl", "C[NH+](C)CCOC(c1ccccc1)c1ccccc1"),
        ("C/C=C/C", "C/C=C\\C"),
        FAR_APART,
    ],
)
def test_what_a_fingerprint_cannot_tell_apart_is_one(first, second):
    found = near_duplicates([first, None, second, "CCCCN"])
    assert found[0] == found[2]
    assert found[1] is None
    assert found[3] == "CCCCN"
    assert near_duplicates([second, first]) == [found[0]] * 2


def test_far_regioisomers_are_not_found_by_inchi():
    blocks = {standardise(smiles).inchi_block for smiles in FAR_APART}
    assert len(blocks) == 2


def test_homologous_chains_are_different_compounds():
    """A fingerprint of bits is equal from heptanol on."""
    assert near_duplicates(ALCOHOLS[4:]) == list(ALCOHOLS[4:])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Clc1ccccc1C(=O)O", "Clc1cccc(c1)C(=O)O"),
        ("c1ccc(cc1)-c1ccc(cc1)-c1ccccc1", "c1ccc(cc1)-c1cccc(c1)-c1ccccc1"),
        ("CCOCCOCCO", "CCOCCOCCOCCO"),
    ],
)
def test_analogues_are_different_compounds(first, second):
    assert len(set(near_duplicates([first, second]))) == 2


@pytest.mark.parametrize("smiles", ["not a molecule", "", "[Na+].[Cl-]"])
def test_what_is_no_structure_is_no_duplicate(smiles):
    assert near_duplicates([smiles, "CCCCN"]) == [None, "CCCCN"]
