"""The main results and the results by MoA, every column by hand."""

import dataclasses

import numpy as np
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.plan import family_of
from moa_jax.benchmark.sections.main_table import (
    difference,
    estimate,
    headline_section,
    moa_section,
)
from moa_jax.evaluation.bootstrap import BootstrapScores
from moa_jax.report.parts import Estimate
from tests.benchmark.tiny_results import (
    LABELS,
    NAN,
    assert_rows,
    bootstrap_scores,
    folds_of,
    interval_of,
    make_fold,
    make_results,
    make_scored,
)

KNN, FUSION = Line("cosine_knn"), Line("fusion")
PERFECT = LABELS * 0.8 + 0.1
# The two positives of each MoA share the last place of six: average precision 2/6.
REVERSED = 1 - PERFECT


def scores(macro, top1, **metrics):
    """Three resamples of macro AUPRC and of top-1 accuracy; nothing else has an interval."""
    others = {name: (value, [value] * 3) for name, value in metrics.items()}
    return bootstrap_scores(macro_auprc=macro, top1=top1, **others)


@pytest.fixture
def scored():
    results = make_results(
        {KNN: {0: folds_of(PERFECT)}, FUSION: {0: folds_of(PERFECT), 3: folds_of(REVERSED)}}
    )
    return make_scored(
        results,
        scores={
            KNN: scores(
                (0.5, [0.4, 0.5, 0.6]),
                (0.7, [0.6, 0.7, 0.8]),
                **{"micro_auprc": 0.51, "macro_auroc": 0.52, "top5": 0.53, "top10": 0.54},
                **{"log_loss": 0.55, "brier": 0.56},
            ),
            FUSION: scores(
                (0.02, [-0.01, 0.02, 0.05]),
                (0.3, [0.2, 0.3, 0.4]),
                **{"micro_auprc": 0.61, "macro_auroc": 0.62, "top5": 0.63, "top10": 0.64},
                **{"log_loss": 0.65, "brier": 0.66},
            ),
        },
        validation={KNN: 0.45, FUSION: 0.55},
        comparator=KNN,
    )


def test_an_interval_is_that_of_the_resamples_within_the_range_of_the_metric(scored):
    found = estimate(scored, KNN, "macro_auprc")
    assert (found.low, found.high) == pytest.approx(interval_of([0.4, 0.5, 0.6]))
    assert (found.low, found.high) == pytest.approx((0.405, 0.595))
    found = estimate(scored, FUSION, "macro_auprc")
    assert (found.value, found.low, found.high) == (0.02, 0.0, pytest.approx(0.0485))
    metrics = ("top5", "log_loss")
    near_one = BootstrapScores(
        estimate=dict.fromkeys(metrics, 0.99),
        samples=dict.fromkeys(metrics, np.array([0.98, 1.0, 1.02])),
    )
    high = dataclasses.replace(scored, scores={KNN: near_one})
    assert estimate(high, KNN, "top5").high == 1.0
    assert estimate(high, KNN, "log_loss").high == pytest.approx(1.019)


def test_a_difference_is_paired_by_resample(scored):
    # Resamples: -.41, -.48, -.55.
    found = difference(scored, FUSION, KNN, "macro_auprc")
    assert found.value == pytest.approx(-0.48)
    assert (found.low, found.high) == pytest.approx(interval_of([-0.41, -0.48, -0.55]))


