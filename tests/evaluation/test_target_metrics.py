"""Metrics of ranked targets, by hand."""

import numpy as np
import pytest

from moa_jax.evaluation.target_metrics import (
    least_known,
    ligand_strata,
    per_protein_table,
    precision_by_stratum,
    reliability_of_pairs,
    target_precision,
)

# Four proteins with 0, 2, 5 and 12 ligands; the last compound has no known target.
NUM_LIGANDS = np.array([0, 2, 5, 12])
IS_TARGET = np.array([[0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
SCORES = np.array(
    [
        # The target comes second.
        [0.1, 0.9, 0.2, 0.6],
        # First and third: (1 / 1 + 2 / 3) / 2.
        [0.1, 0.9, 0.5, 0.2],
        # Tied with two others, behind one: one threshold with four proteins.
        [0.2, 0.7, 0.2, 0.2],
        [0.4, 0.3, 0.2, 0.1],
    ]
)
PRECISION = [1 / 2, 5 / 6, 1 / 4]


def test_precision_of_each_compound():
    found = target_precision(SCORES, IS_TARGET)
    np.testing.assert_allclose(found[:3], PRECISION)
    assert np.isnan(found[3])


def test_a_compound_is_as_rare_as_its_rarest_target():
    assert least_known(IS_TARGET, NUM_LIGANDS).tolist() == [12, 2, 0, -1]


def test_strata_hold_their_edges():
    strata = ligand_strata(np.array([0, 1, 2, 3, 9, 10, 400]))
    assert list(strata) == ["0", "1-2", "1-2", "3-9", "3-9", "10+", "10+"]
    assert list(strata.categories) == ["0", "1-2", "3-9", "10+"]


def test_precision_by_the_rarest_target():
    constant = np.zeros((4, 4))
    table = precision_by_stratum(
        {"model": SCORES, "constant": constant}, IS_TARGET, NUM_LIGANDS
    ).set_index("rarest_target")
    # No compound has a rarest target with 3 to 9 ligands.
    assert table.index.tolist() == ["all", "0", "1-2", "10+"]
    assert table["compounds"].tolist() == [3, 1, 1, 1]
    np.testing.assert_allclose(table["model"], [np.mean(PRECISION), 1 / 4, 5 / 6, 1 / 2])
    np.testing.assert_allclose(table["constant"], [(1 + 2 + 1) / 12, 1 / 4, 1 / 2, 1 / 4])


def test_without_targets_there_is_no_row():
    assert precision_by_stratum({"model": SCORES}, IS_TARGET & False, NUM_LIGANDS).empty


def test_proteins_with_five_compounds_have_their_own_precision():
    is_target = np.zeros((8, 2), bool)
    is_target[:5, 0] = is_target[:4, 1] = True
    scores = np.stack([np.arange(8.0)[::-1], np.arange(8.0)], axis=1)
    table = per_protein_table(scores, is_target, np.array([3, 4]), ["A", "B"])
    (row,) = table.to_dict(orient="records")
    assert row == {
        "symbol": "A",
        "ligands": 3,
        "compounds": 5,
        "prevalence": 5 / 8,
        "auprc": 1.0,
        "auroc": 1.0,
    }


def test_bins_of_probabilities():
    probs = np.array([0.0, 0.005, 0.01, 0.5, 0.8, 1.0])
    table = reliability_of_pairs(probs, np.array([0, 1, 0, 1, 1, 0], bool))
    assert table["low"].tolist() == [0.0, 0.01, 0.4, 0.8]
    assert table["high"].tolist() == [0.01, 0.03, 0.6, 1.0]
    assert table["pairs"].tolist() == [2, 1, 1, 2]
    np.testing.assert_allclose(table["stated"], [0.0025, 0.01, 0.5, 0.9])
    np.testing.assert_allclose(table["observed"], [0.5, 0.0, 1.0, 0.5])


@pytest.mark.parametrize("columns", [0, 3])
def test_nothing_is_scored_where_nothing_is_known(columns):
    found = least_known(np.zeros((2, columns), bool), np.ones(columns, int))
    assert found.tolist() == [-1, -1]
