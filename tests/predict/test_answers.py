"""What is answered: signatures of a plate, and explanations beside the answers."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from moa_jax import predict
from moa_jax.lincs.files.gctx_writer import write_gctx
from tests.predict.files import (
    ENTREZ,
    PROBS,
    RAW,
    arguments,
    write_plate,
    write_siginfo,
)

pytestmark = pytest.mark.slow


def test_a_plate_gives_the_answers_of_its_signatures(inputs, tiny_run, capsys):
    values = write_plate(inputs)
    plate = {"signatures": inputs / "plate.tsv", "siginfo": inputs / "wells.txt"}
    argv = arguments(inputs, tiny_run, **plate, level=3, out=inputs / "of_wells")
    assert predict.run(argv) == 0
    printed = capsys.readouterr().out
    assert "level: 3, because it was requested" in printed
    assert "from 4 of 7 wells on 1 plate, 3 of them vehicle wells" in printed

    vehicle = values[:3].astype(float)
    middle = np.median(vehicle, axis=0)
    spread = np.maximum(np.median(np.abs(vehicle - middle), axis=0), 0.1)
    scores = np.clip((values[3:] - middle) / (1.4826 * spread), -10, 10)
    signatures = scores.reshape(2, 2, 5).mean(axis=1)
    cc = [max(stats.spearmanr(*pair).statistic, 0) for pair in scores.reshape(2, 2, 5)]
    strong = (np.abs(signatures * np.sqrt(2)) >= 2).mean(axis=1)
    siginfo = RAW.table.iloc[[0, 2]].assign(n_replicates=2, cc_q75=cc, cell_line="A375")
    siginfo["tas"] = np.sqrt(strong * np.maximum(cc, 0.001))
    path = inputs / "signatures.gctx"
    profiles = pd.DataFrame(index=siginfo["sig_id"].tolist())
    genes = pd.DataFrame(index=pd.Index(ENTREZ))
    blocks = [signatures.astype(np.float32)]
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=blocks)
    write_siginfo(inputs, siginfo)
    assert predict.run(arguments(inputs, tiny_run, level=5)) == 0
    for name in ("signature_predictions.csv", "compound_predictions.csv"):
        ours = pd.read_csv(inputs / "of_wells" / name)[PROBS]
        np.testing.assert_allclose(ours, pd.read_csv(inputs / "out" / name)[PROBS], rtol=1e-4)
    ours, theirs = (
        pd.read_csv(inputs / folder / "answers.csv").drop(columns="compound")
        for folder in ("of_wells", "out")
    )
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)


@pytest.fixture
def sure_run(tiny_run, tmp_path):
    """A copy of the run whose validation answers were all right, so that its answers are sure."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    kept = pd.read_parquet(run / "calibration_answers.parquet")
    kept["probs"] = [[0.9 if moa in own else 0.05 for moa in PROBS] for own in kept["moas"]]
    kept.to_parquet(run / "calibration_answers.parquet", index=False)
    return run


def first_to_explain(folder):
    """Answered compounds, the new ones first, then by confidence."""
    answers = pd.read_csv(folder / "answers.csv")
    answered = answers[answers["answer"] != "cannot tell"]
    answered = answered.assign(is_known=answered["known"] == "yes")
    order = ["is_known", "confidence", "pert_id"]
    return answered.sort_values(order, ascending=[True, False, True])


def test_new_compounds_are_explained_first(inputs, sure_run, capsys, monkeypatch):
    calls = []

    def explain(_, answered, described):
        assert described is None
        assert answered.quality.passes.all()
        assert len(answered.answers.table) == 2
        calls.append(answered.examples)

    monkeypatch.setattr(predict, "explain_compounds", explain)
    monkeypatch.setattr(predict, "write_explanations", lambda folder, *_: folder.mkdir())
    assert predict.run(arguments(inputs, sure_run, explain=2)) == 0
    first = first_to_explain(inputs / "out")
    assert first["is_known"].tolist() == [False, False, True]
    best = first["pert_id"].tolist()[:2]
    quality = pd.read_csv(inputs / "out" / "signature_quality.csv")
    used = quality[quality["passes"] & quality["pert_id"].isin(best)]
    (examples,) = calls
    assert best
    assert examples.table["sig_id"].tolist() == used["sig_id"].tolist()
    assert (inputs / "out" / "explanations").is_dir()
    assert "explained: 2 answers, new compounds first" in capsys.readouterr().out


def test_an_explanation_lies_beside_the_answers(inputs, sure_run):
    assert predict.run(arguments(inputs, sure_run, explain=1)) == 0
    best = first_to_explain(inputs / "out").iloc[0]
    explanations = inputs / "out" / "explanations"
    assert len(list((explanations / "reports").iterdir())) == 1
    index = (explanations / "index.html").read_text()
    assert best["answer"] in index
    assert "none in the training data" in index
    (page,) = (explanations / "reports").iterdir()
    assert f"Answer: {best['answer']}, with confidence" in page.read_text()
    assert "New: n" in page.read_text()


def test_an_answer_from_the_structure_alone_is_explained_by_it(inputs, sure_run, capsys):
    write_siginfo(inputs, RAW.table.assign(tas=0.01))
    assert predict.run(arguments(inputs, sure_run, explain=3)) == 0
    answers = pd.read_csv(inputs / "out" / "answers.csv")
    answered = answers[answers["answer"] != "cannot tell"]
    assert set(answered["answered_from"]) == {"structure"}
    explanations = inputs / "out" / "explanations"
    reports = sorted((explanations / "reports").iterdir())
    assert len(reports) == len(answered) > 0
    text = " ".join(path.read_text() for path in reports)
    assert "from the structure alone: moa " in text
    assert "answered from the structure alone: weak (2 of 2 signatures), so try a higher" in text
    given = pd.read_csv(explanations / "tables" / "answers.csv").set_index("compound_group")
    assert given["num_signatures"].tolist() == [0] * len(answered)
    for row in answered.itertuples():
        assert given["answer"][row.pert_id] == row.answer
        assert given["confidence"][row.pert_id] == pytest.approx(row.confidence, rel=1e-4)
