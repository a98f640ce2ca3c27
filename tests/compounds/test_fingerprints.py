import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.compounds.fingerprints import morgan_fingerprints, tanimoto
from moa_jax.schemas import InputError

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1", "CN1CCC[C@H]1c1cccnc1", "OC(=O)c1ccccc1O", "C"]


@pytest.mark.parametrize(("radius", "num_bits"), [(2, 2048), (3, 1024), (1, 100)])
def test_bits_and_similarity_agree_with_rdkit(radius, num_bits):
    ours = morgan_fingerprints(SMILES, radius=radius, num_bits=num_bits)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=num_bits)
    theirs = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in SMILES]
    np.testing.assert_array_equal(ours, [list(bits) for bits in theirs])
    expected = [DataStructs.BulkTanimotoSimilarity(bits, theirs) for bits in theirs]
    np.testing.assert_allclose(tanimoto(ours, ours), expected, rtol=1e-6)


def test_defaults_and_missing_structure():
    bits = morgan_fingerprints([None, SMILES[0], None])
    assert bits.shape == (3, 2048)
    assert bits.dtype == np.float32
    assert bits[[0, 2]].sum() == 0
    assert bits[1].sum() > 10
    assert morgan_fingerprints([]).shape == (0, 2048)


def test_similarity_without_bits_is_zero():
    a = np.array([[0.0, 0.0], [1.0, 0.0]])
    b = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(tanimoto(a, b), [[0, 0, 0], [0, 0.5, 1]])


@given(st.integers(0, 2**32 - 1))
def test_similarity_is_symmetric_and_at_most_one(seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, (4, 9)).astype(np.float32)
    b = rng.integers(0, 2, (3, 9)).astype(np.float32)
    similarity = tanimoto(a, b)
    np.testing.assert_array_equal(similarity, tanimoto(b, a).T)
    assert ((similarity >= 0) & (similarity <= 1)).all()
    np.testing.assert_array_equal(np.diag(tanimoto(a, a)), a.any(axis=1))


def test_the_cache_is_not_shared_with_the_caller():
    first = morgan_fingerprints(SMILES)
    expected = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(morgan_fingerprints(SMILES), expected)


def test_invalid_smiles_is_refused(capfd):
    with pytest.raises(InputError, match="SMILES 'c1cccc1' is invalid"):
        morgan_fingerprints(["C", "c1cccc1"])
    assert capfd.readouterr().err == ""
