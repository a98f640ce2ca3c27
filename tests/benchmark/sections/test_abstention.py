"""Confidence signals and the detection of unseen MoAs, every number by hand."""

import dataclasses

import numpy as np
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.plan import SplitKey
from moa_jax.benchmark.sections.abstention import abstention_section, rejection_section
from tests.benchmark.tiny_results import (
    COMPOUNDS,
    MOAS,
    NAN,
    HandMadeMaterial,
    assert_rows,
    folds_of,
    make_results,
    make_scored,
)
from tests.small_sets import examples

KEYS = (SplitKey("compound", 0, 0), SplitKey("compound", 0, 1))
KNN = Line("cosine_knn")
# Two genes with mean 0 and standard deviation 1, so that standardising changes nothing: the
# references are the four diagonals of the plane.
CORNERS = [[1, 1], [-1, -1], [1, -1], [-1, 1]]


def learned(prefix):
    """Four compounds to learn from; the first one is ethanol."""
    return examples(
        np.eye(3)[[0, 1, 2, 0]],
        [f"{prefix}{row}" for row in range(4)],
        expression=CORNERS,
        smiles=["CCO", None, None, None],
        moas=MOAS,
    )


def data_of(labels, *, lengths, angles, smiles, tas, cc_q75):
    """Signatures of a length and an angle (degrees): RMS length / sqrt 2, cosine to a diagonal."""
    radians = np.deg2rad(angles)
    expression = np.array(lengths)[:, None] * np.column_stack([np.cos(radians), np.sin(radians)])
    tested = examples(labels, COMPOUNDS, expression=expression, smiles=smiles, moas=MOAS)
    table = tested.table.assign(tas=np.array(tas, float), cc_q75=np.array(cc_q75, float))
    tested = dataclasses.replace(tested, table=table)
    parts = [
        (learned("T"), learned("V"), tested.take(np.array(rows))) for rows in ([0, 1, 2], [3, 4, 5])
    ]
    return tested, HandMadeMaterial(parts)


BENZENE = "c1ccccc1"


@pytest.fixture
def abstaining():
    """A, B, C and F are right, D and E are wrong."""
    labels = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    probs = np.array(
        [[0.5, 0.25, 0.25]] * 3 + [[0.2, 0.2, 0.6], [0.25, 0.25, 0.5], [0.3, 0.3, 0.4]]
    )
    other = probs.copy()
    # The other seed is less confident of A.
    other[0] = [0.4, 0.3, 0.3]
    # All validation predictions of fold 0 are right and all of fold 1 are wrong.
    right = (np.tile([0.5, 0.25, 0.25], (4, 1)), np.eye(3)[[0] * 4])
    wrong = (np.tile([0.5, 0.25, 0.25], (4, 1)), np.eye(3)[[1, 2] * 2])
    tested, benchmark_data = data_of(
        labels,
        lengths=[5, 4, 6, 2, 1, 3],
        angles=[40, 30, 10, 45, 35, 20],
        smiles=["CCO", BENZENE, BENZENE, "CCO", BENZENE, BENZENE],
        tas=[0.1, 0.2, 0.3, 0.6, 0.5, 0.4],
        cc_q75=[0.1, 0.2, 0.3, 0.6, 0.5, NAN],
    )
    results = make_results(
        {
            KNN: {seed: folds_of(some, (right, wrong)) for seed, some in enumerate((probs, other))},
            Line("expression_logistic"): {0: folds_of(probs)},
        },
        labels=labels,
        tested=tested,
        keys=KEYS,
    )
    return make_scored(
        results, validation={KNN: 0.5, Line("expression_logistic"): NAN}
    ), benchmark_data


