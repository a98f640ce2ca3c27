"""Calibration and selective prediction in numbers that can be worked out by hand.

All rows of fold 0 are (.5, .25, .25), those of fold 1 (.25, .25, .5). With one probability for
the top MoA and one for the others, the temperature makes them the shares s and (1 - s) / 2 with
which the validation labels (each of a compound's MoAs in equal parts) fall on them, so
2 ** (1 / T) = 2 s / (1 - s); beta calibration makes them the rates of all (compound, MoA) pairs.
"""

import numpy as np
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.sections.calibration import calibrated_lines, confidence_section
from moa_jax.report.parts import LineChart, Table
from tests.benchmark.tiny_results import (
    NO_VALIDATION,
    assert_rows,
    folds_of,
    make_results,
    make_scored,
)

FIRST, LAST = (0.5, 0.25, 0.25), (0.25, 0.25, 0.5)
PROBS = np.array([FIRST] * 3 + [LAST] * 3)
# A and B have m0, C has m0 and m1, D and E have m1, F has m2: D and E are wrong.
LABELS = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], float)
# Nine of ten have m0 and one has the two others: s = .9, rates .9 and 2 / 20 = .1.
NINE_OF_TEN = (np.tile(FIRST, (10, 1)), np.array([[1, 0, 0]] * 9 + [[0, 1, 1]], float))
# Four of five have m2 and one has m0: s = .8, rates .8 and 1 / 10 = .1.
FOUR_OF_FIVE = (np.tile(LAST, (5, 1)), np.array([[0, 0, 1]] * 4 + [[1, 0, 0]], float))
VALIDATIONS = (NINE_OF_TEN, FOUR_OF_FIVE)
# The second seed says m1 for D, E and F: D and E are right.
OTHER = np.array([FIRST] * 3 + [(0.25, 0.5, 0.25)] * 3)
KNN, FUSION, ALONE = Line("cosine_knn"), Line("fusion"), Line("expression_logistic")


@pytest.fixture(scope="module")
def section():
    results = make_results(
        {
            KNN: {0: folds_of(PROBS, VALIDATIONS)},
            FUSION: {0: folds_of(PROBS, VALIDATIONS), 1: folds_of(OTHER, VALIDATIONS)},
            ALONE: {0: folds_of(PROBS)},
        },
        labels=LABELS,
    )
    return confidence_section(make_scored(results))


def tables(section):
    return [part for part in section.parts if isinstance(part, Table)]


def test_the_maps_fitted_to_a_fold_are_applied_to_it():
    results = make_results({KNN: {0: folds_of(PROBS, VALIDATIONS)}}, labels=LABELS)
    (run,) = calibrated_lines(results, KNN)
    # 2 s / (1 - s) is 18 for s = .9 and 8 for s = .8.
    assert run.temperatures == pytest.approx((np.log(2) / np.log(18), 1 / 3), rel=1e-3)
    np.testing.assert_array_equal(run.probs["uncalibrated"], PROBS)
    scaled = [[0.9, 0.05, 0.05]] * 3 + [[0.1, 0.1, 0.8]] * 3
    np.testing.assert_allclose(run.probs["temperature-scaled"], scaled, atol=1e-4)
    rates = [[0.9, 0.1, 0.1]] * 3 + [[0.1, 0.1, 0.8]] * 3
    np.testing.assert_allclose(run.probs["beta-calibrated"], rates, atol=1e-4)
    # Conformal p-values: of the other MoAs (1 + 1) / (10 + 1) = .18 in fold 0, which .2 excludes
    # and .1 does not, and (1 + 1) / (5 + 1) = .33 in fold 1.
    assert run.label_sets[0].all()
    assert run.label_sets[1].tolist() == [[True, False, False]] * 3 + [[True] * 3] * 3


def test_without_validation_predictions_nothing_is_calibrated():
    results = make_results({KNN: {0: folds_of(PROBS, (NINE_OF_TEN, NO_VALIDATION))}})
    assert calibrated_lines(results, KNN) == ()
    assert confidence_section(make_scored(results)) is None


def log_loss(*hits):
    """Mean over 18 pairs of the log probability of the truth; pairs of (number, prob)."""
    assert sum(number for number, _ in hits) == 18
    return -sum(number * np.log(prob) for number, prob in hits) / 18


def brier(*hits):
    assert sum(number for number, _ in hits) == 18
    return sum(number * (1 - prob) ** 2 for number, prob in hits) / 18


