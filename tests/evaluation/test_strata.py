import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.calibration import nearest_neighbours
from moa_jax.calibration.nearest_neighbours import nearest_cosine, nearest_tanimoto
from moa_jax.evaluation import metrics
from moa_jax.evaluation.strata import (
    binned,
    frequency_strata,
    scores_by_frequency,
    scores_by_stratum,
)

NAN = np.nan


def test_moas_by_frequency():
    found = frequency_strata(np.array([30, 15, 14, 8, 7, 1]))
    assert list(found) == [
        *["head (>= 15)"] * 2,
        *["mid (8-14)"] * 2,
        *["tail (< 8)"] * 2,
    ]


def test_bins_hold_their_lower_edge():
    found = binned(np.array([0.1, 0.2, 0.39, 0.4, NAN]), (0.2, 0.4), "TAS")
    assert list(found) == ["TAS < 0.2", "TAS 0.2-0.4", "TAS 0.2-0.4", "TAS >= 0.4", "no TAS"]
    assert list(found.categories) == ["TAS < 0.2", "TAS 0.2-0.4", "TAS >= 0.4", "no TAS"]
    assert list(binned(np.array([0.4, 1.0]), (1.0,), "x")) == ["x < 1", "x >= 1"]


def test_strata_of_compounds_are_scored_apart():
    rng = np.random.default_rng(0)
    probs, labels = rng.random((30, 4)), np.eye(4)[rng.integers(0, 4, 30)]
    values = rng.random(30)
    values[3] = NAN
    strata = binned(values, (0.5,), "Tanimoto")
    table = scores_by_stratum(probs, labels, strata)
    assert table["stratum"].tolist() == ["Tanimoto < 0.5", "Tanimoto >= 0.5", "no Tanimoto"]
    assert table["num_compounds"].sum() == 30
    near = values >= 0.5
    expected = metrics.score(probs[near], labels[near])
    assert {name: table[name][1] for name in expected} == expected
    present = labels[near].mean(axis=0)
    assert table["chance_auprc"][1] == pytest.approx(present[present > 0].mean())


def test_strata_of_moas_average_their_rows():
    rng = np.random.default_rng(1)
    labels = np.eye(4)[np.repeat([0, 1, 2], [20, 10, 3])]
    probs = rng.random(labels.shape)
    strata = frequency_strata(np.array([20, 10, 3, 0]))
    table = scores_by_frequency(probs, labels, strata)
    precision, area = metrics.average_precision(probs, labels), metrics.auroc(probs, labels)
    assert table["stratum"].tolist() == ["head (>= 15)", "mid (8-14)", "tail (< 8)"]
    # The fourth MoA has no compound.
    assert table["num_moas"].tolist() == [1, 1, 1]
    np.testing.assert_allclose(table["macro_auprc"], precision[:3])
    np.testing.assert_allclose(table["macro_auroc"], area[:3])
    np.testing.assert_allclose(table["chance_auprc"], np.array([20, 10, 3]) / 33)
    one = scores_by_frequency(probs, labels, frequency_strata(np.full(4, 20)))
    assert one["macro_auprc"].tolist() == [pytest.approx(metrics.macro_auprc(probs, labels))]


@pytest.mark.parametrize("block", [1, 1024])
def test_nearest_structure_is_rdkits(block, monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "_BLOCK_ROWS", block)
    smiles = ["CCO", None, "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O"]
    train = ["CCCO", "c1ccccc1C", None, "CCO", "CCCO"]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = {
        text: generator.GetFingerprint(Chem.MolFromSmiles(text))
        for text in {*smiles, *train} - {None}
    }
    expected = [
        NAN
        if text is None
        else max(
            DataStructs.TanimotoSimilarity(bits[text], bits[other]) for other in train if other
        )
        for text in smiles
    ]
    found = nearest_tanimoto(smiles, train)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[0] == 1
    assert np.isnan(nearest_tanimoto(smiles, [None])).all()


@pytest.mark.parametrize("block", [2, 1024])
def test_nearest_signature_by_hand(block, monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "_BLOCK_ROWS", block)
    train = np.array([[1.0, 0.0], [0.0, 2.0]])
    queries = np.array([[3.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [0.0, 0.0], [-1.0, -1.0]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(nearest_cosine(queries, train), [1, half, 0, 0, -half])
    assert np.isnan(nearest_cosine(queries, train[:0])).all()
