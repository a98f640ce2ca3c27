"""Degradation, learning curves and ablations, every column by hand."""

import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Perturbation
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.benchmark.sections.robustness import (
    contribution_section,
    degradation_section,
    learning_section,
)
from moa_jax.report.parts import Estimate
from tests.benchmark.tiny_results import (
    LABELS,
    assert_rows,
    bootstrap_scores,
    folds_of,
    interval_of,
    make_results,
    make_scored,
)

FOLDS = {0: folds_of(LABELS)}
KNN, LOGISTIC = Line("cosine_knn"), Line("morgan_logistic")
# Three MoAs with two of six compounds each: the chance level of macro AUPRC is 1/3.
CHANCE = 1 / 3


def noise(method, level):
    return Line(method, test=Perturbation("gaussian", level))


def above(*shares):
    """Macro AUPRC that lies by these shares of 2/3 above chance."""
    return [CHANCE + share * 2 / 3 for share in shares]


def scored_of(scores, *, labels=LABELS, **changes):
    """Lines with (estimate, samples) of macro AUPRC, and top-1 accuracy half of that."""
    results = make_results(dict.fromkeys(scores, FOLDS), labels=labels)
    halves = {
        line: bootstrap_scores(
            macro_auprc=macro, top1=(macro[0] / 2, [value / 2 for value in macro[1]])
        )
        for line, macro in scores.items()
    }
    return make_scored(results, scores=halves, **changes)


def steady(share):
    """An estimate that no resample changes."""
    (value,) = above(share)
    return value, [value] * 3


def test_the_table_of_degradation():
    scored = scored_of(
        {
            KNN: (above(0.9)[0], above(0.9, 0.9, 0.9)),
            # Of the share .9 above chance .6 and .3 are left: relative 2/3 and 1/3.
            noise("cosine_knn", 3.0): (above(0.3)[0], above(0.3, 0.36, 0.24)),
            noise("cosine_knn", 1.0): (above(0.6)[0], above(0.6, 0.6, 0.6)),
            LOGISTIC: steady(0.8),
            # Nothing is lost at 1, a half at 3.
            noise("morgan_logistic", 1.0): steady(0.8),
            noise("morgan_logistic", 3.0): steady(0.4),
            Line("stacked"): steady(0.5),
            noise("stacked", 2.0): steady(0.25),
        },
        comparator=KNN,
    )
    section = degradation_section(scored)
    assert section.title == "compound_seed0: robustness to noise"
    assert "with a chance level of 0.333" in section.text
    chart, table = section.parts
    assert table.columns == (
        *("method", "clean macro AUPRC", "mean relative macro AUPRC", "difference from comparator"),
        *("relative loss at 1", "relative loss at 2", "relative loss at 3"),
    )
    # Trapezoids over 0, 1, 3, divided by 3: ((1 + 2/3) / 2 * 1 + (2/3 + 1/3) / 2 * 2) / 3 = 11/18.
    # In the resamples the last value is 3/9, 3.6/9 and 2.4/9, which moves the area by a third of
    # its change: 0, +.2/9, -.2/9.
    areas = [11 / 18, 11 / 18 + 0.2 / 9, 11 / 18 - 0.2 / 9]
    # (1 * 1 + (1 + 1/2) / 2 * 2) / 3 = 5/6.
    assert_rows(
        table.rows,
        [
            (
                *("cosine_knn", above(0.9)[0], Estimate(11 / 18, *interval_of(areas))),
                *("comparator", 1 / 3, "n/a", 2 / 3),
            ),
            (
                *("morgan_logistic", above(0.8)[0], Estimate(5 / 6, 5 / 6, 5 / 6)),
                Estimate(5 / 6 - 11 / 18, *interval_of([5 / 6 - area for area in areas])),
                *(0.0, "n/a", 1 / 2),
            ),
            # Over 0 and 2: (1 + 1/2) / 2. Other levels cannot be compared with the comparator.
            (
                *("stacked", above(0.5)[0], Estimate(3 / 4, 3 / 4, 3 / 4)),
                *("n/a", "n/a", 1 / 2, "n/a"),
            ),
        ],
    )
    assert table.caption.startswith("gaussian: ")
    assert (chart.x_label, chart.y_label, chart.caption) == (
        *("level of gaussian", "macro AUPRC"),
        "gaussian",
    )
    first = chart.series[0]
    assert first.name == "cosine_knn"
    assert first.x == [0, 1, 3]
    assert first.y == pytest.approx(above(0.9, 0.6, 0.3))
    low, high = interval_of(above(0.3, 0.36, 0.24))
    assert first.low == pytest.approx([*above(0.9, 0.6), low])
    assert first.high == pytest.approx([*above(0.9, 0.6), high])


