"""The train program on a tiny simulated release: its files, its second start, what it refuses."""

import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from configs import smoke
from moa_jax import command_line
from moa_jax.calibration.calibration_store import HELD_OUT_FILE, read_calibration_store
from moa_jax.files import read_json, write_json
from moa_jax.kernels.references import read_references
from moa_jax.models.experts import VIEWS
from moa_jax.train import OPTIONS, main
from moa_jax.training.runs.metric_writer import read_metrics
from moa_jax.training.runs.run_folder import open_run

pytestmark = pytest.mark.slow

METHODS = ("fusion", "fusion_expression", "fusion_structure", *smoke.get_config().baselines)
FILES = (
    "config.json",
    "data_manifest.json",
    "split.json",
    "genes.parquet",
    "metrics.jsonl",
    "simulated_model_card.md",
    "simulated_metrics.json",
    "simulated_per_moa.csv",
    "simulated_compound_predictions.csv",
    "plots/simulated_curves.png",
    "plots/simulated_per_moa.png",
)
FOLDERS = ("graph", "checkpoints", "selection/checkpoints", "tensorboard")


def start(*flags):
    """Runs the program and returns its exit status."""
    argv = ["--config=configs/smoke.py", "--config.num_devices=1", *flags]
    return command_line.run(main, description="", options=OPTIONS, argv=argv)


@pytest.fixture(scope="module")
def prepared(prepared_release, tmp_path_factory):
    """A copy of the prepared release that a test may change."""
    folder = tmp_path_factory.mktemp("train") / "prepared"
    return pathlib.Path(shutil.copytree(prepared_release, folder))


@pytest.fixture(scope="module")
def run_and_figures(prepared, tmp_path_factory):
    """Folder of a finished run, and the figures that it saved."""
    folder, figures, save = tmp_path_factory.mktemp("train") / "run", [], Figure.savefig

    def remember(figure, *args, **kwargs):
        figures.append(figure)
        save(figure, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", remember)
        assert start(f"--config.data={prepared}", f"--workdir={folder}") == 0
    return folder, figures


@pytest.fixture(scope="module")
def run(run_and_figures):
    """Folder of a finished run."""
    return run_and_figures[0]


def test_the_folder_holds_everything(run, prepared):
    assert all((run / name).stat().st_size for name in FILES)
    assert all(any((run / name).iterdir()) for name in FOLDERS)
    config = smoke.get_config()
    config.update({"data": str(prepared), "num_devices": 1})
    assert read_json(run / "config.json") == json.loads(config.to_json())
    assert read_json(run / "data_manifest.json") == read_json(prepared / "manifest.json")
    assert open_run(run, num_devices=1).manifest["release"] == "simulated"


def test_every_method_is_scored_on_the_same_compounds(run):
    metrics = read_json(run / "simulated_metrics.json")
    assert tuple(sorted(metrics)) == tuple(sorted(METHODS))
    assert len({scores["num_compounds"] for scores in metrics.values()}) == 1
    predictions = pd.read_csv(run / "simulated_compound_predictions.csv")
    parts = read_json(run / "split.json")["parts"]
    num_test = metrics["fusion"]["num_compounds"]
    assert 0 < num_test <= sum(part == "test" for part in parts.values())
    assert predictions.groupby("method").size().to_dict() == dict.fromkeys(METHODS, num_test)
    probs = predictions.drop(columns=["method", "compound_group", "moas"]).to_numpy()
    assert ((probs >= 0) & (probs <= 1)).all()
    fusion = probs[predictions["method"] == "fusion"]
    np.testing.assert_allclose(fusion.sum(axis=1), 1.0, rtol=1e-5)
    assert set(pd.read_csv(run / "simulated_per_moa.csv")["method"]) == set(METHODS)


def test_trust_rests_on_the_validation_part_of_networks(run):
    parts = pd.Series(read_json(run / "split.json")["parts"])
    moas = open_run(run, num_devices=1).predictor.features.moas
    kept = read_calibration_store(run, moas)
    assert set(kept) == set(VIEWS)
    assert len(kept["fusion"].groups) == (parts == "validation").sum()
    for own in kept.values():
        np.testing.assert_allclose(own.probs.sum(axis=1), 1.0, rtol=1e-5)


def test_the_losses_are_written_every_few_steps(run):
    config = smoke.get_config().training
    steps = [
        line["step"] for line in read_metrics(run / "selection" / "metrics.jsonl") if "loss" in line
    ]
    assert steps == list(range(config.log_every, config.num_steps + 1, config.log_every))


def test_the_plots_are_pictures(run):
    for path in (run / "plots").iterdir():
        pixels = image.imread(path)
        assert pixels.ndim == 3
        assert pixels.std() > 0.01


def test_the_curves_show_what_was_measured(run_and_figures):
    run, (curves, _) = run_and_figures
    files = {"final": run / "metrics.jsonl", "selection": run / "selection" / "metrics.jsonl"}
    expected = {}
    for label, path in files.items():
        lines = read_metrics(path)
        names = {label: "loss"}
        names |= {f"{view}, {label}": f"validation/{view}/macro_auprc" for view in VIEWS}
        for curve, name in names.items():
            points = [(line["step"], line[name]) for line in lines if name in line]
            expected |= {curve: points} if points else {}
    drawn = {line.get_label(): line.get_xydata() for axes in curves.axes for line in axes.lines}
    assert {"final", "selection", *(f"{view}, selection" for view in VIEWS)} == set(drawn)
    assert set(drawn) == set(expected)
    for curve, points in expected.items():
        np.testing.assert_allclose(drawn[curve], points)


def test_the_bars_are_the_average_precision_of_each_mechanism(run_and_figures):
    run, (_, per_moa) = run_and_figures
    table = pd.read_csv(run / "simulated_per_moa.csv").query("method == 'fusion'")
    known = table.set_index("moa")["auprc"].dropna()
    (axes,) = per_moa.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == sorted(known.index)
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], known[names])


