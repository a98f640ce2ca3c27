import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from moa_jax.compounds.substructures import NUM_KEYS, SUBSTRUCTURE_FAMILIES, substructure_counts
from moa_jax.schemas import InputError

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "C"]


def view(counts, name):
    start = 0
    for other, size in SUBSTRUCTURE_FAMILIES.items():
        if other == name:
            return counts[:, start : start + size]
        start += size
    raise KeyError(name)


def test_counts_agree_with_rdkit():
    counts = substructure_counts(SMILES)
    molecules = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    pairs = rdFingerprintGenerator.GetAtomPairGenerator(fpSize=1024)
    np.testing.assert_array_equal(
        view(counts, "atom_pairs"), [pairs.GetCountFingerprintAsNumPy(mol) for mol in molecules]
    )
    np.testing.assert_array_equal(
        view(counts, "maccs"), [list(MACCSkeys.GenMACCSKeys(mol)) for mol in molecules]
    )
    # Methane is one atom: one environment, and no pair, torsion or path.
    assert view(counts, "morgan2")[2].sum() == 1
    assert view(counts, "atom_pairs")[2].sum() == view(counts, "paths")[2].sum() == 0


def test_a_missing_structure_has_no_substructure():
    counts = substructure_counts([None, SMILES[0]])
    assert counts.dtype == np.uint8
    assert counts.shape == (2, 6 * 1024 + NUM_KEYS)
    assert counts[0].sum() == 0 < counts[1].sum()


def test_large_counts_stop_at_255():
    assert view(substructure_counts(["C" * 400]), "morgan2").max() == 255


def test_invalid_smiles_is_refused():
    with pytest.raises(InputError, match="SMILES 'c1cccc1' is invalid"):
        substructure_counts(["c1cccc1"])
