"""The closed form on LINCS 2020: its scores and its answers for ten compounds are held.

Everything is read from the files that the program writes, as a user would read them.
`shipped_answers.json` holds for each run the scores that the program reported, and for ten
compounds spread over the test part the mechanisms that rank first with their probabilities in the
three views. After a change that is meant to change them,

    python -m tests.test_shipped_model PREPARED_FOLDER RUNS

writes it from RUNS/kernels_fold0 and so on, trained by the commands that `arguments` returns.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

ROOT = pathlib.Path(__file__).parents[1]
ANSWERS_FILE = ROOT / "tests" / "shipped_answers.json"
# What the views are called in the tables of a run.
VIEWS = {"both": "fusion", "expression": "fusion_expression", "structure": "fusion_structure"}
SCORES = ("macro_auprc", "top1")
NUM_COMPOUNDS, NUM_MOAS = 10, 5

# vocabulary, fold of the split by compound, structures without signature
RUNS = {
    "kernels_fold0": ("open", 0, True),
    "kernels_fold0_measured_only": ("open", 0, False),
    "kernels_fold1": ("open", 1, True),
    "kernels_fold1_measured_only": ("open", 1, False),
    "frequent_fold0_measured_only": ("frequent", 0, False),
}

pytestmark = pytest.mark.slow


def arguments(name, prepared, workdir):
    """Command line of one of `RUNS`."""
    vocabulary, fold, with_structures = RUNS[name]
    return [
        f"--config={ROOT}/configs/kernels.py",
        f"--config.vocabulary={vocabulary}",
        f"--config.data={prepared}",
        f"--config.split.fold={fold}",
        f"--config.structure_only_compounds={with_structures}",
        "--config.baselines=()",
        f"--workdir={workdir}",
    ]


def scores_of(run):
    """view -> the scores that the program reported."""
    metrics = json.loads((run / "metrics.json").read_text())
    return {view: {score: metrics[name][score] for score in SCORES} for view, name in VIEWS.items()}


def probs_of(run):
    """view -> probabilities, one row per compound group and one column per mechanism."""
    table = pd.read_csv(run / "compound_predictions.csv", keep_default_na=False)
    methods = table.set_index("compound_group").drop(columns="moas").groupby("method")
    return {view: methods.get_group(name).drop(columns="method") for view, name in VIEWS.items()}


def first(row):
    """The mechanisms that rank first in a row of probabilities."""
    return list(row.sort_values(ascending=False, kind="stable").index[:NUM_MOAS])


@pytest.fixture(scope="module", params=RUNS)
def run_and_expected(request, lincs2020, tmp_path_factory):
    """Folder of a finished run, and what is held of it."""
    folder = tmp_path_factory.mktemp("shipped") / request.param
    # In a process as users have it: that of the tests compiles without optimising, for eight
    # virtual devices.
    ours = ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
    done = subprocess.run(
        [sys.executable, "-m", "moa_jax.train", *arguments(request.param, lincs2020, folder)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ours},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(ANSWERS_FILE.read_text())[request.param]


def test_the_reported_scores_are_the_known_ones(run_and_expected):
    run, expected = run_and_expected
    found = scores_of(run)
    for view, score in itertools.product(VIEWS, SCORES):
        assert found[view][score] == pytest.approx(expected["scores"][view][score], abs=0.002)


def test_the_answers_for_ten_compounds_are_the_known_ones(run_and_expected, lincs2020):
    run, expected = run_and_expected
    probs = probs_of(run)
    compounds = pd.read_parquet(lincs2020 / "compounds.parquet").set_index("pert_id")
    assert len(expected["answers"]) == NUM_COMPOUNDS
    for pert_id, known in expected["answers"].items():
        rows = {view: probs[view].loc[compounds["compound_group"][pert_id]] for view in VIEWS}
        for view, row in rows.items():
            values = row[list(known[view])].to_numpy()
            np.testing.assert_allclose(
                values, list(known[view].values()), rtol=0, atol=1e-5, err_msg=f"{pert_id} {view}"
            )
            # What is not named is bounded by what is.
            assert row.drop(list(known[view])).max() <= values.min() + 1e-5
            assert row.sum() == pytest.approx(1.0, abs=1e-5)


def answers_of(run, prepared):
    """What `shipped_answers.json` holds of a run."""
    probs = probs_of(run)
    compounds = pd.read_parquet(prepared / "compounds.parquet").drop_duplicates("compound_group")
    compounds = compounds.set_index("compound_group")
    groups = probs["both"].index.sort_values()
    chosen = groups[np.linspace(0, len(groups) - 1, NUM_COMPOUNDS).round().astype(int)]
    answers = {}
    for group in chosen:
        rows = {view: table.loc[group] for view, table in probs.items()}
        answers[compounds["pert_id"][group]] = {
            view: {moa: round(float(row[moa]), 8) for moa in first(row)}
            for view, row in rows.items()
        }
    return {"scores": scores_of(run), "answers": answers}


if __name__ == "__main__":
    prepared, runs = map(pathlib.Path, sys.argv[1:])
    held = {name: answers_of(runs / name, prepared) for name in RUNS}
    ANSWERS_FILE.write_text(json.dumps(held, indent=1) + "\n")
