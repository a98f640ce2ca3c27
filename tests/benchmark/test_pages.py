"""The comparison of splits, the order of sections and the facts of the page."""

import types

import pytest

import moa_jax
from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.pages import across_splits, benchmark_page, is_closed_set, sections_of
from moa_jax.report.parts import Estimate, Section
from tests.benchmark.tiny_results import (
    LABELS,
    MOAS,
    NAN,
    HandMadeMaterial,
    assert_rows,
    bootstrap_scores,
    folds_of,
    make_results,
    make_scored,
)
from tests.small_sets import examples

KNN, LOGISTIC = Line("cosine_knn"), Line("morgan_logistic")
METRICS = ("micro_auprc", "macro_auroc", "top1", "top5", "top10", "log_loss", "brier")


def split_of(name, **macro):
    """A split whose methods have a macro AUPRC and nothing else."""
    scores = {
        Line(method): bootstrap_scores(
            macro_auprc=(value, [value - 0.1, value, value + 0.1]),
            **dict.fromkeys(METRICS, (0.5, [0.5] * 3)),
        )
        for method, value in macro.items()
    }
    results = make_results({line: {0: folds_of(LABELS)} for line in scores}, name=name)
    return make_scored(results, scores=scores)


def test_the_comparison_of_splits():
    splits = [
        split_of("compound_seed0", cosine_knn=0.4, morgan_logistic=0.5),
        split_of("scaffold_seed0", cosine_knn=0.3),
        split_of("unseen_moa_seed0", cosine_knn=0.9),
    ]
    section = across_splits(splits)
    assert section.title == "Comparison of splits"
    # No split that leaks, no word about one.
    assert section.text == ""
    (table,) = section.parts
    # A split of unseen MoAs has another question.
    assert table.columns == ("method", "compound_seed0", "scaffold_seed0")
    assert table.sort_by == "compound_seed0"
    # The interval of three samples at -.1, 0, .1 around the estimate: 95 % of the way.
    assert_rows(
        table.rows,
        [
            ("cosine_knn", Estimate(0.4, 0.305, 0.495), Estimate(0.3, 0.205, 0.395)),
            ("morgan_logistic", Estimate(0.5, 0.405, 0.595), NAN),
        ],
    )


def test_a_split_that_leaks_is_explained():
    splits = [
        split_of("compound_seed0", cosine_knn=0.4),
        split_of("random_signature_seed0", cosine_knn=0.9),
    ]
    assert across_splits(splits).text.startswith("random_signature puts signatures of the same")


def test_one_split_is_compared_with_nothing():
    splits = [split_of("compound_seed0", cosine_knn=0.4), split_of("unseen_moa_seed0", stacked=1.0)]
    assert across_splits(splits) is None
    assert [is_closed_set(some) for some in splits] == [True, False]


def test_sections_of_a_split_with_nothing_but_predictions():
    scored = split_of("compound_seed0", cosine_knn=0.4)
    titles = [section.title for section in sections_of(scored, HandMadeMaterial())]
    assert titles == [
        "compound_seed0: main results",
        "compound_seed0: results by MoA",
        "compound_seed0: performance by stratum",
        "compound_seed0: hyperparameter selection",
    ]
    scored = split_of("unseen_moa_seed0", cosine_knn=0.4)
    titles = [section.title for section in sections_of(scored, HandMadeMaterial())]
    assert titles == ["unseen_moa_seed0: detection of unseen MoAs"]


@pytest.mark.parametrize("release", ["simulated", "LINCS 2020"])
def test_the_page_names_data_splits_and_versions(release):
    splits = [split_of("compound_seed0", cosine_knn=0.4), split_of("scaffold_seed0", stacked=0.5)]
    benchmark_data = HandMadeMaterial(
        dataset=types.SimpleNamespace(manifest={"release": release}),
        examples=examples(LABELS[[0, 0, 2, 4]], ("A", "A", "C", "E"), moas=MOAS),
    )
    sections = [Section("one")]
    page = benchmark_page(splits, benchmark_data, sections)
    assert page.title == f"Benchmark on {release}"
    assert page.sections == tuple(sections)
    facts = dict(page.facts)
    assert facts["release"] == release
    assert facts["labelled signatures"] == "4"
    assert facts["compounds"] == "3"
    assert facts["MoAs"] == "3"
    assert facts["splits"] == "compound_seed0, scaffold_seed0"
    assert facts["moa_jax"] == moa_jax.__version__
    assert {"jax", "flax", "scikit-learn", "numpy", "rdkit"} <= facts.keys()
