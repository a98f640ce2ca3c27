import csv
import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from moa_jax.evaluation.metrics import average_precision, score
from moa_jax.predictions.result_tables import (
    Results,
    markdown_table,
    read_csv,
    results_markdown,
    write_csv,
    write_results,
)
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


# Text and its form in the file.
CELLS = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1+cmd": "'+1+cmd",
    "-2+3": "'-2+3",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\r\n=1": "'\r\n'=1",
    "  =1": "'  =1",
    "\N{FULLWIDTH EQUALS SIGN}1": "'\N{FULLWIDTH EQUALS SIGN}1",
    # Where cells are parted by other signs than commas.
    "a;=1": "a;'=1",
    'a"\n=1': "a\"\n'=1",
    "a\t-b": "a\t'-b",
    # What looks like made safe already.
    "'=1": "''=1",
    "''": "''",
    # Nothing that would run.
    "-666": "-666",
    "+1e-5": "+1e-5",
    "(-)-gallocatechin": "(-)-gallocatechin",
    "CC(=O)[O-]": "CC(=O)[O-]",
    "BRD-K=@1": "BRD-K=@1",
    "a;b; -5": "a;b;' -5",
}


def test_no_text_runs_as_a_formula_and_all_of_it_can_be_read_back(tmp_path):
    table = pd.DataFrame(
        {"=name": list(CELLS), "number": -1.5, "whole": -2, "sure": True, "mixed": None}
    )
    # Cells of a column of mixed kinds keep their own.
    table.loc[:1, "mixed"] = pd.Series([-3.5, "=x"], dtype=object)
    before = table.copy()
    write_csv(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(table, before)
    with open(tmp_path / "table.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["'=name", "number", "whole", "sure", "mixed"]
    assert [row[0] for row in rows] == list(CELLS.values())
    assert {tuple(row[1:4]) for row in rows} == {("-1.5", "-2", "True")}
    assert [row[4] for row in rows[:3]] == ["-3.5", "'=x", ""]
    restored = read_csv(tmp_path / "table.csv", ["'=name"], keep_default_na=False)
    assert restored["=name"].tolist() == list(CELLS)
    assert restored["number"].tolist() == [-1.5] * len(CELLS)
    assert restored["mixed"].tolist()[:3] == ["-3.5", "=x", ""]


def test_a_name_that_two_columns_would_get_back_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text("'=a,=a\n1,2\n")
    with pytest.raises(InputError, match="the column '=a' twice"):
        read_csv(tmp_path / "table.csv", [])


def test_wide_tables_are_written_as_pandas_writes_them(tmp_path):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(7, 40)) * 10.0 ** rng.integers(-9, 9, size=(7, 40))
    values[0] = 0
    values[1, 3:6] = [np.nan, np.inf, -np.inf]
    values[2] = np.nan
    table = pd.DataFrame(values, columns=[f'moa "{place}", kind' for place in range(40)])
    table.insert(0, "pert_id", ["a", "b,c", 'd "e"', "f\ng", None, "", "h"])
    table.insert(1, "dose_um", [1.0, 0.123456789, np.nan, 10, 2, 3, 4])
    table.insert(2, "n_signatures", range(7))
    table.insert(3, "passes", [True, False] * 3 + [True])
    for name, digits in (("of_64.csv", 5), ("of_32.csv", 9)):
        if name == "of_32.csv":
            table = table.astype({column: np.float32 for column in table.columns[4:]})
        write_csv(tmp_path / name, table, digits=digits)
        expected = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
        assert (tmp_path / name).read_text() == expected
