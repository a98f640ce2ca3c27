import dataclasses

import networkx as nx
import numpy as np
import pytest
from rdkit import Chem
from scipy import stats

from experiments.explanation_audit.ground_truth import read_truth, recovery
from moa_jax.explanation.evidence import target_proximity
from moa_jax.explanation.evidence.target_proximity import (
    proximity,
    proximity_table,
    target_distances,
)
from moa_jax.schemas import InputError
from tests.synthetic import make_knowledge_graph


@pytest.fixture(scope="module")
def truth(tiny_folder):
    return read_truth(tiny_folder / "raw" / "truth")


def test_planted_genes_targets_and_terms(truth):
    row = truth.drug_genes.iloc[3]
    genes = [row["gene_id"], "nothing"]
    found = truth.genes_of_drugs([row["pert_id"], "nobody"], genes)
    np.testing.assert_array_equal(found, [[True, False], [False, False]])
    strongest = truth.moa_genes["effect"].abs().max()
    assert strongest == pytest.approx(1)
    moas = sorted(set(truth.moa_genes["moa"]))
    genes = sorted(set(truth.moa_genes["gene_id"]))
    weak, strong = (truth.genes_of_moas(moas, genes, least=least) for least in (0.0, 0.5))
    assert weak.sum() == len(truth.moa_genes) > strong.sum() > 0
    targets = truth.targets_of_moas(moas, sorted(set(truth.moa_targets["gene_id"])))
    assert targets.sum() == len(truth.moa_targets)
    terms = truth.terms_of_moas(moas, sorted(set(truth.moa_terms["go_id"])))
    assert terms.sum() == len(truth.moa_terms)


def test_planted_atoms_follow_the_order_of_the_smiles(truth):
    row = truth.molecules.iloc[0]
    mol = Chem.MolFromSmiles(row["canonical_smiles"])
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    shuffled = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
    pattern = Chem.MolFromSmarts(row["pharmacophore"])
    for smiles in (row["canonical_smiles"], shuffled):
        (found,) = truth.atoms_of_drugs([row["pert_id"]], [smiles])
        matches = Chem.MolFromSmiles(smiles).GetSubstructMatches(pattern)
        assert tuple(np.flatnonzero(found)) in {tuple(sorted(match)) for match in matches}
    none = dataclasses.replace(truth, molecules=truth.molecules.assign(atoms=""))
    (found,) = none.atoms_of_drugs([row["pert_id"]], [smiles])
    assert len(found) == mol.GetNumAtoms()
    assert not found.any()
    with pytest.raises(InputError, match="is not that of"):
        truth.atoms_of_drugs([row["pert_id"]], ["CCCCCCCCCCCCCCCCCCBr"])
    with pytest.raises(InputError, match="no drug nobody"):
        truth.atoms_of_drugs(["nobody"], ["C"])


def test_missing_truth_is_named(tmp_path):
    with pytest.raises(InputError, match=r"moa_targets.tsv does not exist"):
        read_truth(tmp_path)


def test_recovery_by_hand():
    importance = np.array([[4.0, 3, 2, 1], [1, 2, 3, 4], [1, 1, 1, 1]])
    planted = np.array([[True, False, True, False]] * 2 + [[False] * 4])
    found = recovery(importance, planted, hits=(1, 2))
    np.testing.assert_allclose(found["auroc"], [0.75, 0.25, np.nan])
    np.testing.assert_allclose(found["auprc"], [(1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2, np.nan])
    np.testing.assert_allclose(found["hit@1"], [1, 0, np.nan])
    assert list(found["num_planted"]) == [2, 2, 0]
    candidates = np.array([[True, True, False, False]] * 3)
    some = recovery(importance, planted, hits=(1,), candidates=candidates)
    np.testing.assert_allclose(some["auroc"], [1, 0, np.nan])


def test_distances_are_networkxs():
    graph = make_knowledge_graph()
    links = nx.Graph(zip(graph.interacts.senders, graph.interacts.receivers, strict=True))
    symbols = list(graph.genes["symbol"])
    found = target_distances(graph, [symbols[0], "UNKNOWN"])
    steps = nx.single_source_shortest_path_length(links, 0)
    expected = [steps.get(row, max(steps.values()) + 1) for row in range(graph.num_genes)]
    np.testing.assert_array_equal(found, expected)
    both = target_distances(graph, [symbols[0], symbols[1]])
    assert (both[[0, 1]] == 0).all()
    assert np.isnan(target_distances(graph, ["UNKNOWN"])).all()


def test_near_genes_differ_from_genes_of_the_same_degree():
    rng = np.random.default_rng(0)
    degree, distances = rng.integers(1, 50, 400).astype(float), rng.integers(1, 6, 400) * 1.0
    near = proximity(-distances, distances, degree, k=20, num_draws=500)
    assert near.distance == 1
    assert near.expected == pytest.approx(distances.mean(), abs=0.3)
    assert near.p_value == pytest.approx(1 / 501)
    # Distance that follows from degree alone is no evidence.
    of_decile = np.ceil(10 * (stats.rankdata(degree, method="ordinal") / 400))
    assert proximity(degree, 11 - of_decile, degree, k=20, num_draws=100).p_value == 1
    chance = [
        proximity(rng.random(400), distances, degree, k=20, num_draws=99, seed=seed).p_value
        for seed in range(60)
    ]
    assert 0.35 < np.mean(chance) < 0.65
    with pytest.raises(InputError, match="first 401 of 400 genes"):
        proximity(degree, distances, degree, k=401)


def test_the_table_has_a_row_for_every_compound_with_a_target(monkeypatch):
    monkeypatch.setattr(target_proximity, "NUM_NAMED", 2)
    graph = make_knowledge_graph()
    importance = np.random.default_rng(0).random((2, 5))
    table = proximity_table(
        {"ours": importance, "other": importance},
        {"drug": ["GENE100", "UNKNOWN"], "stranger": ["UNKNOWN"]},
        graph,
        np.arange(5),
        num_draws=20,
    )
    assert list(table["ranking"]) == ["ours", "other"]
    assert list(table["compound"]) == ["drug", "drug"]
    assert list(table["num_targets"]) == [1, 1]
    np.testing.assert_allclose(table["q_value"], table["p_value"])
