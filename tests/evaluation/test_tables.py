import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.metrics import average_precision, score
from moa_jax.evaluation.tables import Results, markdown_table, results_markdown, write_results
from moa_jax.schemas import InputError


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]], float)
    return Results(
        probs={"knn": rng.random((4, 3)), "fusion": rng.random((4, 3)).astype(np.float32)},
        labels=labels,
        compounds=("AAA", "BBB", "CCC", "DDD"),
        moas=("HDAC inhibitor", "inhibitor, other", "unseen"),
        release="LINCS 2020",
    )


def test_markdown_is_aligned_and_rounded():
    rows = [
        {"method": "knn", "macro_auprc": 0.25149, "compounds": 414},
        {"method": "late|fusion", "macro_auprc": float("nan"), "time_s": 2.0},
    ]
    assert markdown_table(rows).splitlines() == [
        "| method       | macro_auprc | compounds | time_s |",
        "| ------------ | ----------: | --------: | -----: |",
        "| knn          |       0.251 |       414 |        |",
        "| late\\|fusion |         n/a |           |  2.000 |",
    ]
    assert markdown_table([]) == ""


def test_metrics_json_holds_the_scores(tmp_path, results):
    write_results(tmp_path, results)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored == {
        method: score(probs, results.labels) for method, probs in results.probs.items()
    }


def test_undefined_metrics_are_null(tmp_path, results):
    nothing = dataclasses.replace(results, labels=np.zeros((4, 3)))
    write_results(tmp_path, nothing)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["knn"]["macro_auprc"] is None
    assert stored["knn"]["num_moas"] == 0


def test_per_moa_csv_holds_every_method_and_moa(tmp_path, results):
    write_results(tmp_path, results)
    table = pd.read_csv(tmp_path / "per_moa.csv")
    assert table["method"].tolist() == ["knn"] * 3 + ["fusion"] * 3
    assert table["moa"].tolist() == list(results.moas) * 2
    assert table["num_compounds"].tolist() == [3, 2, 0] * 2
    expected = np.concatenate(
        [average_precision(p, results.labels) for p in results.probs.values()]
    )
    np.testing.assert_allclose(table["auprc"], expected, rtol=1e-8)


def test_predictions_can_be_scored_again(tmp_path, results):
    write_results(tmp_path, results)
    table = pd.read_csv(tmp_path / "compound_predictions.csv", keep_default_na=False)
    assert table.columns.tolist() == ["method", "compound_group", "moas", *results.moas]
    assert table["moas"].tolist()[:2] == ["HDAC inhibitor", "HDAC inhibitor|inhibitor, other"]
    fusion = table[table["method"] == "fusion"]
    assert fusion["compound_group"].tolist() == list(results.compounds)
    stored = fusion[list(results.moas)].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(stored, results.probs["fusion"])


def test_equal_results_give_equal_bytes(tmp_path, results):
    for folder in ("first", "second"):
        write_results(tmp_path / folder, results)
    for name in ("metrics.json", "per_moa.csv", "compound_predictions.csv"):
        first = (tmp_path / "first" / name).read_bytes()
        assert first == (tmp_path / "second" / name).read_bytes()
        assert b"\r" not in first


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, results):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_results(tmp_path / "file" / "results", results)


def test_simulated_results_say_so_in_every_name_and_heading(tmp_path, results):
    simulated = dataclasses.replace(results, release="simulated")
    write_results(tmp_path, simulated)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "simulated_compound_predictions.csv",
        "simulated_metrics.json",
        "simulated_per_moa.csv",
    ]
    assert results_markdown(simulated).startswith("simulated: 4 compounds, 3 MoAs")
    assert results_markdown(results).startswith("LINCS 2020: 4 compounds, 3 MoAs")
