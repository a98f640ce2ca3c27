"""The card of a run says what the run holds, the same each time."""

import dataclasses
import importlib.metadata

import pytest

from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from moa_jax.files import read_json, write_json
from moa_jax.model_card.card import write_model_card
from moa_jax.predictions.result_tables import pool_results
from moa_jax.training.runs.run_folder import open_run
from tests.synthetic import make_raw_examples, tiny_config

RAW = make_raw_examples()


@pytest.fixture(scope="module")
def finished(tiny_run):
    """Split, parts and results of the tiny run."""
    unknown = dataclasses.replace(RAW, smiles=(None,) * RAW.num_examples)
    split = make_split("compound", unknown, fold=0, num_folds=2, validation_fraction=0.25)
    parts = {part: RAW.take(rows) for part, rows in split_rows(split, RAW).items()}
    views = open_run(tiny_run).predictor.predict(parts["test"])
    names = {"fusion": "fusion", "expression": "fusion_expression"}
    probs = {name: views[view] for view, name in names.items()}
    return split, parts, pool_results(probs, parts["test"], "made up for tests")


def card_of(folder, run, finished, config=None):
    """The card, written beside a copy of what it reads from the run's folder."""
    for name in ("calibration_answers.parquet", "references.parquet"):
        (folder / name).write_bytes((run / name).read_bytes())
    manifest = read_json(run / "data_manifest.json")
    inputs = {
        "string_links": {"file": "string/links.gz", "sha256": "ab" * 32},
        "structure_only_compounds": {"file": "hub.txt", "sha256": "cd" * 32},
    }
    write_json(folder / "data_manifest.json", {**manifest, "inputs": inputs})
    write_model_card(folder, config or tiny_config(), *finished)
    return (folder / "model_card.md").read_text()


def test_the_card_says_what_the_run_is(tmp_path, tiny_run, finished):
    _, parts, results = finished
    card = card_of(tmp_path, tiny_run, finished)
    assert card.startswith("# Model card: made up for tests\n")
    titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert titles == [
        "Data",
        "Split",
        "Performance on the test part",
        "Calibration and abstention",
        "Known failures",
        "Intended use",
        "Contents of the checkpoint",
        "Versions",
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines()]
    for name, part in parts.items():
        compounds = str(len(set(part.groups)))
        count = str(part.num_examples)
        assert [name, compounds, compounds, count, compounds, "2"] in rows
    assert ["hub.txt", "labels and structures (Hub)", "non-commercial use"] in [
        row[:3] for row in rows
    ]
    assert ["links.gz", "STRING", "CC BY 4.0", "abababababababab"] in rows
    assert "Rule `compound`, fold 0 of 2, seed 0. No compound of the test part was" in card
    score = results.scores()["fusion"]
    (fusion,) = (row for row in rows if row[:1] == ["fusion"])
    assert fusion[1].startswith(f"{score['macro_auprc']:.3f} (")
    assert any(row[:1] == ["fusion_expression"] for row in rows)
    kept = read_calibration_store(tiny_run, results.moas)["fusion"]
    calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
    (answered,) = (row for row in rows if row[:1] == ["coverage"])
    assert answered[1] == f"{calibrator.coverage:.3f}"
    # The final model is trained on validation compounds, too.
    learned = parts["train"].num_examples + parts["validation"].num_examples
    assert f"{learned} in signature_kernel" in card
    assert ["rdkit", importlib.metadata.version("rdkit")] in rows


def test_the_same_run_gives_the_same_card(tmp_path, tiny_run, finished):
    assert card_of(tmp_path, tiny_run, finished) == card_of(tmp_path, tiny_run, finished)


def test_a_simulated_release_is_called_so(tmp_path, tiny_run, finished):
    split, parts, results = finished
    simulated = dataclasses.replace(results, release="simulated")
    write_json(tmp_path / "data_manifest.json", {"release": "simulated"})
    write_model_card(tmp_path, tiny_config(), split, parts, simulated)
    card = (tmp_path / "simulated_model_card.md").read_text()
    assert "nothing below is about real compounds" in card
    assert "Not calibrated: the run has no validation part." in card
    assert not (tmp_path / "model_card.md").exists()
