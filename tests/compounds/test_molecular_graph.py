import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from moa_jax.compounds import molecular_graph as module
from moa_jax.compounds.molecular_graph import (
    ATOM_FEATURES,
    BOND_FEATURES,
    molecular_graph,
    num_atom_features,
    num_bond_features,
)
from moa_jax.schemas import InputError

SMILES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "C/C=C/C(=O)N[C@@H]1CCN(C)C1",
    "C[N+](C)(C)CC(=O)[O-]",
    "C[S@](=O)c1nc2cc(F)ccc2[nH]1",
    "O=P(O)(O)OCC1OC(n2cnc3c(N)ncnc32)C(O)C1O",
    "N#Cc1ccc(Br)cc1I",
    "C[C@H]1CC[C@@H](C)CC1",
)


def atom_column(graph, name):
    return graph.atom_features[:, ATOM_FEATURES.index(name)]


def bond_column(graph, name):
    return graph.bond_features[:, BOND_FEATURES.index(name)]


def multiset(graph):
    """Atoms with their neighbourhoods, as a sorted list that no atom order changes."""
    rows = []
    for atom in range(graph.num_atoms):
        around = [
            (
                graph.bond_features[bond].tolist(),
                graph.atom_features[graph.receivers[bond]].tolist(),
            )
            for bond in np.flatnonzero(graph.senders == atom)
        ]
        rows.append((graph.atom_features[atom].tolist(), sorted(around)))
    return sorted(rows)


def test_layout():
    assert num_atom_features == len(ATOM_FEATURES) == len(set(ATOM_FEATURES))
    assert num_bond_features == len(BOND_FEATURES) == len(set(BOND_FEATURES))


@pytest.mark.parametrize("smiles", SMILES)
def test_counts_agree_with_rdkit(smiles):
    mol = Chem.MolFromSmiles(smiles)
    graph = molecular_graph(smiles)
    assert graph.atom_features.shape == (mol.GetNumAtoms(), num_atom_features)
    assert graph.bond_features.shape == (2 * mol.GetNumBonds(), num_bond_features)
    assert graph.num_bonds == 2 * mol.GetNumBonds()
    adjacency = np.zeros((graph.num_atoms, graph.num_atoms), int)
    adjacency[graph.senders, graph.receivers] = 1
    np.testing.assert_array_equal(adjacency, Chem.GetAdjacencyMatrix(mol))
    elements = [atom.GetSymbol() for atom in mol.GetAtoms()]
    for element in ("C", "N", "O", "F", "Br"):
        assert atom_column(graph, f"element {element}").sum() == elements.count(element)
    assert atom_column(graph, "aromatic").sum() == len(mol.GetAromaticAtoms())
    assert bond_column(graph, "in ring").sum() == 2 * sum(
        bond.IsInRing() for bond in mol.GetBonds()
    )
    degrees = np.bincount(graph.senders, minlength=graph.num_atoms)
    for degree in range(4):
        np.testing.assert_array_equal(atom_column(graph, f"degree {degree}"), degrees == degree)
    charge = atom_column(graph, "charge +1").sum() - atom_column(graph, "charge -1").sum()
    assert charge == Chem.GetFormalCharge(mol)
    hydrogens = sum(number * atom_column(graph, f"hydrogens {number}").sum() for number in range(4))
    assert hydrogens == Chem.AddHs(mol).GetNumAtoms() - mol.GetNumAtoms()
    centres = sum(atom_column(graph, f"chirality {label}").sum() for label in "RSrs")
    assert centres == sum(bool(atom.GetChiralTag()) for atom in mol.GetAtoms())


