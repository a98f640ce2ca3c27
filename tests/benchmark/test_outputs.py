"""The files of a benchmark, every number by hand."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.outputs import main_markdown, section_markdown, write_outputs
from moa_jax.report.parts import Estimate, LineChart, Section, Series, Table
from tests.benchmark.tiny_results import (
    COMPOUNDS,
    LABELS,
    MOAS,
    NAN,
    HandMadeMaterial,
    bootstrap_scores,
    make_fold,
    make_results,
    make_scored,
)
from tests.small_sets import examples

KNN, LOGISTIC = Line("cosine_knn"), Line("morgan_logistic")
PERFECT = LABELS * 0.5 + 0.25
OTHERS = ("micro_auprc", "macro_auroc", "top5", "top10", "log_loss", "brier")


def scores(macro, top1):
    """Three resamples; the metrics that do not matter are .25."""
    return bootstrap_scores(
        macro_auprc=macro, top1=top1, **dict.fromkeys(OTHERS, (0.25, [0.25] * 3))
    )


def folds(probs, seconds):
    return tuple(
        make_fold(rows, probs[list(rows)], fit_s=fit_s)
        for rows, fit_s in zip(((0, 2, 4), (1, 3, 5)), seconds, strict=True)
    )


@pytest.fixture
def scored():
    results = make_results(
        {
            KNN: {0: folds(PERFECT, (1.0, 2.0)), 1: folds(1 - PERFECT, (3.0, 4.0))},
            LOGISTIC: {0: folds(PERFECT, (5.0, 6.0))},
        }
    )
    return make_scored(
        results,
        scores={
            KNN: scores((0.5, [0.4, 0.5, 0.6]), (0.7, [0.6, 0.7, 0.8])),
            LOGISTIC: scores((0.75, [0.75] * 3), (NAN, [NAN] * 3)),
        },
        validation={KNN: 0.45, LOGISTIC: NAN},
        comparator=KNN,
    )


def written(folder, scored, release):
    benchmark_data = HandMadeMaterial(
        dataset=types.SimpleNamespace(manifest={"release": release}),
        examples=examples(LABELS, COMPOUNDS, moas=MOAS),
    )
    return write_outputs(folder, [scored], benchmark_data)


def test_the_files_and_their_names(scored, tmp_path):
    text = written(tmp_path, scored, "simulated")
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert files == {
        "simulated_report.html",
        "simulated_table.md",
        "tables/compound_seed0/simulated_tables.md",
        "tables/compound_seed0/simulated_metrics.json",
        "tables/compound_seed0/simulated_per_moa.csv",
        "tables/compound_seed0/simulated_compound_predictions.csv",
        "tables/compound_seed0/simulated_fit_seconds.csv",
    }
    assert (tmp_path / "simulated_table.md").read_text() == text + "\n"
    written(tmp_path / "real", scored, "LINCS 2020")
    assert (tmp_path / "real" / "report.html").exists()
    assert not list((tmp_path / "real").rglob("simulated_*"))


def test_metrics(scored, tmp_path):
    written(tmp_path, scored, "LINCS 2020")
    found = json.loads((tmp_path / "tables/compound_seed0/metrics.json").read_text())
    assert list(found) == ["cosine_knn", "morgan_logistic"]
    knn, logistic = found["cosine_knn"], found["morgan_logistic"]
    assert knn["seeds"] == 2
    assert knn["validation_macro_auprc"] == 0.45
    # 95 % of the way from the middle sample to each end.
    assert knn["macro_auprc"] == pytest.approx({"estimate": 0.5, "low": 0.405, "high": 0.595})
    assert knn["top1"] == pytest.approx({"estimate": 0.7, "low": 0.605, "high": 0.795})
    assert knn["difference_in_macro_auprc"]["estimate"] == 0
    for metric in OTHERS:
        assert knn[metric] == {"estimate": 0.25, "low": 0.25, "high": 0.25}
    assert logistic["seeds"] == 1
    assert logistic["validation_macro_auprc"] is None
    assert logistic["top1"] == {"estimate": None, "low": None, "high": None}
    # Resamples .35, .25, .15 of the difference, none of them beyond 0: p = 2 * (0 + 1) / (3 + 1).
    assert logistic["difference_in_macro_auprc"] == pytest.approx(
        {"estimate": 0.25, "low": 0.155, "high": 0.345, "p_value": 0.5}
    )


def test_tables_of_moas_predictions_and_times(scored, tmp_path):
    written(tmp_path, scored, "LINCS 2020")
    folder = tmp_path / "tables/compound_seed0"
    about = [("cosine_knn", 0), ("cosine_knn", 1), ("morgan_logistic", 0)]
    per_moa = pd.read_csv(folder / "per_moa.csv")
    assert list(per_moa.columns) == [
        *("method", "seed", "moa", "num_compounds", "prevalence", "auprc", "auroc", "log_loss")
    ]
    assert list(zip(per_moa["method"], per_moa["seed"], strict=True)) == [
        run for run in about for _ in range(3)
    ]
    assert list(per_moa["moa"]) == [*MOAS] * 3
    assert set(per_moa["num_compounds"]) == {2}
    np.testing.assert_allclose(per_moa["prevalence"], 1 / 3)
    # Reversed, both positives share the last of six places: 2/6.
    np.testing.assert_allclose(per_moa["auprc"], [1] * 3 + [1 / 3] * 3 + [1] * 3)
    np.testing.assert_allclose(per_moa["auroc"], [1] * 3 + [0] * 3 + [1] * 3)
    # All six pairs of an MoA are right with .75, or with .25.
    losses = -np.log([0.75] * 3 + [0.25] * 3 + [0.75] * 3)
    np.testing.assert_allclose(per_moa["log_loss"], losses)

    predictions = pd.read_csv(folder / "compound_predictions.csv")
    assert list(predictions.columns) == ["method", "seed", "compound_group", "moas", *MOAS]
    assert list(predictions["compound_group"]) == [*COMPOUNDS] * 3
    assert list(predictions["moas"]) == ["m0", "m0", "m1", "m1", "m2", "m2"] * 3
    np.testing.assert_allclose(
        predictions[list(MOAS)], np.concatenate([PERFECT, 1 - PERFECT, PERFECT])
    )

    seconds = pd.read_csv(folder / "fit_seconds.csv")
    assert list(seconds.columns) == ["method", "seed", "fold", "fit_s"]
    assert seconds.to_numpy().tolist() == [
        [*run, fold, 1.0 + 2 * place + fold] for place, run in enumerate(about) for fold in (0, 1)
    ]


def test_markdown_of_the_main_table(scored):
    text = main_markdown([scored], None, "LINCS 2020")
    caption, _, header, _, first, second = text.split("\n")
    assert caption.startswith("LINCS 2020: compound_seed0: out-of-fold predictions for 6 compounds")
    cells = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in (header, first, second)
    ]
    assert cells == [
        [
            *("method", "seeds", "macro AUPRC", "difference from comparator", "micro AUPRC"),
            *("macro AUROC", "top-1 accuracy", "top-5 accuracy", "log loss"),
        ],
        [
            *("cosine_knn", "2", "0.500 [0.405, 0.595]", "comparator", "0.250", "0.250"),
            *("0.700 [0.605, 0.795]", "0.250", "0.250"),
        ],
        [
            *("morgan_logistic", "1", "0.750 [0.750, 0.750]", "0.250 [0.155, 0.345]", "0.250"),
            *("0.250", "n/a", "0.250", "0.250"),
        ],
    ]


def test_markdown_of_a_section():
    section = Section(
        "Title",
        "Text.",
        [
            LineChart([Series("left to the report", [0], [1])], "x", "y"),
            Table(("name", "value"), [("a", Estimate(0.5)), ("b", Estimate(1, 0, 2))], "Caption."),
        ],
    )
    assert section_markdown(section) == (
        "## Title\n\nText.\n\nCaption.\n\n"
        "| name | value                |\n"
        "| ---- | -------------------- |\n"
        "| a    | 0.500                |\n"
        "| b    | 1.000 [0.000, 2.000] |"
    )


def test_a_split_of_unseen_moas_has_no_main_table(scored):
    results = make_results(dict(scored.results.lines), name="unseen_moa_seed0")
    assert main_markdown([make_scored(results, scores=scored.scores)], None, "LINCS 2020") == ""
