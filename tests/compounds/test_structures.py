import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from moa_jax.compounds.salt_formers import ACIDS, BASES, MEDICINAL_ACIDS, tier
from moa_jax.compounds.structures import Rejection, Structure, standardise

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
DRUGS = (
    ASPIRIN,
    "CN(C)CCc1c[nH]c2ccc(C[C@H]3COC(=O)N3)cc12",
    "C[N+](C)(C)CCO",
    "O=[N+]([O-])c1ccccc1",
    "C/C(=C\\CO)C(=O)NO",
    "C[S@](=O)CCN",
    "C[C@H]1CC[C@@H](C)CC1",
    "O=C1NC(=O)c2ccccc21",
    "CC(=O)N[C@@H](CS)C(=O)O",
    "C[n+]1c2cc(N)ccc2cc2ccc(N)cc21",
    "B(O)(O)c1ccccc1",
    "[2H]C([2H])([2H])Oc1ccccc1",
)


def smiles_of(text):
    found = standardise(text)
    assert isinstance(found, Structure), found
    return found.smiles


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        ("[Na+].CC(=O)Oc1ccccc1C(=O)[O-]", ASPIRIN),
        ("[Na]OC(=O)c1ccccc1OC(C)=O", ASPIRIN),
        (f"{ASPIRIN}.CS(C)=O.O", ASPIRIN),
        (f"{ASPIRIN} acetylsalicylic acid", ASPIRIN),
        (f"{ASPIRIN} |c:6,8,t:4|", ASPIRIN),
        ("NCCc1ccc(O)c(O)c1.Cl", "NCCc1ccc(O)c(O)c1"),
        ("[NH3+]CCc1ccc(O)c(O)c1.[Cl-]", "NCCc1ccc(O)c(O)c1"),
        ("[NH3+][C@@H](C)C(=O)[O-]", "C[C@H](N)C(=O)O"),
        # The acid of these two salts has more atoms than the drug.
        ("CNC(C)CCC=C(C)C.CNC(C)CCC=C(C)C.O=C(O)C(O)C(O)C(O)C(O)C(=O)O", "CNC(C)CCC=C(C)C"),
        ("C1CNCCN1.[O-]C(=O)CC(O)(CC(O)=O)C(O)=O", "C1CNCCN1"),
        # A salt-forming acid alone is the compound.
        ("OC(=O)CC(O)(CC(O)=O)C(O)=O", "O=C(O)CC(O)(CC(=O)O)C(=O)O"),
        ("[Li+].OC(=O)c1ccccc1O", "O=C(O)c1ccccc1O"),
        # Salts whose acid is the drug, though the base has as many atoms or more.
        ("C[N+](C)(C)CCO.OC1=CC=CC=C1C([O-])=O", "O=C(O)c1ccccc1O"),
        ("OCCN(CCO)CCO.OC(=O)c1ccccc1O", "O=C(O)c1ccccc1O"),
        ("CNC[C@H](O)[C@@H](O)[C@H](O)[C@H](O)CO.OC(=O)c1ccccc1O", "O=C(O)c1ccccc1O"),
        (f"CNC[C@H](O)[C@@H](O)[C@H](O)[C@H](O)CO.{ASPIRIN}", ASPIRIN),
        ("NCCCC[C@H]([NH3+])C([O-])=O.CC(=O)Oc1ccccc1C([O-])=O", ASPIRIN),
        ("NC(=N)NCCC[C@H](N)C(O)=O.CC(C)Cc1ccc(cc1)C(C)C(O)=O", "CC(C)Cc1ccc(C(C)C(=O)O)cc1"),
        ("C[C@@H]1O[C@@H]1P(O)(O)=O.NC(CO)(CO)CO", "C[C@@H]1O[C@@H]1P(=O)(O)O"),
        ("NCCN.Cn1c2[nH]cnc2c(=O)n(C)c1=O", "Cn1c(=O)c2nc[nH]c2n(C)c1=O"),
        ("c1c[nH]cn1.OC(=O)c1ccccc1O", "O=C(O)c1ccccc1O"),
        ("CC(C)(C)NCC(O)COc1ccccc1.OC(=O)c1ccccc1O", "CC(C)(C)NCC(O)COc1ccccc1"),
        # Bases that are the drug beside a plain acid.
        ("C[N+](C)(C)CCO.OC(C(O)C([O-])=O)C(O)=O", "C[N+](C)(C)CCO"),
        ("C1CNCCN1.OC(=O)CCCCC(O)=O", "C1CNCCN1"),
        ("NCCC[C@H](N)C(O)=O.N[C@@H](CC(O)=O)C(O)=O", "NCCC[C@H](N)C(=O)O"),
        # Two sulfonates are called napsylate; both are larger than these drugs.
        ("CC(N)COc1c(C)cccc1C.OS(=O)(=O)c1ccc2ccccc2c1", "Cc1cccc(C)c1OCC(C)N"),
        ("NC12CC3CC(CC(C3)C1)C2.OS(=O)(=O)c1cccc2ccccc12", "NC12CC3CC(CC(C3)C1)C2"),
        ("C1N2CN3CN1CN(C2)C3.OC(=O)CNC(=O)c1ccccc1", "C1N2CN3CN1CN(C2)C3"),
        ("C1N2CN3CN1CN(C2)C3.OC(C(O)=O)c1ccccc1", "C1N2CN3CN1CN(C2)C3"),
        ("NC12CC3CC(CC(C3)C1)C2.O=C1NS(=O)(=O)c2ccccc12", "NC12CC3CC(CC(C3)C1)C2"),
        # A combination of two drugs is the larger one: dimenhydrinate.
        (
            "CN(C)CCOC(c1ccccc1)c1ccccc1.Cn1c(=O)c2nc(Cl)[nH]c2n(C)c1=O",
            "CN(C)CCOC(c1ccccc1)c1ccccc1",
        ),
        # A charge that no proton made stays.
        ("[Br-].C[N+](C)(C)CCO", "C[N+](C)(C)CCO"),
        # A racemate drawn as both enantiomers is one of them.
        ("C[C@H](N)c1ccccc1.C[C@@H](N)c1ccccc1", "C[C@@H](N)c1ccccc1"),
    ],
)
def test_parent_is_the_neutral_drug(text, parent):
    assert smiles_of(text) == Chem.CanonSmiles(parent)