@pytest.mark.parametrize("smiles", SMILES)
def test_each_kind_of_feature_has_one_value(smiles):
    graph = molecular_graph(smiles)
    assert graph.atom_features.dtype == graph.bond_features.dtype == np.float32
    assert np.isin(graph.atom_features, (0, 1)).all()
    for kind in ("element", "degree", "charge", "hydrogens", "hybridisation", "chirality"):
        columns = [name.startswith(f"{kind} ") for name in ATOM_FEATURES]
        np.testing.assert_array_equal(graph.atom_features[:, columns].sum(axis=1), 1)
    for kind in ("type", "stereo"):
        columns = [name.startswith(f"{kind} ") for name in BOND_FEATURES]
        np.testing.assert_array_equal(graph.bond_features[:, columns].sum(axis=1), 1)


def test_both_directions_lie_next_to_each_other():
    graph = molecular_graph("C=CC#N")
    np.testing.assert_array_equal(graph.senders, [0, 1, 1, 2, 2, 3])
    np.testing.assert_array_equal(graph.receivers, [1, 0, 2, 1, 3, 2])
    np.testing.assert_array_equal(graph.bond_features[::2], graph.bond_features[1::2])
    np.testing.assert_array_equal(bond_column(graph, "type DOUBLE"), [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(bond_column(graph, "type TRIPLE"), [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(bond_column(graph, "conjugated"), 1)
    np.testing.assert_array_equal(atom_column(graph, "hybridisation SP2"), [1, 1, 0, 0])


def test_hand_drawn_alanine():
    graph = molecular_graph("C[C@H](N)C(=O)O")
    np.testing.assert_array_equal(atom_column(graph, "chirality S"), [0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(atom_column(graph, "degree 3"), [0, 1, 0, 1, 0, 0])
    np.testing.assert_array_equal(atom_column(graph, "hydrogens 0"), [0, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(bond_column(graph, "type DOUBLE")[::2], [0, 0, 0, 1, 0])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O"),
        ("C[S@](=O)CC", "C[S@@](=O)CC"),
        ("F/C=C/F", "F/C=C\\F"),
        ("F/C=C/F", "FC=CF"),
        ("C/C=N/O", "C/C=N\\O"),
        ("C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"),
        ("CC(=O)O", "CC(=O)[O-]"),
        ("CN", "C[NH3+]"),
        ("[Cu+2]", "[Cu+]"),
    ],
)
def test_stereo_and_charge_are_seen(left, right):
    assert multiset(molecular_graph(left)) != multiset(molecular_graph(right))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SMILES), st.integers(1, 2**31 - 1))
def test_the_order_of_atoms_only_permutes(smiles, seed):
    [written] = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)
    assert multiset(molecular_graph(written)) == multiset(molecular_graph(smiles))


def test_one_atom():
    graph = molecular_graph("C")
    assert graph.atom_features.shape == (1, num_atom_features)
    assert graph.bond_features.shape == (0, num_bond_features)
    assert graph.senders.dtype == graph.receivers.dtype == np.int32
    assert graph.num_bonds == 0
    assert atom_column(graph, "hydrogens more") == 1


def test_values_without_a_column_of_their_own():
    graph = molecular_graph("[Pt+4]")
    assert atom_column(graph, "element other") == 1
    assert atom_column(graph, "charge +2 or more") == 1
    assert atom_column(molecular_graph("[O-2]"), "charge -2 or less") == 1
    assert bond_column(molecular_graph("[NH3]->[Cu]"), "type other").all()


def test_a_molecule_beyond_the_labels_limit_has_none(monkeypatch):
    smiles = "C[C@H](Cl)[C@H](F)[C@@H](C)Cl"
    assert atom_column(molecular_graph(smiles), "chirality none").sum() < 7
    monkeypatch.setattr(module, "_MAX_CIP_ITERATIONS", 1)
    # Past the memory of what was computed without the limit.
    assert atom_column(molecular_graph.__wrapped__(smiles), "chirality none").all()


@pytest.mark.parametrize("smiles", ["", "c1cccc1", "not a molecule"])
def test_what_is_no_molecule_is_refused(smiles, capfd):
    with pytest.raises(InputError, match="describes no molecule"):
        molecular_graph(smiles)
    assert capfd.readouterr().err == ""