# (number of pairs, probability of what is true): the top MoA is right in 4 compounds and wrong
# in 2 (.5 both ways); m1 of C, D and E has .25; the nine other pairs are negatives at .25.
UNCALIBRATED = ((6, 0.5), (3, 0.25), (9, 0.75))
# Fold 0 at (.9, .05, .05): three tops, m1 of C, five negatives. Fold 1 at (.1, .1, .8): F's top,
# two wrong tops (.2), m1 of D and E (.1), four negatives.
FOLD_1 = ((1, 0.8), (2, 0.2), (2, 0.1), (4, 0.9))
SCALED = ((3, 0.9), (1, 0.05), (5, 0.95), *FOLD_1)
# Fold 0 at (.9, .1, .1).
BETA = ((8, 0.9), (1, 0.1), *FOLD_1)
# With m1 on top in fold 1, D and E are right (.8) and F is wrong: top .2, its own m2 .1, m0 .9;
# m0 and m2 of D and E are negatives (.9).
OTHER_FOLD_1 = ((2, 0.8), (1, 0.2), (1, 0.1), (5, 0.9))
# Uncalibrated: five right tops and one wrong at .5; m1 of C and m2 of F at .25.
OTHER_UNCALIBRATED = ((6, 0.5), (2, 0.25), (10, 0.75))
OTHER_SCALED = ((3, 0.9), (1, 0.05), (5, 0.95), *OTHER_FOLD_1)
OTHER_BETA = ((8, 0.9), (1, 0.1), *OTHER_FOLD_1)


def test_the_calibration_table(section):
    table = tables(section)[0]
    measures = ("ECE", "log loss", "Brier score")
    kinds = ("uncalibrated", "temperature-scaled", "beta-calibrated")
    names = [f"{measure}, {kind}" for measure in measures for kind in kinds]
    assert table.columns == ("method", "temperature", *names)
    temperature = (np.log(2) / np.log(18) + 1 / 3) / 2
    # Uncalibrated: confidence .5, accuracy 4/6. After both maps fold 0 says .9 and is right,
    # fold 1 says .8 and a third is right.
    ece = (3 * (1 - 0.9) + 3 * (0.8 - 1 / 3)) / 6
    first = [
        *(4 / 6 - 0.5, ece, ece),
        *(log_loss(*pairs) for pairs in (UNCALIBRATED, SCALED, BETA)),
        *(brier(*pairs) for pairs in (UNCALIBRATED, SCALED, BETA)),
    ]
    other_ece = (3 * (1 - 0.9) + 3 * (0.8 - 2 / 3)) / 6
    second = [
        *(5 / 6 - 0.5, other_ece, other_ece),
        *(log_loss(*pairs) for pairs in (OTHER_UNCALIBRATED, OTHER_SCALED, OTHER_BETA)),
        *(brier(*pairs) for pairs in (OTHER_UNCALIBRATED, OTHER_SCALED, OTHER_BETA)),
    ]
    mean = [(one + two) / 2 for one, two in zip(first, second, strict=True)]
    expected = [("cosine_knn", temperature, *first), ("fusion", temperature, *mean)]
    assert [row[0] for row in table.rows] == ["cosine_knn", "fusion"]
    for row, wanted in zip(table.rows, expected, strict=True):
        assert row[1:] == pytest.approx(wanted[1:], abs=2e-4)


def test_the_selective_table(section):
    table = tables(section)[1]
    assert table.columns == [
        *("method", "AURC", "accuracy at 100 % coverage", "accuracy at 50 % coverage"),
        *("accuracy at 25 % coverage", "accuracy at 10 % coverage"),
        *("coverage of 90 % label sets", "mean size of 90 % label sets"),
        *("coverage of 80 % label sets", "mean size of 80 % label sets"),
    ]
    # Fold 0 (.9) comes first and is right; of the tie of fold 1 (.8) two in three are wrong: of
    # 4, 5, 6 answers 2/3, 4/3, 2 are expected to be wrong.
    first = ["cosine_knn", (2 / 12 + 4 / 15 + 2 / 6) / 6, 4 / 6, 1.0, 1.0, 1.0]
    # 90 % sets hold everything. 80 % sets of fold 0 hold m0 alone, which leaves out m1 of C.
    first += [1.0, 3.0, 5 / 6, (3 * 1 + 3 * 3) / 6]
    # The other seed has one wrong in three in fold 1.
    other = ["", (1 / 12 + 2 / 15 + 1 / 6) / 6, 5 / 6, *first[3:]]
    mean = ["fusion", *((one + two) / 2 for one, two in zip(first[1:], other[1:], strict=True))]
    assert_rows(table.rows, [first, mean])


def test_the_charts(section):
    risk, raw, scaled = [part for part in section.parts if isinstance(part, LineChart)]
    # The first seed of the featured methods: one of each family and the comparator.
    assert [series.name for series in risk.series] == ["cosine_knn", "fusion"]
    np.testing.assert_allclose(risk.series[0].x, np.arange(1, 7) / 6)
    np.testing.assert_allclose(risk.series[0].y, [0, 0, 0, 2 / 12, 4 / 15, 2 / 6], atol=1e-9)
    assert (risk.x_label, risk.y_label) == ("coverage", "selective risk")
    for chart, confidence, accuracy in (
        (raw, [0.5], [4 / 6]),
        (scaled, [0.8, 0.9], [1 / 3, 1]),
    ):
        np.testing.assert_allclose(chart.series[0].x, confidence, atol=1e-4)
        np.testing.assert_allclose(chart.series[0].y, accuracy)
        assert (chart.x_label, chart.y_label, chart.diagonal) == ("mean confidence", "accuracy", 1)
    assert "uncalibrated" in raw.caption
    assert "temperature-scaled" in scaled.caption


def test_the_title(section):
    assert section.title == "compound_seed0: calibration"