def test_the_table_of_confidence_signals(abstaining):
    section = abstention_section(*abstaining)
    assert section.title == "compound_seed0: confidence signals"
    (table,) = section.parts
    assert table.columns == (
        *("method", "confidence signal", "AURC", "accuracy at 50 % coverage"),
        *("accuracy at 25 % coverage", "accuracy at 10 % coverage"),
    )
    # Errors among the first 1 .. 6 compounds; coverages of 50, 25 and 10 % are 3, 2 and 1 of 6.
    errors = {
        # Fold 0 is sharpened (T at its lower bound) and fold 1 flattened: A to C, D, E, F.
        "top probability": [0, 0, 0, 1, 2, 2],
        "margin": [0, 0, 0, 1, 2, 2],
        "negative entropy": [0, 0, 0, 1, 2, 2],
        # B to F agree, with two errors among five; A comes last.
        "seed agreement": [2 / 5, 4 / 5, 6 / 5, 8 / 5, 2, 2],
        # D, E, F, C, B, A.
        "TAS": [1, 2, 2, 2, 2, 2],
        # cc_q75 is not known of F.
        # C, A, B, F, D, E.
        "signature strength": [0, 0, 0, 0, 1, 2],
        # The nearest to 45 degrees first: D, A, E, B, F, C.
        "nearest-signature cosine": [1, 1, 2, 2, 2, 2],
        # A and D are ethanol (1), the others share nothing with it (0): one error among two,
        # then one among four.
        "nearest-structure Tanimoto": [1 / 2, 1, 5 / 4, 6 / 4, 7 / 4, 2],
        # The share of right validation predictions: 1 in fold 0, 0 in fold 1.
        "combined": [0, 0, 0, 2 / 3, 4 / 3, 2],
    }
    expected = []
    for name, wrong in errors.items():
        risk = np.array(wrong) / np.arange(1, 7)
        expected.append(("cosine_knn", name, risk.mean(), 1 - risk[2], 1 - risk[1], 1 - risk[0]))
    assert_rows(table.rows, expected)


def test_predictions_made_elsewhere_have_no_signals(abstaining):
    scored, benchmark_data = abstaining
    results = dataclasses.replace(scored.results, keys=())
    assert abstention_section(dataclasses.replace(scored, results=results), benchmark_data) is None


# Fold 0 knows m0 and m1, so that C is unseen; fold 1 knows m0 and m2, so that E is.
UNSEEN_LABELS = np.eye(3)[[0, 1, 2, 0, 1, 2]]
TRAINED = (np.array([True, True, False]), np.array([True, False, True]))
UNSEEN_PROBS = [
    [0.75, 0.25, 0.0],
    [0.5, 0.25, 0.25],
    [0.5, 0.5, 0.0],
    [0.75, 0.25, 0.0],
    [1.0, 0.0, 0.0],
    [0.75, 0.25, 0.0],
]
# Share of the two known compounds above the unseen one. Fold 0: the top probability of C (.5)
# ties with B's, its margin (0) is the smallest, its entropy (ln 2) less than B's (1.5 ln 2). In
# fold 1 E is the surest.
TOP, MARGIN, ENTROPY = (0.75 + 0) / 2, (1 + 0) / 2, (0.5 + 0) / 2


def test_the_table_of_unseen_moas():
    tested, benchmark_data = data_of(
        UNSEEN_LABELS,
        # C is the weakest of fold 0, E the strongest of fold 1.
        lengths=[3, 2, 1, 1, 3, 2],
        # C lies between A and B; E has the same cosine as D and F (30 and 60 degrees).
        angles=[40, 10, 20, 30, 60, 30],
        # C shares nothing with what was learned and A and B are in it; in fold 1 nothing is known.
        smiles=["CCO", "CCO", BENZENE, None, None, None],
        # C between A and B, E below both.
        tas=[0.5, 0.1, 0.3, 0.5, 0.1, 0.5],
        # Unknown of A: C is below B. All the same in fold 1.
        cc_q75=[NAN, 0.2, 0.1, 0.2, 0.2, 0.2],
    )
    results = make_results(
        {KNN: {0: folds_of(UNSEEN_PROBS), 1: folds_of(UNSEEN_PROBS)}},
        labels=UNSEEN_LABELS,
        tested=tested,
        keys=KEYS,
        trained_moas=TRAINED,
        name="unseen_moa_seed0",
    )
    section = rejection_section(make_scored(results), benchmark_data)
    assert section.title == "unseen_moa_seed0: detection of unseen MoAs"
    (table,) = section.parts
    assert table.columns == (
        *("method", "top probability", "margin", "negative entropy", "TAS", "cc_q75"),
        *("signature strength", "nearest-signature cosine", "nearest-structure Tanimoto"),
    )
    tas, cc_q75, strength, cosine = (0.5 + 1) / 2, (1 + 0.5) / 2, (1 + 0) / 2, (0.5 + 0.5) / 2
    assert_rows(
        table.rows, [("cosine_knn", TOP, MARGIN, ENTROPY, tas, cc_q75, strength, cosine, NAN)]
    )


def test_predictions_made_elsewhere_have_their_own_signals_alone():
    results = make_results(
        {KNN: {0: folds_of(UNSEEN_PROBS)}}, labels=UNSEEN_LABELS, trained_moas=TRAINED
    )
    (table,) = rejection_section(make_scored(results), HandMadeMaterial()).parts
    assert table.columns == ("method", "top probability", "margin", "negative entropy")
    assert_rows(table.rows, [("cosine_knn", TOP, MARGIN, ENTROPY)])