def test_a_second_start_trains_nothing_and_gives_the_same_bytes(run, prepared, capfd):
    before = {name: (run / name).read_bytes() for name in FILES}
    assert start(f"--config.data={prepared}", f"--workdir={run}") == 0
    told = capfd.readouterr()
    assert f"resuming {run} at step" in told.err
    assert "simulated: " in told.out
    assert f"run: {run}" in told.out
    assert {name: (run / name).read_bytes() for name in FILES} == before


def test_a_model_of_everything_is_judged_by_answers_without_the_compound(prepared, tmp_path):
    folder = tmp_path / "run"
    flags = ("--config.split.rule=everything", "--config.model.experts=('signature_kernel',)")
    assert start(f"--config.data={prepared}", f"--workdir={folder}", *flags) == 0
    parts = pd.Series(read_json(folder / "split.json")["parts"])
    assert set(parts) == {"train", "validation"}
    assert not (folder / HELD_OUT_FILE).exists()
    table = pd.read_csv(folder / "simulated_compound_predictions.csv")
    moas = open_run(folder, num_devices=1).predictor.features.moas
    kept = read_calibration_store(folder, moas)["fusion"]
    # The validation compounds are scored, each answered after learning from all others.
    assert set(table["method"]) == {"fusion", "fusion_expression", "fusion_structure"}
    fusion = table[table["method"] == "fusion"]
    scored = np.isin(kept.groups, fusion["compound_group"])
    assert scored.sum() == len(fusion) < len(kept.groups)
    assert tuple(fusion["compound_group"]) == tuple(np.array(kept.groups)[scored])
    np.testing.assert_allclose(fusion[list(moas)], kept.probs[scored], atol=1e-6)
    # The final model is trained on all compounds.
    assert set(read_references(folder)["pert_id"]) >= set(parts.index)
    card = (folder / "simulated_model_card.md").read_text()
    assert "There is no test part: the model was trained on every compound." in card
    assert "## Performance on the validation part" in card
    assert HELD_OUT_FILE not in card


def test_nothing_to_judge_by_is_refused(capfd, prepared, tmp_path):
    flags = ("--config.split.rule=everything", "--config.split.validation_fraction=0.0")
    workdir = tmp_path / "run"
    sentence = refusal(capfd, f"--config.data={prepared}", f"--workdir={workdir}", *flags)
    assert "no part to score the model on" in sentence
    assert not workdir.exists()


def refusal(capfd, *flags):
    """The one sentence that a refused start leaves."""
    capfd.readouterr()
    assert start(*flags) == 2
    told = capfd.readouterr()
    lines = told.err.strip().splitlines()
    assert not told.out
    assert lines[-1].startswith("error: ")
    assert sum(line.startswith("error: ") for line in lines) == 1
    return lines[-1]


def test_an_unknown_key_is_refused(capfd, tmp_path):
    sentence = refusal(capfd, "--config.training.batchsize=8", f"--workdir={tmp_path / 'run'}")
    assert 'has no key "training.batchsize"; did you mean "training.batch_size"?' in sentence
    assert not (tmp_path / "run").exists()


def test_a_prepared_folder_of_another_version_is_refused(capfd, tmp_path):
    write_json(tmp_path / "prepared" / "manifest.json", {"format_version": 99})
    workdir = tmp_path / "run"
    sentence = refusal(capfd, f"--config.data={tmp_path / 'prepared'}", f"--workdir={workdir}")
    assert "has format version 99, but this program reads version" in sentence
    assert not workdir.exists()


def test_a_folder_of_a_run_with_another_config_is_refused(capfd, run, prepared):
    before = (run / "simulated_metrics.json").read_bytes()
    flags = (f"--config.data={prepared}", f"--workdir={run}", "--config.min_compounds=6")
    assert "min_compounds=5, not 6; choose another --workdir." in refusal(capfd, *flags)
    assert (run / "simulated_metrics.json").read_bytes() == before


def test_a_folder_of_a_run_on_other_data_is_refused(capfd, run, prepared):
    manifest = read_json(prepared / "manifest.json")
    try:
        write_json(prepared / "manifest.json", {**manifest, "release": "another"})
        sentence = refusal(capfd, f"--config.data={prepared}", f"--workdir={run}")
    finally:
        write_json(prepared / "manifest.json", manifest)
    assert "holds a run on other data; choose another --workdir." in sentence


def test_a_data_folder_that_is_not_there_is_refused(capfd, tmp_path):
    sentence = refusal(capfd, f"--config.data={tmp_path / 'none'}", f"--workdir={tmp_path / 'run'}")
    assert "there is no prepared folder" in sentence


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.num_devices=3", "batch_size is 32, which is not a multiple of the 3 devices"),
        ("--config.baselines=('svm',)", "there is no method 'svm'; the methods are prevalence"),
        ("--config.training.loss.name=hinge", "loss.name is 'hinge', expected one of"),
        ("--config.model.num_heads=3", "num_heads is 3, expected a divisor of model.features"),
        ("--config.num_devices=99", "num_devices is 99, but there are 8 devices"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_folder_is_made(
    capfd, prepared, tmp_path, flag, message
):
    workdir = tmp_path / "run"
    assert message in refusal(capfd, f"--config.data={prepared}", f"--workdir={workdir}", flag)
    assert not workdir.exists()


def test_metrics_are_json_without_nan(run):
    def refuse(text):
        raise AssertionError(text)

    json.loads((run / "simulated_metrics.json").read_text(), parse_constant=refuse)