def test_names_of_aspirin():
    assert standardise(ASPIRIN) == Structure(
        smiles=ASPIRIN,
        inchi_key="BSYNRYMUTXBXSQ-UHFFFAOYSA-N",
        inchi_block="BSYNRYMUTXBXSQ",
        scaffold="c1ccccc1",
    )


def test_scaffold_is_empty_for_acyclic_molecules_and_ignores_stereo():
    assert standardise("CCCCN").scaffold == ""
    assert standardise("C[C@H]1CC[C@@H](Cc2ccccn2)CC1").scaffold == "c1ccc(CC2CCCCC2)nc1"


def test_enantiomers_share_the_block_alone():
    left, right = standardise("C[C@H](N)C(=O)O"), standardise("C[C@@H](N)C(=O)O")
    assert left.smiles != right.smiles
    assert left.inchi_key != right.inchi_key
    assert left.inchi_block == right.inchi_block


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no structure"),
        ("", "no structure"),
        (" \t", "no structure"),
        ("|$;$|", "invalid SMILES"),
        ("not a molecule", "invalid SMILES"),
        ("restricted", "invalid SMILES"),
        ("c1cccc1", "invalid SMILES"),
        ("C(C)(C)(C)(C)C", "invalid SMILES"),
        ("C1CC", "invalid SMILES"),
        ("\ud800", "invalid SMILES"),
        ("*CC", "unspecified atom"),
        ("[Na+].[Cl-]", "only salt or solvent"),
        ("O.CCO", "only salt or solvent"),
        ("CS(C)=O.CS(C)=O", "only salt or solvent"),
        ("[Li+].[Li+].[O-]C([O-])=O", "only salt or solvent"),
        ("[Zn+2]", "only salt or solvent"),
        ("O=[As]O[As]=O", "inorganic"),
        ("N[Pt](N)(Cl)Cl", "inorganic"),
        ("C" * 1024, "too large"),
        ("C" * 100_000, "too large"),
        ("C(" * 100_000, "too large"),
    ],
)
def test_rejections(text, reason):
    assert standardise(text) == Rejection(reason)


def test_large_molecules_are_described():
    assert standardise("C" * 1023).smiles == "C" * 1023
    assert isinstance(standardise("C(" * 1000 + "C" + ")" * 1000), Structure)


def test_a_molecule_without_inchi_is_rejected(monkeypatch):
    monkeypatch.setattr(Chem, "MolToInchiKey", lambda mol: "")
    assert standardise.__wrapped__(ASPIRIN) == Rejection("no InChIKey")


def test_nothing_is_printed(capfd):
    for text in ("c1cccc1", "C1CC", "[Na]OC(C)=O", "*C", "C[C@H](C)C", "CC(=O)[O-].[Ag+]"):
        standardise.__wrapped__(text)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("smiles", DRUGS)
def test_standardising_twice_changes_nothing(smiles):
    once = standardise(smiles)
    assert standardise(once.smiles) == once


FORMERS = [*MEDICINAL_ACIDS, *BASES, *ACIDS]


@pytest.mark.parametrize("former", FORMERS)
def test_a_salt_former_alone_is_the_compound(former):
    found = standardise(former)
    # RDKit's own list takes the simplest ones for solvents, whatever stands beside them.
    if isinstance(found, Structure):
        flat = Chem.MolToSmiles(Chem.MolFromSmiles(found.smiles), isomericSmiles=False)
        assert tier(flat) == tier(Chem.CanonSmiles(former)) > 0


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(DRUGS[:2] + DRUGS[3:]), st.sampled_from(FORMERS), st.data())
def test_no_salt_former_is_the_parent_beside_a_drug(drug, former, data):
    parts = data.draw(st.permutations([drug, former, former]))
    [written] = Chem.MolToRandomSmilesVect(
        Chem.MolFromSmiles(".".join(parts)), 1, randomSeed=data.draw(st.integers(1, 10**6))
    )
    assert standardise(written) == standardise(drug)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(DRUGS), st.integers(1, 2**31 - 1))
def test_result_does_not_depend_on_how_the_molecule_is_written(smiles, seed):
    [written] = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)
    assert standardise(written) == standardise(smiles)


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text("CNOPSFIclnos[]()=#+-.123@/\\H*% |", max_size=30))
def test_arbitrary_text_never_raises_and_is_idempotent(text):
    found = standardise(text)
    if isinstance(found, Structure):
        assert standardise(found.smiles) == found
    else:
        assert found.reason


def test_real_structures_are_idempotent(real_data):
    lines = (real_data / "compounds" / "compounds.tsv").read_text().splitlines()
    column = lines[0].split("\t").index("canonical_smiles")
    found = [standardise(line.split("\t")[column]) for line in lines[1::7]]
    structures = [structure for structure in found if isinstance(structure, Structure)]
    assert len(structures) > 300
    assert all(standardise(structure.smiles) == structure for structure in structures)
