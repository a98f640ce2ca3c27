"""Scores by stratum and under other weights of signatures, every column by hand."""

import dataclasses

import numpy as np
import pytest

from moa_jax.benchmark.collect import Line, pooled_fold
from moa_jax.benchmark.plan import SplitKey
from moa_jax.benchmark.sections.breakdown import breakdown_section
from tests.benchmark.tiny_results import (
    COMPOUNDS,
    LABELS,
    MOAS,
    NAN,
    HandMadeMaterial,
    assert_rows,
    make_results,
    make_scored,
)
from tests.small_sets import examples

KEYS = (SplitKey("compound", 0, 0), SplitKey("compound", 0, 1))
# A has three signatures, the others one each.
GROUPS = tuple("AAABCDEF")
ROWS = (range(5), range(5, 8))
# The first signature of A says m0, the two others m1: (w, 1 - w, 0) where w is its weight. No other
# two compounds tie for an MoA, as p * weight / weight need not be p.
EXAMPLE_PROBS = np.array(
    [
        [1, 0, 0],
        [0, 1, 0],
        [0, 1, 0],
        [0.4, 0.5, 0.08],
        [0.5, 0.3, 0.2],
        [0.1, 0.8, 0.15],
        [0.2, 0.1, 0.7],
        [0.8, 0.1, 0.1],
    ]
)
BENZENE = "c1ccccc1"


def weighted_examples(**columns):
    """z-scores of a signature are all alike, so that their value is its strength (RMS)."""
    strength = np.array([6, 1, 1, 6, 4, 10, 8, 12], float)
    tested = examples(
        LABELS[[COMPOUNDS.index(group) for group in GROUPS]],
        GROUPS,
        expression=np.tile(strength[:, None], (1, 4)),
        smiles=["CCO"] * 4 + [BENZENE] * 3 + [None],
        moas=MOAS,
    )
    values = {
        "tas": [0.6, 0.2, 0.0, 0.1, 0.5, 0.5, NAN, 0.3],
        "cc_q75": [NAN] * 8,
        "n_replicates": [1.0, 1.0, 2.0, *[1.0] * 5],
        "cell_line": ["PC3", "A375", "A375", *["PC3"] * 5],
        "dose_um": [10.0, 10.0, 1.0, *[10.0] * 5],
        "time_h": [24.0] * 8,
    }
    return dataclasses.replace(tested, table=tested.table.assign(**{**values, **columns}))


def section_of(tested, keys=KEYS):
    place = {group: row for row, group in enumerate(COMPOUNDS)}
    folds = tuple(
        pooled_fold(tested, np.array(rows), EXAMPLE_PROBS[list(rows)], place) for rows in ROWS
    )
    results = make_results({Line("cosine_knn"): {0: folds}}, tested=tested, keys=keys)
    learned = examples(LABELS[:1], ["T"], smiles=["CCO"], moas=MOAS)
    nothing = learned.take(np.array([], dtype=np.int64))
    parts = [(learned, nothing, tested.take(np.array(rows))) for rows in ROWS]
    return breakdown_section(make_scored(results), HandMadeMaterial(parts))


@pytest.fixture(scope="module")
def section():
    return section_of(weighted_examples())


def test_the_table_by_frequency(section):
    assert section.title == "compound_seed0: performance by stratum"
    table = section.parts[0]
    assert table.columns == (
        *("method", "compounds per MoA", "MoAs", "macro AUPRC"),
        "chance macro AUPRC",
    )
    # A is (1/3, 2/3, 0). m0: F .8, C .5, B .4 (1 of 3), A .33 (2 of 4). m1: D .8 (1 of 1),
    # A .67, B .5, C .3 (2 of 4). m2: E .7 (1 of 1), C .2, D .15, F .1 (2 of 4).
    macro = ((1 / 3 + 2 / 4) / 2 + (1 + 2 / 4) / 2 + (1 + 2 / 4) / 2) / 3
    # Each MoA has two of six compounds.
    assert_rows(table.rows, [("cosine_knn", "tail (< 8)", 3, macro, 1 / 3)])


STRATUM_COLUMNS = (
    *("method", "stratum", "compounds", "macro AUPRC", "chance macro AUPRC"),
    "top-1 accuracy",
)


