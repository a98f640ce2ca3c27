import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import BRICS
from rdkit.Chem.Scaffolds import MurckoScaffold

from moa_jax.explanation.evidence import substructure_scores as pieces
from moa_jax.explanation.evidence.functional_groups import FUNCTIONAL_GROUPS, functional_groups
from moa_jax.explanation.evidence.substructure_scores import substructure_scores, substructures
from moa_jax.schemas import InputError

VORINOSTAT = "ONC(=O)CCCCCCC(=O)Nc1ccccc1"
# Fused, spiro, bridged, charged, with several parts, with stereo, without rings, one atom.
MOLECULES = (
    VORINOSTAT,
    "CC(C)C[C@H](NC(=O)[C@H](Cc1ccccc1)NC(=O)c1cnccn1)B(O)O",
    "C1CC2(C1)CCN(C(=O)c1c[nH]c3ccccc13)CC2",
    "C[N+](C)(C)CC(=O)[O-].CCO",
    "C1CC2CCC1C2",
    "CCCC",
    "C",
)


def of_kind(smiles, kind):
    return [piece for piece in substructures(smiles) if piece.kind == kind]


@pytest.mark.parametrize("smiles", MOLECULES)
def test_fragments_and_scaffold_partition_the_atoms(smiles):
    mol = Chem.MolFromSmiles(smiles)
    for kinds in (("fragment",), ("scaffold", "side chain")):
        atoms = [atom for kind in kinds for piece in of_kind(smiles, kind) for atom in piece.atoms]
        assert sorted(atoms) == list(range(mol.GetNumAtoms()))
    scaffold = [piece.name for piece in of_kind(smiles, "scaffold")]
    expected = Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(mol), isomericSmiles=False)
    named = [Chem.CanonSmiles(name, useChiral=0) for name in scaffold]
    assert named == ([Chem.CanonSmiles(expected)] if expected else [])
    assert len(of_kind(smiles, "fragment")) == (
        len(list(BRICS.FindBRICSBonds(mol))) + len(Chem.GetMolFrags(mol))
    )


def test_pieces_of_vorinostat():
    assert [(piece.name, piece.atoms) for piece in of_kind(VORINOSTAT, "functional group")] == [
        ("hydroxamic acid", (0, 1, 2, 3)),
        ("amide", (10, 11, 12)),
    ]
    assert [piece.atoms for piece in of_kind(VORINOSTAT, "scaffold")] == [tuple(range(13, 19))]
    assert [piece.atoms for piece in of_kind(VORINOSTAT, "side chain")] == [tuple(range(13))]


def test_rings_that_share_an_atom_are_one_system():
    (spiro, indole) = of_kind(MOLECULES[2], "ring system")
    assert len(spiro.atoms) == 9
    assert len(indole.atoms) == 9
    assert len(of_kind(MOLECULES[4], "ring system")) == 1


@pytest.mark.parametrize(
    ("smiles", "names"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", ["ester", "carboxylic acid"]),
        ("C=CC(=O)Nc1ccccc1", ["acrylamide"]),
        ("CS(=O)(=O)Nc1ccc(F)cc1", ["sulfonamide", "aryl halide"]),
        ("NC(=N)NCCO", ["guanidine", "alcohol"]),
        ("CN(C)CCO", ["amine", "alcohol"]),
        ("c1ccncc1", []),
    ],
)
def test_functional_groups_by_name(smiles, names):
    assert [name for name, _ in functional_groups(Chem.MolFromSmiles(smiles))] == names


def test_every_pattern_is_read():
    assert all(Chem.MolFromSmarts(smarts) is not None for smarts in FUNCTIONAL_GROUPS.values())


def test_sums_means_and_the_place_among_random_pieces():
    scores = np.zeros(19)
    scores[:4] = [1.0, 2.0, 3.0, 2.0]
    table = substructure_scores(VORINOSTAT, scores).set_index("name")
    acid = table.loc["hydroxamic acid"]
    assert (acid["num_atoms"], acid["sum"], acid["mean"]) == (4, 8.0, 2.0)
    assert acid["percentile"] > 0.9
    assert table.loc["amide", "sum"] == 0.0
    assert table.loc["amide", "percentile"] < 0.5
    # Sums of a partition are the sum of all atoms.
    everything = substructure_scores(VORINOSTAT, scores)
    assert everything["sum"][everything["kind"] == "fragment"].sum() == 8.0


def test_random_pieces_are_connected_and_of_the_same_size(monkeypatch):
    monkeypatch.setattr(pieces, "NUM_RANDOM", 4000)
    # On a chain whose scores are 1, 2, 4, ... a connected pair sums to 3 * 2 ** k.
    scores = 2.0 ** np.arange(12)
    table = substructure_scores("CCCCCCCCCCCO", scores)
    alcohol = table[table["name"] == "alcohol"].iloc[0]
    assert alcohol["sum"] == 3 * 2.0**10
    # Nothing is larger; an end is found from either of its atoms: by 1/12 + 1/2 * 1/12 of pieces.
    assert alcohol["percentile"] == pytest.approx(1 - 0.125 / 2, abs=0.01)
    assert alcohol["p_value"] == pytest.approx(0.25, abs=0.03)
    pairs = 3 * 2.0 ** np.arange(11)
    chances = np.array([1.5, *[1.0] * 9, 1.5]) / 12
    assert alcohol["random_mean"] == pytest.approx(pairs @ chances, rel=0.1)


def test_p_values_are_not_small_for_scores_without_a_piece(monkeypatch):
    monkeypatch.setattr(pieces, "NUM_RANDOM", 60)
    rng = np.random.default_rng(0)
    p_values = [
        substructure_scores(MOLECULES[1], rng.normal(size=28), seed=seed)["p_value"]
        for seed in range(12)
    ]
    assert np.mean(np.concatenate(p_values) <= 0.05) < 0.12


def test_a_piece_that_is_everything_has_nothing_to_be_compared_with():
    table = substructure_scores("CCCC", np.ones(4))
    assert table["sum"].tolist() == [4.0, 4.0]
    assert table[["random_mean", "percentile", "p_value", "q_value"]].isna().all(axis=None)


def test_equal_seeds_give_equal_tables():
    scores = np.linspace(-1, 1, 19)
    first = substructure_scores(VORINOSTAT, scores, seed=3)
    assert first.equals(substructure_scores(VORINOSTAT, scores, seed=3))
    assert not first.equals(substructure_scores(VORINOSTAT, scores, seed=4))


def test_unusable_input_is_refused():
    with pytest.raises(InputError, match="there are 2 atom scores for 'CCO', which has 3 heavy"):
        substructure_scores("CCO", np.ones(2))
    with pytest.raises(InputError, match="the SMILES 'C1CC' describes no molecule"):
        substructures("C1CC")
