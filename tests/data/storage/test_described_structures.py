"""What RDKit says about structures, kept beside prepared data."""

import numpy as np
import pytest

from moa_jax.compounds import molecular_graph, structures, substructures
from moa_jax.data.storage import described_structures
from moa_jax.data.storage.described_structures import (
    DESCRIBED_FILE,
    remember_described,
    write_described,
)
from moa_jax.schemas import InputError

# Rings, both directions of a double bond, stereocentres, one atom, a salt.
SMILES = ["C/C=C/[C@H](N)C(=O)O", "c1ccc2[nH]ccc2c1", "C", "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]"]
REMEMBERED = (structures, substructures, molecular_graph)


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Neither before nor after the test."""

    def forget():
        for module in REMEMBERED:
            module._REMEMBERED.maps[:] = [{}]
        structures.standardise.cache_clear()
        substructures._counts.cache_clear()
        molecular_graph.molecular_graph.cache_clear()

    forget()
    yield
    forget()


def described(smiles):
    """All that is kept about a structure, as RDKit says it or as it is remembered."""
    graph = molecular_graph.molecular_graph(smiles)
    return structures.standardise(smiles), [
        substructures.substructure_counts([smiles])[0],
        *(graph.atom_features, graph.bond_features, graph.senders, graph.receivers),
    ]


def test_what_is_remembered_is_what_rdkit_says(tmp_path, nothing_remembered, monkeypatch):
    computed = [described(smiles) for smiles in SMILES]
    write_described(tmp_path, [*SMILES, None, "not a structure", SMILES[0]])
    for module in REMEMBERED:
        assert not module._REMEMBERED
    structures.standardise.cache_clear()
    substructures._counts.cache_clear()
    molecular_graph.molecular_graph.cache_clear()
    remember_described(tmp_path)

    def asked(*_):
        raise AssertionError("RDKit is asked again")

    monkeypatch.setattr(structures, "_parse", asked)
    monkeypatch.setattr(substructures, "_read", asked)
    monkeypatch.setattr(molecular_graph, "_graph", asked)
    for smiles, (structure, arrays) in zip(SMILES, computed, strict=True):
        again, remembered = described(smiles)
        assert again == structure
        for ours, theirs in zip(remembered, arrays, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(AssertionError, match="asked again"):
        structures.standardise("CCO")


def test_the_same_structures_give_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write_described(tmp_path / "a", SMILES)
    write_described(tmp_path / "b", SMILES[::-1])
    assert (tmp_path / "a" / DESCRIBED_FILE).read_bytes() == (
        tmp_path / "b" / DESCRIBED_FILE
    ).read_bytes()


def test_a_file_by_another_rdkit_is_not_used(tmp_path, monkeypatch):
    write_described(tmp_path, SMILES)
    monkeypatch.setattr(described_structures.rdkit, "__version__", "0000.00.0")
    remember_described(tmp_path)
    assert not structures._REMEMBERED


def test_no_file_and_no_structures(tmp_path):
    remember_described(tmp_path)
    write_described(tmp_path, [None])
    remember_described(tmp_path)
    assert isinstance(structures.standardise("C"), structures.Structure)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / DESCRIBED_FILE).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"structures\.npz is damaged .*prepare the folder again"):
        remember_described(tmp_path)
