"""The explain program on a tiny run: what it writes, in which words, and what it refuses."""

import json
import pathlib
import shutil
import types

import numpy as np
import pandas as pd
import pytest

from moa_jax import explain, predict
from moa_jax.calibration.calibration_store import CALIBRATION_FILE, HELD_OUT_FILE, read_held_out
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.compound_page.files import file_stem, index_page
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.report.html import render_page
from moa_jax.training.runs.run_folder import open_run
from tests.browser import browser  # noqa: F401 (a fixture)
from tests.predict.files import PROBS, arguments, formulas, write_plate
from tests.report.pages import cells_of, parse
from tests.synthetic import make_gene_table

pytestmark = pytest.mark.slow

HOSTILE = "<script>document.title='x'</script>\"'><img src=x onerror=1>"
PAGES = ("index.html", f"reports/{file_stem(1, HOSTILE)}.html")


def change_names(path):
    """Gives the first compound and its signatures hostile names, and known targets."""
    table = pd.read_parquet(path)
    first = table["compound_group"] == sorted(table["compound_group"])[0]
    table.loc[first, "compound"] = HOSTILE
    table.loc[first, "sig_id"] = [f"{HOSTILE}{row}" for row in range(first.sum())]
    table["targets"] = [["GENE105"]] * len(table)
    table.to_parquet(path, index=False)


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """The tiny run, one of whose held-out compounds has hostile names."""
    folder = pathlib.Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("runs") / "run"))
    change_names(folder / HELD_OUT_FILE)
    return folder


@pytest.fixture(scope="module")
def model(run):
    return open_run(run).predictor


@pytest.fixture(scope="module")
def held_out(run, model):
    """Two held-out compounds, all that is explained here."""
    everything = read_held_out(run, model.features.moas)
    groups = sorted(set(everything.groups))[:2]
    return everything.take(np.flatnonzero(np.isin(everything.groups, groups)))


def start(run, out, **options):
    argv = {"workdir": run, "out": out, **options}
    return explain.run([f"--{name}={value}" for name, value in argv.items()])


@pytest.fixture(scope="module")
def ids(held_out):
    return ",".join(sorted(set(held_out.table["pert_id"])))


@pytest.fixture(scope="module")
def written(run, ids, tmp_path_factory):
    """Folder of the explanations."""
    folder = tmp_path_factory.mktemp("explained") / "out"
    assert start(run, folder, compounds=ids) == 0
    return folder


