"""Prediction from a run's folder: what the files lack or call otherwise, and bad input."""

import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from moa_jax import predict
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.predictions.compound_answers import label_set
from moa_jax.predictions.result_tables import read_csv
from moa_jax.schemas import Examples
from moa_jax.training.runs.run_folder import open_run
from tests.prediction_files import (
    COMPOUNDS,
    ENTREZ,
    GENES,
    PROBS,
    RAW,
    arguments,
    formulas,
    write_inputs,
    write_matrix,
    write_siginfo,
)

pytestmark = pytest.mark.slow

FILES = [
    "answers.csv",
    "compound_predictions.csv",
    "mechanisms.csv",
    "prediction_manifest.json",
    "signature_predictions.csv",
    "signature_quality.csv",
]


# Tables hold five significant digits.
ROUNDED = 5e-5


@pytest.fixture
def inputs(tmp_path):
    write_inputs(tmp_path)
    return tmp_path


def predicted(folder):
    names = ("signature_predictions.csv", "compound_predictions.csv")
    return tuple(pd.read_csv(folder / name) for name in names)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, tiny_run):
    """Tables for the whole input, and the folder they came from."""
    folder = tmp_path_factory.mktemp("reference")
    write_inputs(folder)
    assert predict.run(arguments(folder, tiny_run)) == 0
    return folder, *predicted(folder / "out")


@pytest.fixture(scope="module")
def model(tiny_run):
    return open_run(tiny_run).predictor


def examples_of(model, **changes) -> Examples:
    """What the files say, written down by hand."""
    values = {
        "expression": RAW.expression,
        "has_expression": np.ones(6, bool),
        "gene_mask": np.ones(5, bool),
        "table": RAW.table,
        "smiles": tuple(COMPOUNDS.get(pert_id) for pert_id in RAW.table["pert_id"]),
        "groups": tuple(RAW.table["pert_id"]),
        "targets": ((),) * 6,
        "moas": model.features.moas,
        "labels": np.zeros((6, 3), np.float32),
    }
    return Examples(**(values | changes))


def test_the_tables_hold_the_models_probabilities(reference, model):
    folder, signatures, compounds = reference
    assert sorted(path.name for path in (folder / "out").iterdir()) == FILES
    conditions = ["cell_line", "dose_um", "time_h"]
    assert list(signatures.columns) == ["sig_id", "pert_id", *conditions, "weight", *PROBS]
    pd.testing.assert_frame_equal(signatures[conditions], RAW.table[conditions], check_dtype=False)
    assert signatures["sig_id"].tolist() == RAW.table["sig_id"].tolist()
    assert signatures["pert_id"].tolist() == RAW.table["pert_id"].tolist()
    probs = model.predict(examples_of(model))
    np.testing.assert_allclose(signatures[PROBS], probs["fusion"], rtol=ROUNDED)
    # Every compound has one dose, so its good signatures count alike.
    quality = pd.read_csv(folder / "out" / "signature_quality.csv")
    good = quality["passes"].to_numpy().reshape(3, 2)
    weights = good / good.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(signatures["weight"], weights.ravel())
    np.testing.assert_allclose(quality["weight"], weights.ravel())
    pd.testing.assert_frame_equal(quality[conditions], RAW.table[conditions], check_dtype=False)

    assert list(compounds.columns) == ["pert_id", "n_signatures", "modalities_used", *PROBS]
    # A compound without signature gets no row.
    assert compounds["pert_id"].tolist() == ["BRD-000", "BRD-001", "BRD-002"]
    assert compounds["n_signatures"].tolist() == [2, 2, 2]
    both = "expression+structure"
    assert compounds["modalities_used"].tolist() == [both, both, "expression"]
    means = np.einsum("cs,csm->cm", weights, probs["fusion"].reshape(3, 2, 3))
    np.testing.assert_allclose(compounds[PROBS], means, rtol=ROUNDED)


def test_without_structure_the_answer_is_that_of_expression(reference, model):
    _, signatures, _ = reference
    alone = model.predict(examples_of(model))["expression"]
    ours = signatures[PROBS].to_numpy()
    np.testing.assert_allclose(ours[4:], alone[4:], rtol=ROUNDED)
    assert np.abs(ours[:4] - alone[:4]).max() > 1e-3


def test_no_compound_table_is_expression_alone(inputs, tiny_run, model):
    assert predict.run(arguments(inputs, tiny_run, compoundinfo=None)) == 0
    signatures, compounds = predicted(inputs / "out")
    alone = model.predict(examples_of(model))["expression"]
    np.testing.assert_allclose(signatures[PROBS], alone, rtol=ROUNDED)
    assert compounds["modalities_used"].tolist() == ["expression"] * 3