def test_moas_without_a_compound_do_not_lower_the_chance_level():
    """Macro AUPRC leaves them out: of two MoAs with half of the compounds each chance is 1/2."""
    labels = [[1, 0, 0]] * 3 + [[0, 1, 0]] * 3
    scored = scored_of(
        {KNN: (0.9, [0.9] * 3), noise("cosine_knn", 1.0): (0.7, [0.7] * 3)}, labels=labels
    )
    table = degradation_section(scored).parts[1]
    # (.7 - .5) / (.9 - .5) = 1/2 is left.
    assert table.rows[0][-1] == pytest.approx(1 / 2)


def test_without_the_reference_the_best_on_validation_is_compared_with():
    scores = {
        line: steady(share)
        for line, share in (
            *((KNN, 1.0), (LOGISTIC, 1.0), (Line("stacked"), 1.0)),
            *((noise("morgan_logistic", 1.0), 0.5), (noise("stacked", 1.0), 0.25)),
        )
    }
    validation = dict.fromkeys(scores, 0.1) | {Line("stacked"): 0.2}
    table = degradation_section(scored_of(scores, comparator=KNN, validation=validation)).parts[1]
    assert [row[0] for row in table.rows] == ["morgan_logistic", "stacked"]
    # Areas (1 + 1/2) / 2 and (1 + 1/4) / 2.
    assert table.rows[0][3].value == pytest.approx(3 / 4 - 5 / 8)
    assert table.rows[1][3] == "comparator"


def test_wrong_labels_are_a_kind_of_their_own():
    wrong = Line("cosine_knn", training=TrainingPerturbation("uniform_labels", 0.2))
    both = Line(
        "cosine_knn",
        training=TrainingPerturbation("uniform_labels", 0.2),
        test=Perturbation("gaussian", 1.0),
    )
    scored = scored_of({KNN: steady(1.0), wrong: steady(0.7), both: steady(0.1)})
    section = degradation_section(scored)
    # Two changes at once are no level of either.
    assert len(section.parts) == 2
    assert section.parts[1].columns[-1] == "relative loss at 0.2"
    assert section.parts[1].rows[0][-1] == pytest.approx(0.3)


def test_the_learning_curve():
    def fewer(share):
        return Line("cosine_knn", training=TrainingPerturbation("compounds", share))

    scored = scored_of(
        {
            KNN: (0.6, [0.5, 0.6, 0.7]),
            fewer(0.5): (0.5, [0.4, 0.5, 0.6]),
            fewer(0.25): (0.4, [0.3, 0.4, 0.5]),
        }
    )
    assert degradation_section(scored) is None
    section = learning_section(scored)
    assert section.title == "compound_seed0: learning curves"
    (chart,) = section.parts
    (series,) = chart.series
    assert series.name == "cosine_knn"
    assert series.x == [0.25, 0.5, 1]
    assert series.y == [0.4, 0.5, 0.6]
    assert series.low == pytest.approx([0.305, 0.405, 0.505])
    assert series.high == pytest.approx([0.495, 0.595, 0.695])
    assert (chart.x_label, chart.y_label) == ("fraction of the training compounds", "macro AUPRC")


def test_the_table_of_ablations():
    absent = Line("fusion", test=Perturbation("structure_absent"))
    rewired = Line("fusion", training=TrainingPerturbation("rewired_string"))
    scored = scored_of(
        {
            Line("fusion"): (0.6, [0.5, 0.6, 0.7]),
            rewired: (0.6, [0.6, 0.6, 0.6]),
            absent: (0.2, [0.1, 0.2, 0.3]),
            noise("fusion", 1.0): (0.1, [0.1] * 3),
        }
    )
    section = contribution_section(scored)
    assert section.title == "compound_seed0: ablations"
    (table,) = section.parts
    assert table.columns == (
        *("method", "ablation", "applied in", "macro AUPRC", "macro AUPRC under ablation"),
        *("change in macro AUPRC", "change in top-1 accuracy"),
    )
    clean = Estimate(0.6, 0.505, 0.695)
    assert_rows(
        table.rows,
        [
            (
                *("fusion", "rewired_string", "training", clean, Estimate(0.6, 0.6, 0.6)),
                # Resamples .1, 0, -.1, and half of them for top-1.
                *(Estimate(0, -0.095, 0.095), Estimate(0, -0.0475, 0.0475)),
            ),
            (
                *("fusion", "structure_absent", "test", clean, Estimate(0.2, 0.105, 0.295)),
                *(Estimate(-0.4, -0.4, -0.4), Estimate(-0.2, -0.2, -0.2)),
            ),
        ],
    )


def test_what_was_not_run_has_no_section():
    scored = scored_of({KNN: steady(1.0)})
    assert degradation_section(scored) is None
    assert learning_section(scored) is None
    assert contribution_section(scored) is None
