"""What judged answers are worth: closed forms over the compounds of several runs."""

import numpy as np
import pytest

from experiments.main_result import confidence as experiment
from experiments.main_result.confidence import calibrated_by_run, trust_row
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import CalibratedAnswers, fit_calibrator
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.models.experts import VIEWS
from moa_jax.training.runs.run_folder import open_run
from tests.synthetic import make_dataset, make_raw_examples


def calibrated(confidence, is_answered, in_set):
    probs = np.tile([0.6, 0.4], (len(confidence), 1))
    return CalibratedAnswers(
        probs=probs,
        none_of_these=np.zeros(len(confidence)),
        confidence=np.array(confidence),
        is_answered=np.array(is_answered),
        p_values=probs,
        in_set=np.array(in_set, bool),
        none_in_set=np.zeros(len(confidence), bool),
    )


def test_compounds_of_all_runs_count_together():
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    row = trust_row(
        [
            (calibrated([0.9, 0.6], [True, True], [[1, 0], [1, 1]]), np.array([right, wrong])),
            (calibrated([0.8], [False], [[1, 0]]), np.array([right])),
        ]
    )
    assert row == pytest.approx(
        {
            "compounds": 3,
            "Brier": (0.1**2 + 0.6**2 + 0.2**2) / 3,
            # Nothing is wrong among the surest and the two surest, a third of all three.
            "AURC": (0 + 0 + 1 / 3) / 3,
            "answered": 2 / 3,
            "right of those": 1 / 2,
            "set covers": 1,
            "MoAs in set": 4 / 3,
        }
    )


@pytest.mark.slow
def test_the_command_judges_each_fold_by_its_own_answers(tiny_run, tmp_path, monkeypatch, capsys):
    moas = open_run(tiny_run, num_devices=1).predictor.features.moas
    kept = read_calibration_store(tiny_run, moas)
    found = calibrated_by_run(tiny_run)
    assert set(found) == set(VIEWS)
    own, labels = found["expression"]
    calibrator = fit_calibrator(
        kept["expression"].probs, kept["expression"].labels, kept["expression"].is_learnable
    )
    np.testing.assert_array_equal(own.is_answered, own.confidence >= calibrator.threshold)
    assert own.probs.shape == labels.shape

    write_prepared(tmp_path / "data", make_dataset(make_raw_examples()))
    scored = []
    monkeypatch.setattr(
        experiment,
        "trained_run",
        lambda config, out, *, fold, seed: (
            scored.append((config.structure_only_compounds, fold)) or tiny_run
        ),
    )
    experiment.main([f"--data={tmp_path / 'data'}", "--out=runs", "--without-structure-only"])
    assert scored == [(False, fold) for fold in range(5)]
    lines = capsys.readouterr().out.splitlines()
    firsts = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert [firsts[0], *firsts[2:]] == ["view", *VIEWS]
    assert f" {5 * len(labels)} " in lines[-1]
    with pytest.raises(SystemExit, match="2"):
        experiment.main([f"--data={tmp_path / 'none'}", "--out=runs"])
