"""Structures in `predict` and `explain`: any usual table, metadata, and without any signature."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from moa_jax import explain, predict
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.training.runs.run_folder import open_run
from tests.predict.files import (
    COMPOUNDS,
    ENTREZ,
    FILES,
    PROBS,
    RAW,
    arguments,
    examples_of,
    predicted,
    refused,
)

KEPT = {pert_id: smiles for pert_id, smiles in COMPOUNDS.items() if pert_id != "BRD-999"}


@pytest.fixture(scope="module")
def reference(tiny_prediction):
    return predicted(tiny_prediction / "out")


def alone(folder, run, **others):
    return arguments(folder, run, **({"signatures": None, "siginfo": None} | others))


def geo_pert_info():
    columns = "pert_id pert_iname pert_type is_touchstone inchi_key_prefix inchi_key"
    rows = [f"{key}\tx{key}\ttrt_cp\t1\t-666\t-666\t{smi}\t-666" for key, smi in COMPOUNDS.items()]
    return "\n".join(["\t".join([*columns.split(), "canonical_smiles", "pubchem_cid"]), *rows])


TABLES = {
    "geo": geo_pert_info(),
    "two columns": "pert_id\tcanonical_smiles\n"
    + "".join(f"{key}\t{smiles}\n" for key, smiles in COMPOUNDS.items()),
    "csv": "SMILES,Broad ID\n" + "".join(f"{smi},{key}\n" for key, smi in COMPOUNDS.items()),
    "list": "".join(f"{smiles} {key}\n" for key, smiles in COMPOUNDS.items()),
    "lower case ids": "id;smiles\n" + "".join(f"{k.lower()};{s}\n" for k, s in COMPOUNDS.items()),
}


@pytest.mark.parametrize("name", TABLES)
def test_ids_and_structures_are_all_that_is_needed(inputs, tiny_run, reference, name):
    (inputs / "compoundinfo.txt").write_text(TABLES[name])
    assert predict.run(arguments(inputs, tiny_run)) == 0
    for ours, expected in zip(predicted(inputs / "out"), reference, strict=True):
        pd.testing.assert_frame_equal(ours, expected, check_exact=True)


def test_a_table_may_know_compounds_by_their_names_alone(inputs, tiny_run, reference):
    names = dict(zip(RAW.table["pert_id"], RAW.table["compound"], strict=True))
    rows = "".join(f"{names[key].upper()},{smiles}\n" for key, smiles in KEPT.items())
    (inputs / "compoundinfo.txt").write_text("name,smiles\n" + rows)
    assert predict.run(arguments(inputs, tiny_run)) == 0
    pd.testing.assert_frame_equal(predicted(inputs / "out")[0], reference[0], check_exact=True)
    manifest = json.loads((inputs / "out" / "prediction_manifest.json").read_text())
    assert manifest["compounds"]["found_by_name_or_other_spelling"] == 2


def write_h5ad(path, smiles):
    """The signatures as AnnData writes them, with structures in `obs`."""
    with h5py.File(path, "w") as file:
        file["X"] = RAW.expression
        for name, index in (("obs", list(RAW.table["sig_id"])), ("var", ENTREZ)):
            group = file.create_group(name)
            group.attrs["_index"], group.attrs["encoding-type"] = "_index", "dataframe"
            group.attrs["encoding-version"], group.attrs["column-order"] = (
                "0.2.0",
                np.array([], "S1"),
            )
            group["_index"] = np.array(index, h5py.string_dtype())
        columns = {
            "pert_id": RAW.table["pert_id"],
            "cmap_name": RAW.table["compound"],
            "cell_iname": RAW.table["cell_line"],
            "dose_um": RAW.table["dose_um"].astype(str),
            "time_h": RAW.table["time_h"].astype(str),
            **smiles,
        }
        for name, values in columns.items():
            file["obs"][name] = np.array(list(values), h5py.string_dtype())
        file["obs"].attrs["column-order"] = np.array(list(columns), h5py.string_dtype())
        file["X"].attrs["encoding-type"] = "array"


@pytest.mark.parametrize("name", ["SMILES", "canonical_smiles"])
def test_structures_in_obs_are_used_where_no_table_gives_one(inputs, tiny_run, capsys, name):
    told = [COMPOUNDS.get(pert_id, "") for pert_id in RAW.table["pert_id"]]
    matrix = inputs / "signatures.h5ad"
    write_h5ad(matrix, {name: told})
    others = {"signatures": matrix, "siginfo": None}
    argv = arguments(inputs, tiny_run, **others, compoundinfo=None)
    assert predict.run(argv) == 0
    assert "2 from the signatures' own metadata" in capsys.readouterr().out
    found = predicted(inputs / "out")[0]
    argv = arguments(inputs, tiny_run, **others, out=inputs / "other")
    assert predict.run(argv) == 0
    pd.testing.assert_frame_equal(found, predicted(inputs / "other")[0], check_exact=True)
    # The table counts where both tell.
    (inputs / "compoundinfo.txt").write_text("pert_id,smiles\nBRD-000,c1ccncc1\nBRD-001,NA\n")
    assert predict.run(arguments(inputs, tiny_run, **others, out=inputs / "third")) == 0
    third = predicted(inputs / "third")[0][PROBS].to_numpy()
    assert np.abs(third[:2] - found[PROBS].to_numpy()[:2]).max() > 1e-3
    np.testing.assert_array_equal(third[2:], found[PROBS].to_numpy()[2:])


def test_structures_in_siginfo_are_used(inputs, tiny_run, reference):
    path = inputs / "siginfo.txt"
    table = pd.read_csv(path, sep="\t", dtype=str)
    table["canonical_smiles"] = table["pert_id"].map(COMPOUNDS)
    table.to_csv(path, sep="\t", index=False)
    assert predict.run(arguments(inputs, tiny_run, compoundinfo=None)) == 0
    pd.testing.assert_frame_equal(predicted(inputs / "out")[0], reference[0], check_exact=True)


def test_structures_alone_are_answered(inputs, tiny_run, capsys):
    path = inputs / "compoundinfo.txt"
    path.write_text(TABLES["csv"] + "not a molecule,BRD-A0\n")
    assert predict.run(alone(inputs, tiny_run)) == 0
    printed = capsys.readouterr().out
    assert "no signatures: answers from structure only" in printed
    assert "structures: 3 of 4 compounds" in printed
    assert "  1 without: invalid SMILES" in printed
    assert sorted(found.name for found in (inputs / "out").iterdir()) == FILES

    model = open_run(tiny_run).predictor
    _, compounds = predicted(inputs / "out")
    ids = ["BRD-000", "BRD-001", "BRD-999", "BRD-A0"]
    assert compounds["pert_id"].tolist() == ids
    assert compounds["n_signatures"].tolist() == [0] * 4
    assert compounds["modalities_used"].fillna("").tolist() == ["structure"] * 3 + [""]

    answers = pd.read_csv(inputs / "out" / "answers.csv", keep_default_na=False)
    assert answers["n_signatures"].tolist() == answers["n_signatures_used"].tolist() == [0] * 4
    kept = read_calibration_store(tiny_run, model.features.moas)["structure"]
    mechanisms = pd.read_csv(inputs / "out" / "mechanisms.csv")
    calibrator = fit_calibrator(
        kept.probs,
        kept.labels,
        kept.is_learnable,
        num_compounds=mechanisms["training_compounds"].fillna(0).to_numpy(int),
    )
    calibrated = calibrator.calibrate(compounds[PROBS].to_numpy(np.float64)[:3])
    # The tables hold five digits, and a confidence near zero hangs on all of them.
    np.testing.assert_allclose(answers["confidence"][:3].astype(float), calibrated.confidence, 0.05)
    assert answers["answer"][3] == "cannot tell"
    assert answers["confidence"][3] == answers["label_set"][3] == answers["moa_1"][3] == ""
    assert "no signature and no structure that can be read" in answers["reasons"][3]

    quality = pd.read_csv(inputs / "out" / "signature_quality.csv")
    assert quality["passes"].tolist() == [True] * 3 + [False]
    assert quality[["share_of_genes", "strength", "magnitude", "similarity"]].isna().all(axis=None)
    manifest = json.loads((inputs / "out" / "prediction_manifest.json").read_text())
    assert set(manifest["inputs"]) == {"compoundinfo"}
    assert manifest["level"] is None
    assert manifest["answers"]["signatures_used"] == 0


def test_the_structure_says_the_same_with_and_without_signatures(inputs, tiny_run):
    assert predict.run(alone(inputs, tiny_run)) == 0
    model = open_run(tiny_run).predictor
    _, compounds = predicted(inputs / "out")
    # The dose and the cell line of a signature are no part of it.
    bare = RAW.table.assign(cell_line=None, dose_um=np.nan, time_h=np.nan)
    views = model.predict(examples_of(model, table=bare))["structure"]
    np.testing.assert_allclose(compounds[PROBS].to_numpy()[:2], views[[0, 2]], rtol=5e-5)


def test_structures_alone_are_explained(inputs, tiny_run, capsys):
    (inputs / "compoundinfo.txt").write_text(TABLES["csv"] + "not a molecule,BRD-A0\n")
    argv = [argument for argument in alone(inputs, tiny_run) if "--out" not in argument]
    assert explain.run([*argv, f"--out={inputs / 'out'}"]) == 0
    assert "not explained, for want of a readable structure: BRD-A0" in capsys.readouterr().out
    tables = {path.stem: pd.read_csv(path) for path in (inputs / "out" / "tables").glob("*.csv")}
    assert tables["answers"]["compound_group"].tolist() == ["BRD-000", "BRD-001", "BRD-999"]
    assert tables["answers"]["num_signatures"].tolist() == [0] * 3
    assert set(tables["evidence"]["expert"]) == {"structure_kernel"}
    assert len(tables["genes"]) == len(tables["signatures"]) == len(tables["nodes"]) == 0
    assert set(tables["audit"]["light"]) == {"grey"}
    assert len(tables["substructures"]) > 0
    pages = [path.read_text() for path in sorted((inputs / "out" / "reports").iterdir())]
    assert len(pages) == 3
    assert all("structure alone" in page and "<h2>Genes" not in page for page in pages)
    assert all("Molecule" in page and "nan" not in page.split("</style>")[1] for page in pages)
    # As one more step of a prediction, and none overwritten unasked.
    assert explain.run([*argv, f"--out={inputs / 'out'}"]) == 2
    assert "out contains an earlier explanation" in capsys.readouterr().err
    assert (
        explain.run([*argv, f"--out={inputs / 'out'}", "--compounds=brd-000", "--overwrite"]) == 0
    )
    assert len(list((inputs / "out" / "reports").iterdir())) == 1


def test_predict_explains_structures_alone(inputs, tiny_run, capsys):
    assert predict.run(alone(inputs, tiny_run, explain=2)) == 0
    answers = pd.read_csv(inputs / "out" / "answers.csv")
    answered = min(2, int((answers["answer"] != "cannot tell").sum()))
    assert f"explained: {answered} answers, new compounds first" in capsys.readouterr().out
    assert (inputs / "out" / "explanations").is_dir() == (answered > 0)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"compoundinfo": None}, "--signatures or --compoundinfo is needed"),
        ({"siginfo": "siginfo.txt"}, "--siginfo cannot be used without --signatures"),
        ({"level": 5}, "--level cannot be used without --signatures"),
        (
            {"siginfo": "x.txt", "scale": "log2", "gene_ids": "entrez"},
            "--siginfo, --scale and --gene_ids cannot be used without --signatures",
        ),
    ],
)
def test_what_is_missing_without_signatures_is_named(inputs, tiny_run, capsys, others, message):
    assert message in refused(capsys, alone(inputs, tiny_run, **others))
    assert not (inputs / "out").exists()


def test_a_table_without_any_readable_structure_is_refused(inputs, tiny_run, capsys):
    (inputs / "compoundinfo.txt").write_text("pert_id,smiles\nA,restricted\nB,nonsense\n")
    message = refused(capsys, alone(inputs, tiny_run))
    assert "has no valid structure among 2 compounds" in message
    assert "1: invalid SMILES; 1: no structure" in message
