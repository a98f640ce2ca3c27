"""Targets from training to `targets.csv`, on the tiny simulated release."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from moa_jax import predict
from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.calibration.target_calibration import (
    TARGET_CALIBRATION_FILE,
    read_target_calibration,
)
from moa_jax.kernels.known_targets import count_ligands, read_known_targets
from moa_jax.predictions.target_table import MIN_PROBABILITY, NUM_LISTED, TARGET_COLUMNS
from moa_jax.schemas import ACTIONS
from moa_jax.training.runs.run_folder import open_run
from moa_jax.training.target_answers import action_margins, target_scores
from tests.predict.files import arguments, write_inputs

pytestmark = pytest.mark.slow

# Tables hold five significant digits.
ROUNDED = 5e-5


@pytest.fixture(scope="module")
def run(protein_run):
    return open_run(protein_run, num_devices=1)


@pytest.fixture(scope="module")
def held_out(protein_run, run):
    return read_held_out(protein_run, run.predictor.features.moas)


def counts_of(folder, run):
    """Training compounds that are known to act on each gene."""
    return count_ligands(read_known_targets(folder), run.graph.genes["symbol"].tolist())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, run, held_out, protein_run):
    """The held-out signatures as files, and the structures of all and of a training compound."""
    folder = tmp_path_factory.mktemp("inputs")
    table = held_out.table.assign(pert_id=list(held_out.groups))
    pd.DataFrame(
        held_out.expression.T, index=run.genes["entrez_id"], columns=table["sig_id"]
    ).to_csv(folder / "signatures.csv")
    table.drop(columns=["tas", "cc_q75"]).to_csv(folder / "siginfo.csv", index=False)
    structures = pd.DataFrame({"pert_id": held_out.groups, "smiles": held_out.smiles})
    structures.drop_duplicates("pert_id").to_csv(folder / "structures.csv", index=False)
    return folder


def targets_of(folder, protein_run, out, **files):
    names = dict.fromkeys(("signatures", "siginfo", "compoundinfo"))
    files = names | {name: folder / file for name, file in files.items()}
    assert predict.run(arguments(folder, protein_run, out=out, **files)) == 0
    manifest = json.loads((out / "prediction_manifest.json").read_text())
    return pd.read_csv(out / "targets.csv"), pd.read_csv(out / "answers.csv"), manifest["targets"]


def test_every_row_is_what_the_model_says(inputs, protein_run, held_out, tmp_path, capsys):
    run = open_run(protein_run, num_devices=1)
    num_ligands = counts_of(protein_run, run)
    files = {"signatures": "signatures.csv", "siginfo": "siginfo.csv"}
    table, answers, counts = targets_of(
        inputs, protein_run, tmp_path / "out", compoundinfo="structures.csv", **files
    )
    assert list(table.columns) == list(TARGET_COLUMNS)
    assert counts["compounds"] == table["pert_id"].nunique() > 1
    assert counts["listed"] == len(table)
    assert f"targets: {len(table):,} proteins with a probability of 0.01 or more" in (
        capsys.readouterr().out
    )
    genes, weights = run.graph.genes, pd.read_csv(tmp_path / "out" / "signature_quality.csv")
    symbols = genes["symbol"].tolist()
    columns = np.array([symbols.index(name) for name in run.predictor.features.proteins])
    logits = run.predictor.predict_proteins(held_out)["fusion"]
    scores, margins = target_scores(logits, columns), action_margins(logits)
    calibrator = read_target_calibration(protein_run)["fusion"]
    both = answers.loc[answers["answered_from"] == "expression+structure", "pert_id"]
    assert len(both) > 1
    for group in both:
        own = table[table["pert_id"] == group]
        rows = np.flatnonzero(np.array(held_out.groups) == group)
        share = weights["weight"].to_numpy()[rows]
        expected = calibrator.probability((share @ scores[rows])[None], num_ligands)[0]
        listed = np.sort(expected)[::-1][:NUM_LISTED]
        np.testing.assert_allclose(
            own["probability"], listed[listed >= MIN_PROBABILITY], rtol=ROUNDED
        )
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        place = np.array([symbols.index(symbol) for symbol in own["symbol"]], int)
        np.testing.assert_allclose(own["probability"], expected[place], rtol=ROUNDED)
        assert own["entrez_id"].astype(str).tolist() == genes["entrez_id"].iloc[place].tolist()
        assert own["n_known_ligands"].tolist() == num_ligands[place].tolist()
        told = own["action"].notna().to_numpy()
        activates = calibrator.activates(share @ margins[rows])[place[told]]
        np.testing.assert_allclose(
            own["action_probability"][told], np.maximum(activates, 1 - activates), rtol=ROUNDED
        )
        assert own["action"][told].tolist() == [
            ACTIONS[one] for one in (activates > 0.5).astype(int)
        ]
        measured = own["is_measured"].to_numpy()
        np.testing.assert_array_equal(measured, place < run.graph.num_landmarks)
        z = (share @ held_out.expression[rows])[place[measured]]
        np.testing.assert_allclose(own["z"][measured], z, rtol=1e-3, atol=1e-5)
        sums = own["structure_share"] + own["signature_share"]
        np.testing.assert_allclose(sums.dropna(), 1.0, rtol=1e-4)
    assert table["known"].isna().all()


def test_neighbours_interact_in_string(inputs, protein_run, run, tmp_path):
    table, _, _ = targets_of(inputs, protein_run, tmp_path / "out", compoundinfo="structures.csv")
    symbols, edges = run.graph.genes["symbol"].to_numpy(), run.graph.interacts
    pairs = set(zip(symbols[edges.senders], symbols[edges.receivers], strict=True))
    found = 0
    for _, own in table.groupby("pert_id"):
        for row in own.itertuples():
            linked = (
                row.string_neighbours.split("|") if isinstance(row.string_neighbours, str) else []
            )
            assert linked == [other for other in own["symbol"] if (row.symbol, other) in pairs]
            found += len(linked)
    assert found


def test_structure_alone_and_expression_alone_have_their_own_evidence(
    inputs, protein_run, tmp_path
):
    alone, answers, _ = targets_of(
        inputs, protein_run, tmp_path / "alone", compoundinfo="structures.csv"
    )
    assert set(answers["answered_from"]) == {"structure"}
    assert (alone["structure_share"].dropna() == 1).all()
    assert not alone["is_measured"].any()
    assert alone["z"].isna().all()
    files = {"signatures": "signatures.csv", "siginfo": "siginfo.csv"}
    measured, answers, _ = targets_of(inputs, protein_run, tmp_path / "measured", **files)
    assert set(answers["answered_from"].dropna()) == {"expression"}
    assert (measured["signature_share"].dropna() == 1).all()
    assert set(measured["pert_id"]) <= set(answers["pert_id"])


def test_genes_that_were_not_measured_are_said_so(inputs, protein_run, tmp_path):
    matrix = pd.read_csv(inputs / "signatures.csv", index_col=0, dtype={0: str})
    few = matrix.iloc[: int(0.7 * len(matrix))]
    few.to_csv(tmp_path / "few.csv")
    table, _, _ = targets_of(
        inputs,
        protein_run,
        tmp_path / "out",
        signatures=tmp_path / "few.csv",
        siginfo="siginfo.csv",
    )
    is_left = table["entrez_id"].astype(str).isin(set(map(str, few.index)))
    assert (table["is_measured"] == is_left).all()
    assert table.loc[~is_left, "z"].isna().all()


def test_a_training_compound_has_known_targets(inputs, protein_run, tmp_path):
    references = pd.read_parquet(protein_run / "references.parquet")
    known = read_known_targets(protein_run).set_index("group")["targets"]
    structures = references[references["smiles"].notna() & references["group"].isin(known.index)]
    row = structures.iloc[0]
    (tmp_path / "one.csv").write_text(f"pert_id,smiles\nasked,{row.smiles}\n")
    table, _, _ = targets_of(
        inputs, protein_run, tmp_path / "out", compoundinfo=tmp_path / "one.csv"
    )
    listed = set(table.loc[table["known"] == "yes", "symbol"])
    assert listed == set(known[row.group]) & set(table["symbol"])
    assert listed


def test_metrics_of_the_test_part_lie_in_the_run(protein_run, run, held_out):
    num_ligands = counts_of(protein_run, run)
    metrics = json.loads((protein_run / "simulated_target_metrics.json").read_text())
    symbols = run.graph.genes["symbol"].tolist()
    columns = np.array([symbols.index(name) for name in run.predictor.features.proteins])
    scores = target_scores(run.predictor.predict_proteins(held_out)["fusion"], columns)
    groups, first = np.unique(held_out.groups, return_index=True)
    pooled = np.stack([scores[np.array(held_out.groups) == group].mean(axis=0) for group in groups])
    probs = read_target_calibration(protein_run)["fusion"].probability(pooled, num_ligands)
    is_target = np.array([np.isin(symbols, held_out.targets[row]) for row in first])
    asked = is_target.any(axis=1)
    ranked = (num_ligands > 0) | is_target.any(axis=0)
    expected = [
        average_precision_score(labels[ranked], own[ranked])
        for labels, own in zip(is_target[asked], probs[asked], strict=True)
    ]
    first = metrics["mean_average_precision"][0]
    assert first["rarest_target"] == "all"
    assert first["compounds"] == asked.sum()
    assert first["fusion"] == pytest.approx(np.mean(expected))
    assert first["fusion"] > 2 * first["frequency"]
    pairs = metrics["reliability_with_ligands"] + metrics["reliability_by_graph"]
    assert sum(row["pairs"] for row in pairs) == asked.sum() * len(symbols)
    card = (protein_run / "simulated_model_card.md").read_text()
    assert f"## Targets of the test part\n\n{asked.sum()} compounds with a known target" in card
    assert (protein_run / "simulated_per_target.csv").exists()


def test_a_run_without_proteins_writes_no_targets(tmp_path, tiny_run, capsys):
    write_inputs(tmp_path)
    assert predict.run(arguments(tmp_path, tiny_run)) == 0
    assert not (tmp_path / "out" / "targets.csv").exists()
    manifest = json.loads((tmp_path / "out" / "prediction_manifest.json").read_text())
    assert manifest["targets"] is None
    assert "targets" not in capsys.readouterr().out


def test_a_damaged_calibration_is_refused(inputs, protein_run, tmp_path, capsys):
    copy = tmp_path / "run"
    copy.mkdir()
    for path in protein_run.iterdir():
        if path.name != TARGET_CALIBRATION_FILE:
            (copy / path.name).symlink_to(path)
    (copy / TARGET_CALIBRATION_FILE).write_text('{"format_version": 7, "views": {}}')
    argv = arguments(
        inputs,
        copy,
        signatures=None,
        siginfo=None,
        compoundinfo=inputs / "structures.csv",
        out=tmp_path / "out",
    )
    assert predict.run(argv) == 2
    assert f"{TARGET_CALIBRATION_FILE} has format version 7" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
