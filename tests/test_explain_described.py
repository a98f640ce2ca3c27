"""Pages on the tiny simulated release: what stands behind answers, and described mechanisms."""

import numpy as np
import pandas as pd
import pytest

from moa_jax import explain, predict
from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.files import read_json
from moa_jax.predictions.answer_basis import training_basis
from moa_jax.training.runs.run_folder import open_run
from tests.report.pages import cells_of, parse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def held_out(protein_run):
    moas = open_run(protein_run, num_devices=1).predictor.features.moas
    return read_held_out(protein_run, moas)


@pytest.fixture(scope="module")
def mechanisms(protein_run, tmp_path_factory):
    """A table of two mechanisms."""
    first, second = open_run(protein_run, num_devices=1).graph.genes["symbol"].iloc[[0, 1]]
    path = tmp_path_factory.mktemp("mechanisms") / "mechanisms.csv"
    path.write_text(f"name,genes,action\nmy first,{first},inhibits\nmy second,{second},\n", "utf-8")
    return path


def run(program, **options):
    assert program.run([f"--{name}={value}" for name, value in options.items()]) == 0


def explained_table(folder, name):
    return pd.read_csv(folder / f"explained/tables/simulated_{name}.csv")


def tables_of(page):
    """Heading of a section -> its first table."""
    sections = parse(page.read_text()).all("section")
    found = {next(own.all("h2")).text: [*own.all("table")] for own in sections}
    return {head: cells_of(tables[0]) for head, tables in found.items() if tables}


def test_explain_shows_the_basis_and_what_predict_says_of_described_mechanisms(
    protein_run,
    held_out,
    mechanisms,
    tmp_path,
    capsys,
):
    # A structure alone, so that both programs read the same.
    place = next(row for row, smiles in enumerate(held_out.smiles) if smiles)
    compounds = tmp_path / "compounds.csv"
    compounds.write_text(f"pert_id,smiles\nmine,{held_out.smiles[place]}\n", "utf-8")
    given = {"workdir": protein_run, "compoundinfo": compounds, "mechanisms": mechanisms}
    run(explain, **given, out=tmp_path / "explained")
    assert "described mechanisms: 2" in capsys.readouterr().out
    run(predict, **given, out=tmp_path / "predicted", explain=1)

    described = explained_table(tmp_path, "described_mechanisms")
    expected = pd.read_csv(tmp_path / "predicted" / predict.DESCRIBED_FILE)
    assert described["mechanism"].tolist() == expected["mechanism"].tolist()
    assert described["basis"].tolist() == expected["basis"].tolist()
    np.testing.assert_allclose(described["probability"], expected["probability"], rtol=1e-4)
    (page,) = (tmp_path / "explained/reports").iterdir()
    tables = tables_of(page)
    assert [row[0] for row in tables["Described mechanisms"][1:]] == list(expected["mechanism"])
    manifest = read_json(tmp_path / "explained/explanation_manifest.json")
    assert set(manifest["described"]["mechanisms"]) == {"my first", "my second"}

    moas = explained_table(tmp_path, "moas")
    counts = pd.read_csv(tmp_path / "predicted/mechanisms.csv").set_index("mechanism")
    own = counts["training_compounds"].reindex(moas["moa"]).tolist()
    assert moas["training_compounds"].tolist() == own
    assert moas["basis"].fillna("").tolist() == list(map(training_basis, own))
    head, *rows = tables["Answer"]
    assert head[2] == "basis"
    assert [row[2] for row in rows] == [
        training_basis(count) or "no training compound" for count in own[: len(rows)]
    ]
    answer = explained_table(tmp_path, "answers").iloc[0]
    stated = pd.read_csv(tmp_path / "predicted/answers.csv").iloc[0]
    for name in ("answer", "broader_mechanism", "broader_probability"):
        assert str(answer[name])[:6] == str(stated[name])[:6]
    # An explanation beside predictions has the described mechanisms, too.
    for page in (tmp_path / "predicted/explanations/reports").glob("*.html"):
        assert "Described mechanisms" in tables_of(page)


def test_a_model_without_experts_through_proteins_is_refused(
    tiny_run, mechanisms, tmp_path, capsys
):
    compounds = tmp_path / "compounds.csv"
    compounds.write_text("pert_id,smiles\nmine,CCCCO\n", "utf-8")
    options = {"workdir": tiny_run, "compoundinfo": compounds, "mechanisms": mechanisms}
    argv = [f"--{name}={value}" for name, value in options.items()]
    assert explain.run([*argv, f"--out={tmp_path / 'out'}"]) == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
