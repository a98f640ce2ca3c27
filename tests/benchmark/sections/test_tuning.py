"""Selected settings and validation curves."""

import numpy as np

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.sections.tuning import tuning_section
from tests.benchmark.tiny_results import LABELS, assert_rows, folds_of, make_results, make_scored


def test_settings_are_counted_over_folds_and_seeds():
    first = folds_of(LABELS, reports=({"settings": "C=1"}, {"settings": "C=10"}))
    second = folds_of(LABELS, reports=({"settings": "C=10"}, {}))
    results = make_results(
        {
            Line("cosine_knn"): {0: first, 1: second},
            Line("prevalence"): {0: folds_of(LABELS)},
        }
    )
    validation = {Line("cosine_knn"): 0.4, Line("prevalence"): 0.1}
    section = tuning_section(make_scored(results, validation=validation))
    assert section.title == "compound_seed0: hyperparameter selection"
    (table,) = section.parts
    assert table.columns == (
        *("method", "validation macro AUPRC"),
        "selected settings (number of models)",
    )
    assert_rows(table.rows, [("cosine_knn", 0.4, "C=10 (2); C=1 (1)"), ("prevalence", 0.1, "")])


def test_the_curve_is_that_of_the_first_fold_and_seed():
    curve = {"validation_curve": [[10, 0.2], [20, 0.5]]}
    other = {"validation_curve": [[10, 0.9]]}
    results = make_results(
        {
            Line("fusion"): {
                0: folds_of(LABELS, reports=(curve, other)),
                1: folds_of(LABELS, reports=(other, other)),
            },
            Line("cosine_knn"): {0: folds_of(LABELS)},
        }
    )
    chart = tuning_section(make_scored(results)).parts[1]
    (series,) = chart.series
    assert series.name == "fusion"
    np.testing.assert_array_equal(series.x, [10, 20])
    np.testing.assert_array_equal(series.y, [0.2, 0.5])
    assert (chart.x_label, chart.y_label) == ("training step", "validation macro AUPRC")