@pytest.mark.parametrize(
    "names",
    [ENTREZ, list(GENES["symbol"]), ["GENE100", "OLD1", "102", "alias3", "gene104"]],
    ids=["entrez", "symbol", "alias"],
)
def test_names_order_and_other_genes_change_no_probability(inputs, tiny_run, reference, names):
    order = [3, 0, 4, 1, 2]
    others = np.full((6, 2), 50, np.float32)
    values = np.concatenate([others, RAW.expression[:, order]], axis=1)
    write_matrix(inputs, values, ["7157", "TP53", *(names[place] for place in order)])
    assert predict.run(arguments(inputs, tiny_run)) == 0
    for ours, expected in zip(predicted(inputs / "out"), reference[1:], strict=True):
        pd.testing.assert_frame_equal(ours, expected, check_exact=True)


def test_a_missing_gene_is_a_masked_gene(inputs, tiny_run, model, capsys):
    write_matrix(inputs, RAW.expression[:, [0, 1, 3, 4]], ["100", "101", "103", "104"])
    assert predict.run(arguments(inputs, tiny_run)) == 0
    mask = np.array([True, True, False, True, True])
    # What stands in a masked column is not read.
    masked = examples_of(model, gene_mask=mask, expression=np.where(mask, RAW.expression, 9))
    signatures, _ = predicted(inputs / "out")
    np.testing.assert_allclose(signatures[PROBS], model.predict(masked)["fusion"], rtol=ROUNDED)
    assert "1 missing, assumed unchanged: 102 GENE102" in capsys.readouterr().out


def test_an_unknown_context_is_legal(inputs, tiny_run, model, capsys):
    table = RAW.table.assign(
        cell_line=["HELA", None] * 3, dose_um=[np.nan, 10.0] * 3, time_h=[24.0, np.nan] * 3
    )
    write_siginfo(inputs, table)
    assert predict.run(arguments(inputs, tiny_run)) == 0
    signatures, _ = predicted(inputs / "out")
    expected = model.predict(examples_of(model, table=table.assign(cell_line=None)))["fusion"]
    np.testing.assert_allclose(signatures[PROBS], expected, rtol=ROUNDED)
    printed = capsys.readouterr().out
    assert "cell lines unknown to the model: HELA (3 signatures)" in printed
    for name in ("cell line", "dose", "time"):
        assert f"signatures without {name}: 3" in printed


def answered_lines(inputs):
    """What the summary says of answers, from the files beside it."""
    answers = pd.read_csv(inputs / "out" / "answers.csv")
    reasons = pd.read_csv(inputs / "out" / "signature_quality.csv")["reasons"].dropna()
    counts = reasons.str.split("; ").explode().str.partition(":")[0].value_counts().sort_index()
    is_answered = answers["answer"] != "cannot tell"
    yield f"answered: {is_answered.sum()} of 3 compounds"
    words = {"no": "new compounds", "yes": "training compounds"}
    for known, words_of_it in words.items():
        own = answers["known"] == known
        assert own.any()
        yield f"  {(own & is_answered).sum()} of {own.sum()} {words_of_it}"
    for reason, count in counts.items():
        yield f"  {count} signatures not used: {reason}"


def test_the_summary_and_the_manifest_say_what_was_used(inputs, tiny_run, reference, capsys):
    assert predict.run(arguments(inputs, tiny_run)) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        "model: 3 mechanisms, trained on made up for tests",
        "level: 5, because the metadata are those of signatures (n_replicates is given)",
        "scale: zscore, because the values are around 0",
        "signatures: 6 of 3 compounds",
        "genes: 5 of 5 measured (0 matched by name), 0 others not used; read from row ids",
        "structures: 2 of 3 compounds",
        "  read from canonical_smiles, ids from pert_id",
        "  1 without: not in the compound table",
        *answered_lines(inputs),
        f"written to {inputs / 'out'}: answers.csv, signature_quality.csv, "
        "signature_predictions.csv, compound_predictions.csv, mechanisms.csv, "
        "prediction_manifest.json",
    ]
    # The same input gives the same bytes, wherever it lies.
    for name in FILES:
        assert (inputs / "out" / name).read_bytes() == (reference[0] / "out" / name).read_bytes()
    manifest = json.loads((inputs / "out" / "prediction_manifest.json").read_text())
    assert set(manifest["run"]) == {"release", "num_moas", "config_sha256", "params_sha256"}
    assert set(manifest["inputs"]) == {"signatures", "siginfo", "compoundinfo"}
    assert manifest["signatures"]["predicted"] == 6


def test_values_of_another_kind_raise_a_warning(inputs, tiny_run, capsys):
    # Two genes of log2 intensities, declared as z-scores.
    write_matrix(inputs, RAW.expression[:, :2] + 12, ENTREZ[:2])
    assert "--level=3 for log2 expression" in refused(capsys, arguments(inputs, tiny_run))
    assert predict.run(arguments(inputs, tiny_run, scale="zscore")) == 0
    printed = capsys.readouterr().out
    assert "warning: the median distance of the values" in printed
    assert "warning: less than half of the model's genes are measured" in printed


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


