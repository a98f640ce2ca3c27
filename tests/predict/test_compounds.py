"""The answer for each compound: calibrated, explained, once for each drug, or none."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from moa_jax import predict
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.predictions.compound_answers import label_set
from tests.predict.files import (
    COMPOUNDS,
    FILES,
    PROBS,
    RAW,
    ROUNDED,
    arguments,
    examples_of,
    predicted,
    write_siginfo,
)

pytestmark = pytest.mark.slow


def test_answers_are_those_of_the_runs_validation(reference, tiny_run, model):
    folder, _, _ = reference
    answers = pd.read_csv(folder / "out" / "answers.csv", keep_default_na=False)
    quality = pd.read_csv(folder / "out" / "signature_quality.csv", keep_default_na=False)
    assert quality["sig_id"].tolist() == RAW.table["sig_id"].tolist()
    assert (quality["passes"] == (quality["reasons"] == "")).all()
    answers_of = read_calibration_store(tiny_run, model.features.moas)
    for row, answer in answers.iterrows():
        own = np.flatnonzero(RAW.table["pert_id"] == answer["pert_id"])
        good = own[quality["passes"][own]]
        assert len(good)
        view = "fusion" if answer["pert_id"] in COMPOUNDS else "expression"
        kept = answers_of[view]
        calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
        probs = model.predict(examples_of(model))["fusion"][good].mean(axis=0, keepdims=True)
        calibrated = calibrator.calibrate(probs.astype(np.float64))
        assert answer["confidence"] == pytest.approx(calibrated.confidence[0], rel=ROUNDED), row
        assert answer["moa_1"] == PROBS[calibrated.probs[0].argmax()]
        assert answer["probability_1"] == pytest.approx(calibrated.probs[0].max(), rel=ROUNDED)
        in_set = [moa for moa, inside in zip(PROBS, label_set(calibrated), strict=True) if inside]
        assert answer["label_set"] == "|".join(in_set)
        can_tell = calibrated.is_answered[0]
        assert answer["answer"] == (answer["moa_1"] if can_tell else "cannot tell")
        assert bool(answer["reasons"]) != can_tell


def test_answers_say_what_was_learned_from(reference, tiny_run):
    folder, _, _ = reference
    answers = pd.read_csv(folder / "out" / "answers.csv", keep_default_na=False)
    references = pd.read_parquet(tiny_run / "references.parquet")
    trained = set(references["pert_id"])
    # Two compounds have structures that nothing was learned of, but may have the ids of others.
    expected = ["yes" if pert_id in trained else "no" for pert_id in answers["pert_id"]]
    assert answers["known"].tolist() == expected
    assert set(expected) == {"yes", "no"}
    mechanisms = pd.read_csv(folder / "out" / "mechanisms.csv").set_index("mechanism")
    assert mechanisms.index.tolist() == PROBS
    for moa in PROBS:
        carrying = references[[moa in own for own in references["moas"]]]
        assert mechanisms["training_compounds"][moa] == carrying["group"].nunique() > 0
    for rank in (1, 2, 3):
        counts = mechanisms["training_compounds"][answers[f"moa_{rank}"]]
        assert answers[f"compounds_{rank}"].astype(int).tolist() == counts.tolist()
    assert answers["cell_lines"].tolist() == ["A375|MCF7"] * 3
    assert answers["doses_um"].astype(float).tolist() == [10] * 3
    assert answers["times_h"].astype(float).tolist() == [24] * 3
    manifest = json.loads((folder / "out" / "prediction_manifest.json").read_text())
    found = manifest["answers"]["learned_from"]
    assert {kind: counts["compounds"] for kind, counts in found.items()} == {
        kind: expected.count(kind) for kind in ("no", "yes")
    }


def test_one_drug_under_two_ids_is_answered_once(inputs, tiny_run, capsys):
    table = RAW.table.assign(compound=["x-1", "x-1", "other", "other", "X 1", "X 1"])
    write_siginfo(inputs, table)
    assert predict.run(arguments(inputs, tiny_run)) == 0
    out = inputs / "out"
    answers = pd.read_csv(out / "answers.csv")
    assert answers["pert_id"].tolist() == ["BRD-000|BRD-002", "BRD-001"]
    assert answers["compound"].tolist() == ["X 1", "other"]
    assert answers["n_signatures"].tolist() == [4, 2]
    signatures, compounds = predicted(out)
    assert compounds["pert_id"].tolist() == ["BRD-000|BRD-002", "BRD-001"]
    assert compounds["n_signatures"].tolist() == [4, 2]
    # Signatures keep their own ids, and those without structure get the drug's.
    assert signatures["pert_id"].tolist() == RAW.table["pert_id"].tolist()
    pooled = signatures[signatures["pert_id"] != "BRD-001"]
    assert pooled["weight"].sum() == pytest.approx(1, rel=ROUNDED)
    mean = (pooled[PROBS].to_numpy() * pooled[["weight"]].to_numpy()).sum(axis=0)
    np.testing.assert_allclose(compounds[PROBS].iloc[0], mean, rtol=2 * ROUNDED)
    assert answers["answered_from"].tolist() == ["expression+structure"] * 2
    assert "one answer for ids of one drug: BRD-000|BRD-002" in capsys.readouterr().out


def test_a_vehicle_gets_no_answer(inputs, tiny_run):
    table = RAW.table.assign(pert_id=["DMSO", "DMSO", *RAW.table["pert_id"][2:]])
    write_siginfo(inputs, table.assign(compound=["DMSO", "DMSO", *RAW.table["compound"][2:]]))
    assert predict.run(arguments(inputs, tiny_run)) == 0
    for name in FILES:
        if name.endswith(".csv"):
            assert "DMSO" not in (inputs / "out" / name).read_text(), name


def test_poor_signatures_leave_nothing_or_the_structure(inputs, tiny_run):
    write_siginfo(inputs, RAW.table.assign(tas=0.01))
    assert predict.run(arguments(inputs, tiny_run)) == 0
    answers = pd.read_csv(inputs / "out" / "answers.csv")
    assert answers["answered_from"].fillna("").tolist() == ["structure", "structure", ""]
    assert answers["notes"].str.startswith("answered from the structure alone: weak").sum() == 2
    poor = answers.iloc[2]
    assert poor["answer"] == "cannot tell"
    assert poor[["confidence", "moa_1", "probability_1", "label_set", "carried_by"]].isna().all()
    assert "weak (2 of 2 signatures), so try a higher dose, a longer time" in poor["reasons"]
    assert poor["reasons"].endswith(
        "provide its structure with --compoundinfo for an answer from that"
    )
    _, compounds = predicted(inputs / "out")
    assert compounds[PROBS].isna().all(axis=1).tolist() == [False, False, True]


def test_a_run_without_validation_answers_cannot_tell(inputs, tiny_run, capsys):
    run = inputs / "run"
    shutil.copytree(tiny_run, run)
    (run / "calibration_answers.parquet").unlink()
    assert predict.run(arguments(inputs, run)) == 0
    answers = pd.read_csv(inputs / "out" / "answers.csv")
    assert (answers["answer"] == "cannot tell").all()
    assert answers["reasons"].str.contains("has no out-of-fold answers").all()
    assert answers["confidence"].isna().all()
    assert "answered: 0 of 3 compounds" in capsys.readouterr().out