def table_of(folder, name):
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def files_of(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_tables_hold_the_models_answers_and_exact_sums(written, model, held_out):
    names = {path.stem for path in (written / "tables").iterdir()}
    assert names == {
        *("answers", "audit", "evidence", "experts", "genes", "labels", "moas", "modalities"),
        *("nodes", "pathways", "proximity", "signatures", "substructures"),
    }
    probs = model.predict(held_out)["fusion"]
    pooled, labels, groups = pool_by_compound(probs, held_out.labels, held_out.groups)
    answers = table_of(written, "answers")
    assert answers["compound_group"].tolist() == list(groups)
    best = [model.features.moas[moa] for moa in pooled.argmax(axis=1)]
    assert answers["most_probable"].tolist() == best
    assert answers["labels"].tolist() == [model.features.moas[row.argmax()] for row in labels]
    moas = table_of(written, "moas")
    for group, of_compound in moas.groupby("compound_group"):
        row = pooled[groups.index(group)]
        np.testing.assert_allclose(of_compound["model_probability"], np.sort(row)[::-1], rtol=1e-6)
        assert of_compound["probability"].sum() == pytest.approx(1)
        assert (of_compound["probability"].diff().dropna() <= 1e-12).all()
        assert (of_compound["in_set"] == (of_compound["p_value"] > 0.1)).all()
    # Parquet and CSV are one table.
    for name in names:
        stored = pd.read_parquet(written / "tables" / f"{name}.parquet")
        assert list(stored.columns) == list(table_of(written, name).columns)
        assert len(stored) == len(table_of(written, name))


def test_the_parts_of_the_experts_are_shown_and_sum_to_the_score(written, model, held_out):
    experts = table_of(written, "experts")
    names = list(model.task.model.experts)
    for group, of_compound in experts.groupby("compound_group"):
        assert of_compound["expert"].tolist() == names
        own = held_out.take(np.flatnonzero([other == group for other in held_out.groups]))
        logits = np.log(model.predict(own)["fusion"].astype(float)).mean(axis=0)
        answer = table_of(written, "answers").set_index("compound_group").loc[group]
        moa, other = (
            model.features.moas.index(answer[name]) for name in ("most_probable", "runner_up")
        )
        contrast = of_compound["contrast"].sum()
        assert contrast == pytest.approx(logits[moa] - logits[other], abs=1e-3)
    page = parse((written / PAGES[1]).read_text())
    rows = [row for table in page.all("table") for row in cells_of(table)]
    assert [row[0] for row in rows if row[0] in ("signature network", "together")] == [
        "signature network",
        "together",
    ]


def test_a_kernels_evidence_and_the_audit_are_there(written):
    evidence = table_of(written, "evidence")
    assert {"signature_kernel", "structure_kernel"} == set(evidence["expert"])
    assert {"similarity", "contribution", "from_similarity", "contrast"} < set(evidence.columns)
    audit = table_of(written, "audit")
    assert audit.groupby("compound_group").size().tolist() == [5, 5]
    assert set(audit["light"]) <= {"green", "amber", "red", "grey"}
    worst = {"grey": -1, "green": 0, "amber": 1, "red": 2}
    for group, of_compound in audit.groupby("compound_group"):
        overall = table_of(written, "answers").set_index("compound_group")["audit"][group]
        assert worst[overall] == max(map(worst.get, of_compound["light"]))
    genes = table_of(written, "genes")
    assert (genes["lowest"] <= genes["contribution"] + 1e-6).all()
    assert (genes["contribution"] <= genes["highest"] + 1e-6).all()
    # Both compounds have one known target, which the graph has.
    assert table_of(written, "proximity")["num_targets"].tolist() == [1] * 4


def labels_section(page):
    """Text and rows of the index's section on labels."""
    sections = parse(render_page(page)).all("section")
    (section,) = (own for own in sections if next(own.all("h2")).text == "Labels")
    return section.text, [row for table in section.all("table") for row in cells_of(table)[1:]]


def test_the_index_lists_labels_that_model_and_evidence_contradict(written):
    empty = parse((written / "index.html").read_text())
    assert (
        "No label of these compounds is contradicted in this way." in next(empty.all("main")).text
    )
    # A compound whose label the model finds impossible, while all that is near carries the answer.
    found = object.__new__(CompoundExplanation)
    doubted = {"labels": "moa 1|moa 2", "moa": "moa 1", "kind": DOUBTED, "prob": 0.01}
    doubted |= {"score": 0.9, "num_asked": 10, "num_carrying": 0, "num_carrying_answer": 7}
    rows = [doubted, doubted | {"moa": "moa 2", "num_carrying": 3}]
    values = {
        "name": HOSTILE,
        "group": "G",
        "moa": "moa 0",
        "runner_up": "moa 1",
        "confidence": 0.75,
        "answer": "moa 0",
        "broader": "",
        "broader_probability": np.nan,
        "known": "no",
        "known_sentence": "New: not in the training data.",
        "reasons": "",
        "notes": "",
        "answered_from": "expression",
        "calibrator": types.SimpleNamespace(threshold=0.5),
        "smiles": None,
        "targets": (),
        "checks": (),
        "tables": {
            "moas": pd.DataFrame(
                {"moa": PROBS, "probability": [0.9, 0.05, 0.05], "in_set": True}
            ).assign(is_label=[False, True, True]),
            "labels": pd.DataFrame(rows).assign(evidence_agrees=[True, False]),
            "signatures": pd.DataFrame(index=range(2)),
        },
    }
    for name, value in values.items():
        object.__setattr__(found, name, value)
    text, rows = labels_section(index_page([found], ["001-x"], {}))
    cells = ["moa 1; moa 2", "moa 1", ".010", "moa 0", ".750", "7 of 10"]
    assert rows == [[HOSTILE, *cells, ".900"]]
    assert "none carries the label" in text


def test_two_runs_write_the_same_bytes(written, run, ids, tmp_path):
    assert start(run, tmp_path / "again", compounds=ids) == 0
    first, second = files_of(written), files_of(tmp_path / "again")
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_pages_say_what_matters_and_load_nothing(written):
    assert len(files_of(written / "reports")) == 2
    assert file_stem(7, "../A B<c>\N{GREEK SMALL LETTER ALPHA}") == "007-a-b-c"
    assert file_stem(8, "\N{GREEK SMALL LETTER ALPHA}") == "008"
    for name in PAGES:
        source = (written / name).read_text()
        assert "<script>document" not in source
        assert "http" not in source.replace("http://www.w3.org/2000/svg", "").replace(
            "http-equiv", ""
        )
        page = parse(source)
        assert [element.tag for tag in ("img", "link", "iframe") for element in page.all(tag)] == []
        for link in page.all("a"):
            target = link.attributes["href"]
            if not target.startswith("#"):
                assert (written / name).parent.joinpath(target).resolve().is_file()
    report = parse((written / PAGES[1]).read_text())
    heads = [element.text for element in report.all("h2")]
    assert heads[:4] == ["Answer", "Audit", "Evidence", "Genes"]
    assert heads[4].startswith("Why not moa ")
    lights = [li for figure in report.all("figure") for li in figure.all("li")]
    assert all(
        any(span.attributes.get("class") == "word" and span.text for span in li.all("span"))
        for li in lights
        if li.attributes.get("class") in ("green", "amber", "red", "grey")
    )
    assert next(iter(report.all("h1"))).text == HOSTILE


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("name", PAGES)
def test_pages_open_and_fit(browser, written, name, width):  # noqa: F811 (the fixture)
    browser.open(written / name, width)
    assert browser.console() == []
    assert browser.requests() == [(written / name).as_uri()]
    assert browser.overflow() == 0
    assert browser.find_all("img") == []
    assert browser.driver.title != "x"


def test_a_users_signatures_without_names_or_structures(run, held_out, tmp_path, capsys):
    values = held_out.expression
    names = [f"=cmd|{HOSTILE}{row}" for row in range(len(values))]
    write_gctx(
        tmp_path / "mine.gctx",
        profile_table=pd.DataFrame(index=names),
        gene_table=pd.DataFrame(index=pd.Index(make_gene_table()["entrez_id"])),
        blocks=[values],
    )
    out = tmp_path / "out"
    assert start(run, out, signatures=tmp_path / "mine.gctx") == 0
    answers = table_of(out, "answers")
    assert len(answers) == len(values)
    assert answers["labels"].isna().all()
    tables = list((out / "tables").glob("*.csv"))
    assert "substructures" not in {path.stem for path in tables}
    # Parquet holds the names as they are.
    assert pd.read_parquet(out / "tables/answers.parquet")["compound"].tolist() == sorted(names)
    assert {name[:5] for name in answers["compound"]} == {"'=cmd"}
    assert [formulas(path) for path in tables] == [[]] * len(tables)
    manifest = json.loads((out / "explanation_manifest.json").read_text())
    assert manifest["signatures"]["without_pert_id"] == 0
    page = (out / "reports" / sorted(files_of(out / "reports"))[0]).read_text()
    assert "The structure of this compound is not known" in page
    assert "<script>document" not in page


def test_wells_are_explained_as_predict_answers_them(run, tmp_path, capsys):
    write_plate(tmp_path)
    plate = {"signatures": tmp_path / "plate.tsv", "siginfo": tmp_path / "wells.txt", "level": 3}
    assert start(run, tmp_path / "out", **plate) == 0
    printed = capsys.readouterr().out
    assert "from 4 of 7 wells on 1 plate, 3 of them vehicle wells" in printed
    argv = arguments(tmp_path, run, **plate, compoundinfo=None, out=tmp_path / "predicted")
    assert predict.run(argv) == 0
    predicted = pd.read_csv(tmp_path / "predicted" / "compound_predictions.csv")
    answers = table_of(tmp_path / "out", "answers")
    assert answers["compound_group"].tolist() == predicted["pert_id"].tolist()
    # The replicates of the second disagree: it is answered by neither.
    has_answer = predicted["modalities_used"].notna().to_numpy()
    assert has_answer.tolist() == [True, False]
    best = predicted[PROBS][has_answer].idxmax(axis=1)
    assert answers["most_probable"][has_answer].tolist() == best.tolist()
    moas = table_of(tmp_path / "out", "moas").query("rank == 1")["model_probability"]
    np.testing.assert_allclose(
        moas[has_answer], predicted[PROBS][has_answer].max(axis=1), rtol=1e-4
    )
    given = pd.read_csv(tmp_path / "predicted" / "answers.csv")
    for name in ("known", "answer", "reasons", "answered_from"):
        assert answers[name].tolist() == pytest.approx(given[name].tolist(), nan_ok=True)
    np.testing.assert_allclose(answers["confidence"], given["confidence"], rtol=1e-4)
    assert answers["confidence"].isna().tolist() == [False, True]
    assert answers["label_set"].isna().tolist() == [False, True]
    assert "Known: in the training data (drug 0: moa 0)." in printed
    page = (tmp_path / "out" / "reports" / "002-brd-001.html").read_text()
    assert "Cannot tell: " in page
    assert "so measure more replicates" in page
    assert "New: not in the training data, with no structure to compare." in page
    ours, theirs = (
        json.loads((tmp_path / name).read_text())
        for name in ("out/explanation_manifest.json", "predicted/prediction_manifest.json")
    )
    assert {name: ours[name] for name in ("level", "inputs", "genes")} == {
        name: theirs[name] for name in ("level", "inputs", "genes")
    }
    assert ours["level"]["level"] == 3


def refused(capsys, run, out, **options):
    """The one line that a refusal prints."""
    assert start(run, out, **options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def test_bad_input_is_one_sentence_and_writes_nothing(run, held_out, tmp_path, capsys):
    out = tmp_path / "out"
    message = refused(capsys, run, out)
    assert "--compounds, --signatures or --compoundinfo is needed" in message
    message = refused(capsys, run, out, compounds="drug", siginfo="x.txt")
    assert "--siginfo cannot be used without --signatures" in message
    message = refused(capsys, run, out, compounds="drug", level=3, gene_ids="entrez")
    assert "--level and --gene_ids cannot be used without --signatures" in message
    message = refused(capsys, run, out, signatures="x.gctx", level=6)
    assert "the level is 6; it must be one of 3, 4 and 5" in message
    known = held_out.table["compound"].iloc[-1]
    message = refused(capsys, run, out, compounds=f"{known}x")
    assert f"there is no compound '{known}x'" in message
    assert f"did you mean '{known}'?" in message
    references = pd.read_parquet(run / "references.parquet")
    message = refused(capsys, run, out, compounds=references["compound"].iloc[0])
    assert "the model was trained on" in message
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    message = refused(capsys, run, out, compounds=known)
    assert "out contains thesis.txt, which does not belong to the explanation" in message


@pytest.mark.parametrize("name", [CALIBRATION_FILE, HELD_OUT_FILE])
def test_a_run_that_kept_too_little_is_refused(run, held_out, tmp_path, capsys, name):
    poor = shutil.copytree(run, tmp_path / "poor")
    (poor / name).unlink()
    message = refused(capsys, poor, tmp_path / "out", compounds=held_out.table["pert_id"].iloc[0])
    assert "poor has no " in message
