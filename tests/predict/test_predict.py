"""Prediction from a run's folder: what the files lack or call otherwise."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from moa_jax import predict
from moa_jax.predictions.result_tables import read_csv
from tests.predict.files import (
    ENTREZ,
    FILES,
    GENES,
    PROBS,
    RAW,
    ROUNDED,
    arguments,
    examples_of,
    formulas,
    predicted,
    refused,
    write_matrix,
    write_siginfo,
)

pytestmark = pytest.mark.slow


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


def test_the_program_prints_its_help():
    command = [sys.executable, "-m", "moa_jax.predict", "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--signatures=VALUE" in answer.stdout
    assert "--overwrite  " in answer.stdout