def test_the_main_table(scored):
    section = headline_section(scored)
    assert section.title == "compound_seed0: main results"
    (table,) = section.parts
    assert table.columns == (
        *("method", "family", "seeds", "macro AUPRC", "difference from comparator", "p-value"),
        *("SD over seeds", "micro AUPRC", "macro AUROC", "top-1 accuracy", "top-5 accuracy"),
        *("top-10 accuracy", "log loss", "Brier score", "validation macro AUPRC"),
    )
    # The seeds of fusion: macro AUPRC 1, and reversed 1/3. The standard deviation of two values
    # is |a - b| / sqrt 2.
    spread = (1 - 1 / 3) / np.sqrt(2)
    # All three resamples are on one side of 0: 2 * (0 + 1) / (3 + 1).
    p_value = 0.5
    assert_rows(
        table.rows,
        [
            (
                *("cosine_knn", "similarity", 1, Estimate(0.5, 0.405, 0.595), "comparator", NAN),
                *(NAN, 0.51, 0.52, Estimate(0.7, 0.605, 0.795), 0.53, 0.54, 0.55, 0.56, 0.45),
            ),
            (
                *("fusion", "fusion", 2, Estimate(0.02, 0.0, 0.0485)),
                *(Estimate(-0.48, -0.5465, -0.4135), p_value),
                *(spread, 0.61, 0.62, Estimate(0.3, 0.205, 0.395), 0.63, 0.64, 0.65, 0.66, 0.55),
            ),
        ],
    )
    assert table.caption == (
        "compound_seed0: out-of-fold predictions for 6 compounds, pooled by compound, with 95 % "
        "confidence intervals from 100 bootstrap resamples of the compounds. The difference in "
        "macro AUPRC is paired; the comparator is cosine_knn."
    )


def test_families():
    assert [family_of(name) for name in ("fusion_structure", "prevalence", "mine")] == [
        *("structure", "control", "external")
    ]


def test_the_map_of_average_precisions(scored):
    """MoAs by their best method; the seeds of a method are averaged."""
    probs = PERFECT.copy()
    # C is taken for m0 rather than m1: of m1, D ranks first and C behind A and B or with them.
    probs[2] = [0.95, 0.05, 0.0]
    results = make_results(
        {KNN: {0: folds_of(probs)}, FUSION: {0: folds_of(probs), 1: folds_of(REVERSED)}}
    )
    section = moa_section(make_scored(results, comparator=KNN))
    assert section.title == "compound_seed0: results by MoA"
    heat_map = section.parts[0]
    # cosine_knn: m0 ranks C, then A and B together at 3: 2/3. m1 ranks D, then A, B, E, F
    # (.1), then C (.05) at 6: (1 + 2/6) / 2 = 2/3. m2 is perfect.
    # fusion: the mean with the reversed seed, 1/3.
    assert heat_map.row_names == ["m2 (2)", "m0 (2)", "m1 (2)"]
    assert heat_map.column_names == ["cosine_knn", "fusion"]
    np.testing.assert_allclose(
        heat_map.values,
        [[1, (1 + 1 / 3) / 2], [2 / 3, (2 / 3 + 1 / 3) / 2], [2 / 3, (2 / 3 + 1 / 3) / 2]],
    )
    assert (heat_map.low, heat_map.high, heat_map.corner) == (0, 1, "MoA")


def test_moas_that_differ_from_the_reference():
    """m0 is perfect against reversed, m1 the other way round, m2 the same; eight compounds each."""
    labels = np.repeat(np.eye(3), 8, axis=0)
    good, bad = labels * 0.8 + 0.1, 0.9 - labels * 0.8
    ours = np.column_stack([good[:, 0], bad[:, 1], good[:, 2]])
    theirs = np.column_stack([bad[:, 0], good[:, 1], good[:, 2]])
    results = make_results(
        {
            method: {0: (make_fold(range(24), probs),)}
            for method, probs in ((Line("morgan_logistic"), ours), (KNN, theirs))
        },
        labels=labels,
        compounds=tuple("ABCDEFGHIJKLMNOPQRSTUVWX"),
    )
    # A round is as extreme where it exchanges none of the eight positives: p is near
    # 2 * 2 ** -8 = .008 for two of three MoAs, q near 3 / 2 of it, well below .05.
    table = moa_section(make_scored(results, comparator=KNN, num_resamples=2000)).parts[1]
    assert table.columns == ("method", "MoAs better", "MoAs worse", "better for", "worse for")
    assert_rows(table.rows, [("morgan_logistic", 1, 1, "m0", "m1")])
    # The smallest p-value that 20 rounds can give is 2 / 21.
    table = moa_section(make_scored(results, comparator=KNN, num_resamples=20)).parts[1]
    assert_rows(table.rows, [("morgan_logistic", 0, 0, "none", "none")])