def test_the_table_by_tas(section):
    table = section.parts[1]
    assert table.columns == STRATUM_COLUMNS
    assert table.caption == "By median TAS of the compound's signatures."
    assert_rows(
        table.rows,
        [
            # B alone, taken for m1.
            ("cosine_knn", "TAS < 0.2", 1, 1, 1, 0),
            # A (.2) and F: m0 ranks F (.8) before A, m2 ranks F (.1) before A (0); both wrong.
            ("cosine_knn", "TAS 0.2-0.4", 2, (1 / 2 + 1) / 2, 1 / 2, 0),
            # C and D both have m1; C is taken for m0.
            ("cosine_knn", "TAS >= 0.4", 2, 1, 1, 1 / 2),
            ("cosine_knn", "no TAS", 1, 1, 1, 1),
        ],
    )


def test_the_table_by_signature_strength(section):
    table = section.parts[2]
    assert table.columns == STRATUM_COLUMNS
    assert "signature strength (RMS z-score; tertiles of the compounds)" in table.caption
    # Medians 1 4 6 8 10 12 of A C B E D F: the tertiles are 4 + 2/3 * 2 and 8 + 1/3 * 2.
    assert_rows(
        table.rows,
        [
            # A and C: m0 ranks C first, m1 ranks A first; both wrong.
            ("cosine_knn", "strength < 5.33", 2, 1 / 2, 1 / 2, 0),
            # B and E: each first for its own MoA; B is taken for m1.
            ("cosine_knn", "strength 5.33-8.67", 2, 1, 1 / 2, 1 / 2),
            # D and F: D is before F for m2; F is taken for m0.
            ("cosine_knn", "strength >= 8.67", 2, (1 + 1 / 2) / 2, 1 / 2, 1 / 2),
        ],
    )


def test_the_table_by_nearest_structure(section):
    table = section.parts[3]
    assert table.columns == STRATUM_COLUMNS
    assert table.caption == "By Tanimoto similarity to the nearest training structure."
    assert_rows(
        table.rows,
        [
            # C, D, E share nothing with ethanol: m1 for two of three, m2 for one; C is wrong.
            ("cosine_knn", "Tanimoto < 0.3", 3, 1, (2 / 3 + 1 / 3) / 2, 2 / 3),
            # A and B are ethanol and have m0; both wrong.
            ("cosine_knn", "Tanimoto >= 0.7", 2, 1, 1, 0),
            ("cosine_knn", "no Tanimoto", 1, 1, 1, 0),
        ],
    )


def macro(m0, m1):
    """Of m0 and m1 from A's weight; m2 has (1 + 2/4) / 2 whatever it is."""
    return (m0 + m1 + 3 / 4) / 3


def test_the_table_of_weights(section):
    table = section.parts[4]
    assert table.columns == ("method", "weighting", "macro AUPRC", "top-1 accuracy")
    # D and E are right, and A where w > 1/2 (a tie counts for the later MoA).
    # w = 1/4, 1/3: as above. w = 1/2: for m0 A ties with C (1 of 3), B is 2 of 4; for m1 A ties
    # with B and C stays 2 of 4.
    low = (macro((1 / 3 + 2 / 4) / 2, (1 + 2 / 4) / 2), 2 / 6)
    # w = 3/4: for m0 A is behind F (1 of 2), B 2 of 4; for m1 A is behind C, 2 of 3.
    high = (macro((1 / 2 + 2 / 4) / 2, (1 + 2 / 3) / 2), 3 / 6)
    # w = 1: for m0 A is first.
    full = (macro((1 + 2 / 4) / 2, (1 + 2 / 3) / 2), 3 / 6)
    assert_rows(
        table.rows,
        [
            ("cosine_knn", "mean", *low),  # 1/3
            ("cosine_knn", "tas", *high),  # .6 of .8
            ("cosine_knn", "cc_q75", *low),  # unknown: the mean
            ("cosine_knn", "replicates", *low),  # 1 of 4
            ("cosine_knn", "strength", *high),  # 6 of 8
            ("cosine_knn", "num_strong", *full),  # four genes with |z| >= 2, and none
            ("cosine_knn", "balanced_cell_line", *low),  # PC3 says m0, A375 says m1: 1/2
            ("cosine_knn", "balanced_dose", *low),  # 10 uM says both, 1 uM says m1: 1/4
            ("cosine_knn", "balanced_time", *low),  # 1/3
        ],
    )


def test_what_is_not_known_has_no_table():
    section = section_of(weighted_examples(tas=[NAN] * 8), keys=())
    assert [part.columns[1] for part in section.parts] == [
        *("compounds per MoA", "stratum", "weighting")
    ]
    assert "signature strength" in section.parts[1].caption