def test_names_do_not_run_as_formulas_in_a_spreadsheet(inputs, tiny_run, reference):
    names = {"BRD-000": "=cmd|' /C calc'!A0", "BRD-001": "-1+2", "BRD-002": "@SUM(1);+1-2"}
    table = RAW.table.replace({"pert_id": names}).assign(compound="=1+1")
    write_siginfo(inputs, table)
    assert predict.run(arguments(inputs, tiny_run)) == 0
    written = predicted(inputs / "out")[0]["pert_id"]
    safe = ["'=cmd|' /C calc'!A0", "'-1+2", "'@SUM(1);'+1-2"]
    assert written.tolist() == table["pert_id"].replace(list(names.values()), safe).tolist()
    for name in FILES:
        if name.endswith(".csv"):
            assert formulas(inputs / "out" / name) == []
    back = read_csv(inputs / "out" / "signature_predictions.csv", ["sig_id", "pert_id"])
    assert back["pert_id"].tolist() == table["pert_id"].tolist()


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


@pytest.mark.parametrize(("option", "value"), [("level", "five"), ("explain", "-1")])
def test_an_option_that_is_no_number_is_refused(inputs, tiny_run, capsys, option, value):
    message = refused(capsys, arguments(inputs, tiny_run, **{option: value}))
    assert f"--{option}={value} is not a whole number" in message


def refused(capsys, argv):
    """The one line that a refusal prints."""
    assert predict.run(argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def test_bad_input_is_one_sentence_and_writes_nothing(inputs, tiny_run, capsys):
    argv = arguments(inputs, tiny_run)
    write_siginfo(inputs, RAW.table.assign(sig_id=["sig0", "sig0", *RAW.table["sig_id"][2:]]))
    assert "siginfo.txt repeats the sig_id sig0" in refused(capsys, argv)
    write_siginfo(inputs)
    path = write_matrix(inputs, gene_ids=["A", "B", "C", "D", "E"])
    assert "none of the 5 landmark genes" in refused(capsys, argv)
    write_matrix(inputs)
    path.write_bytes(path.read_bytes()[:1000])
    assert "signatures.gctx is a truncated or corrupt GCTX file" in refused(capsys, argv)
    # Beyond what the model's arithmetic can hold.
    write_matrix(inputs, RAW.expression * np.float32(2e37))
    assert "the scale of" in refused(capsys, argv)
    assert "no finite answer for the signature sig0" in refused(capsys, [*argv, "--scale=zscore"])
    assert not (inputs / "out").exists()


@pytest.mark.parametrize("name", ["workdir", "out"])
def test_a_missing_option_is_named(inputs, tiny_run, capsys, name):
    assert f"--{name} is needed" in refused(capsys, arguments(inputs, tiny_run, **{name: None}))


def test_a_folder_that_is_no_run_is_refused(inputs, capsys):
    message = refused(capsys, arguments(inputs, inputs))
    assert "is not the folder of a run: it has no config.json" in message


def test_what_is_no_prediction_is_never_deleted(inputs, tiny_run, capsys):
    (inputs / "out").mkdir()
    (inputs / "out" / "thesis.txt").write_text("years of work")
    message = refused(capsys, arguments(inputs, tiny_run))
    assert "out contains thesis.txt, which does not belong to the prediction" in message
    assert (inputs / "out" / "thesis.txt").read_text() == "years of work"
    file = inputs / "siginfo.txt"
    assert "is a file" in refused(capsys, arguments(inputs, tiny_run, out=file))


def test_a_full_disk_leaves_the_older_prediction(inputs, tiny_run, capsys):
    assert predict.run(arguments(inputs, tiny_run)) == 0
    before = {name: (inputs / "out" / name).read_bytes() for name in FILES}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        argv = [*arguments(inputs, tiny_run, compoundinfo=None), "--overwrite"]
        message = refused(capsys, argv)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot write" in message
    assert "nothing was left half written" in message
    assert {name: (inputs / "out" / name).read_bytes() for name in FILES} == before
    assert len(list(inputs.iterdir())) == 4


def test_an_earlier_answer_is_replaced_only_where_that_is_asked_for(inputs, tiny_run, capsys):
    (inputs / "out").mkdir()
    argv = arguments(inputs, tiny_run)
    assert predict.run(argv) == 0
    before = {name: (inputs / "out" / name).read_bytes() for name in FILES}
    fewer = arguments(inputs, tiny_run, compoundinfo=None)
    message = refused(capsys, fewer)
    assert "out contains an earlier prediction" in message
    assert "--overwrite" in message
    assert {name: (inputs / "out" / name).read_bytes() for name in FILES} == before
    assert predict.run([*fewer, "--overwrite"]) == 0
    assert sorted(path.name for path in (inputs / "out").iterdir()) == FILES
    assert predicted(inputs / "out")[1]["modalities_used"].tolist() == ["expression"] * 3
    # Other files are not replaced even so.
    (inputs / "out" / "thesis.txt").write_text("years of work")
    assert "thesis.txt" in refused(capsys, [*fewer, "--overwrite"])
    assert len(list(inputs.iterdir())) == 4


def test_the_program_prints_its_help():
    command = [sys.executable, "-m", "moa_jax.predict", "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--signatures=VALUE" in answer.stdout
    assert "--overwrite  " in answer.stdout
