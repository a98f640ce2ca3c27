"""What a grid runs, what it leaves, and what it does not do again."""

from typing import ClassVar

import ml_collections
import numpy as np
import pytest

from moa_jax.benchmark import grid
from moa_jax.benchmark.blocks import block
from moa_jax.benchmark.cell_files import read_answers
from moa_jax.benchmark.grid import cell_path, run_grid
from moa_jax.benchmark.plan import plan
from moa_jax.data.splits.manifest import read_split
from moa_jax.data.storage.prepared_folder import write_prepared
from moa_jax.files import read_json
from moa_jax.schemas import InputError
from tests.small_sets import ALCOHOLS, dataset

MOAS = ("m0", "m1", "m2")
FUSION = ml_collections.ConfigDict({"size": 1, "ligands": False})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """18 compounds, six of each MoA, one signature each."""
    folder = tmp_path_factory.mktemp("grid") / "prepared"
    rows = [(f"P{row:02d}", f"G{row:02d}", ALCOHOLS[row], (MOAS[row % 3],)) for row in range(18)]
    write_prepared(
        folder, dataset(rows, [row[0] for row in rows], manifest={"release": "hand-made"})
    )
    return folder


def config_of(prepared, *, keep_models=False, num_folds=2, **blocks):
    return ml_collections.ConfigDict(
        {
            "data": str(prepared),
            "vocabulary": "frequent",
            "min_compounds": 2,
            "neural": True,
            "num_processes": 1,
            "keep_models": keep_models,
            "split": {"num_folds": num_folds, "seeds": (0,), "validation_fraction": 0.34},
            "blocks": blocks,
        }
    )


def run(config, workdir):
    """Runs the grid of a configuration; returns its cells by fold and method."""
    cells = plan(config)
    benchmark_data = run_grid(config, FUSION, cells, workdir)
    return benchmark_data, {(cell.split.fold, cell.method): cell for cell in cells}


def parts_of(workdir, fold, examples):
    """Rows of each part, by the manifest that was published."""
    split = read_split(workdir / "splits" / "compound_seed0" / f"fold{fold}.json")
    parts = [split.parts[pert_id] for pert_id in examples.table["pert_id"]]
    return {name: [row for row, part in enumerate(parts) if part == name] for name in set(parts)}


def times(workdir):
    return {path: path.stat().st_mtime_ns for path in (workdir / "cells").rglob("*.npz")}


def test_the_file_of_a_cell(prepared, tmp_path):
    benchmark_data, cells = run(config_of(prepared, only=block(("prevalence",))), tmp_path)
    labels, ids = benchmark_data.examples.labels, benchmark_data.examples.table["sig_id"]
    tested = []
    for fold in range(2):
        rows = parts_of(tmp_path, fold, benchmark_data.examples)
        found = read_answers(cell_path(tmp_path, cells[fold, "prevalence"]))
        assert found.test_ids == tuple(ids.iloc[rows["test"]])
        assert found.validation_ids == tuple(ids.iloc[rows["validation"]])
        # The prevalence among training and validation compounds, and among training compounds
        # alone for the validation compounds; single precision is what is kept.
        learned = labels[rows["train"] + rows["validation"]].mean(axis=0)
        np.testing.assert_allclose(found.probs["clean"], np.tile(learned, (9, 1)), rtol=1e-6)
        before = labels[rows["train"]].mean(axis=0)
        np.testing.assert_allclose(found.validation_probs, np.tile(before, (3, 1)), rtol=1e-6)
        assert found.report["settings"] == "as known"
        assert list(found.report["validation_macro_auprc"]) == ["as known"]
        assert found.fit_s > 0
        tested += rows["test"]
    assert sorted(tested) == list(range(18))


def test_a_cell_is_run_once_and_again_for_a_new_test_condition(prepared, tmp_path, capsys):
    plain = block(("prevalence", "morgan_logistic"))
    run(config_of(prepared, only=plain), tmp_path)
    first = times(tmp_path)
    assert len(first) == 4
    assert "4 cells, 0 of them already finished" in capsys.readouterr().err
    noisy = block(("prevalence",), test={"gaussian": (1.0,)})
    _, cells = run(config_of(prepared, only=plain, more=noisy), tmp_path)
    assert "4 cells, 2 of them already finished" in capsys.readouterr().err
    second = times(tmp_path)
    changed = {path.name for path in second if first.get(path) != second[path]}
    assert changed == {"prevalence_seed0.npz"}
    found = read_answers(cell_path(tmp_path, cells[0, "prevalence"]))
    assert list(found.probs) == ["clean", "gaussian_1"]
    # Fewer perturbations than the file holds are there already.
    run(config_of(prepared, only=plain), tmp_path)
    assert times(tmp_path) == second


def test_the_folder_remembers_what_decides_the_predictions(prepared, tmp_path):
    run(config_of(prepared, only=block(("prevalence",))), tmp_path)
    stored = read_json(tmp_path / "benchmark.json")
    assert stored["vocabulary"] == "frequent"
    assert stored["min_compounds"] == 2
    assert stored["split"] == {"num_folds": 2, "seeds": [0], "validation_fraction": 0.34}
    assert stored["data"]["release"] == "hand-made"
    # No method of the fusion model was asked for.
    assert "fusion" not in stored
    with pytest.raises(InputError, match=r"holds a run with split.num_folds=2, not 3"):
        run(config_of(prepared, num_folds=3, only=block(("prevalence",))), tmp_path)


VIEWS = ("fusion", "expression", "structure")


class FakeFusion:
    """Stands in for the fusion model; a view answers with one number, and calls are written down.

    Attributes:
      made: one entry per model, with its views.
      trained: training examples, by model.
      tested: test examples, by model and view.
    """

    made: ClassVar[list] = []
    name: ClassVar[str] = "fusion"

    def __init__(self, config, folder, unlabelled):
        self.config, self.folder, self.unlabelled = config, folder, unlabelled
        self.views, self.trained, self.tested = [], [], []
        self.made.append(self)

    def fit(self, train, validation, graph, *, seed):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "checkpoint").write_text(str(seed))
        self.trained.append(train)
        return FakeFit(self, validation.labels.shape)


class FakeFit:
    def __init__(self, model, shape):
        self.model, self.shape = model, shape

    def with_view(self, view):
        self.model.views.append(view)
        return FakeView(self.model, VIEWS.index(view) + 1, self.shape)


class FakeView:
    def __init__(self, model, number, shape):
        self.model, self.number = model, number
        self.report = {"best_step": number}
        self.validation_probs = np.full(shape, number / 16)

    def predict(self, examples):
        self.model.tested.append(examples)
        return np.full(examples.labels.shape, self.number / 8)


@pytest.fixture
def made(monkeypatch):
    """The models that a grid makes."""
    monkeypatch.setattr(FakeFusion, "made", [])
    monkeypatch.setattr(grid, "Fusion", FakeFusion)
    return FakeFusion.made


def test_views_of_the_fusion_model_share_one_model(prepared, tmp_path, made):
    names = ("fusion", "fusion_expression", "fusion_structure")
    benchmark_data, cells = run(config_of(prepared, only=block(names, seeds=(5,))), tmp_path)
    assert len(made) == 2
    for fold, model in enumerate(made):
        assert model.views == list(VIEWS)
        assert model.folder == tmp_path / "models/compound_seed0" / f"fold{fold}/clean/fusion_seed5"
        assert model.config.to_dict() == {"size": 1, "ligands": False}
        assert model.unlabelled is None
        rows = parts_of(tmp_path, fold, benchmark_data.examples)["train"]
        groups = tuple(benchmark_data.examples.groups[row] for row in rows)
        assert [train.groups for train in model.trained] == [groups]
        for number, name in enumerate(names, start=1):
            found = read_answers(cell_path(tmp_path, cells[fold, name]))
            assert (found.probs["clean"] == number / 8).all()
            assert (found.validation_probs == number / 16).all()
            assert found.report == {"best_step": number}
    assert read_json(tmp_path / "benchmark.json")["fusion"] == {"size": 1, "ligands": False}


@pytest.mark.parametrize("keep", [False, True])
def test_models_are_kept_if_the_configuration_asks_for_it(prepared, tmp_path, made, keep):
    run(config_of(prepared, keep_models=keep, only=block(("fusion",))), tmp_path)
    assert len(made) == 2
    assert [model.folder.exists() for model in made] == [keep] * 2


def test_a_modality_that_was_absent_in_training_is_absent_in_the_test(prepared, tmp_path, made):
    config = config_of(prepared, only=block(("fusion",), training={"without_structure": ()}))
    run(config, tmp_path)
    for model in made:
        for (some,) in (model.trained, model.tested):
            assert set(some.smiles) == {None}
            assert some.has_expression.all()


def test_structure_only_compounds_are_trained_on_if_a_block_asks_for_it(
    tmp_path_factory, tmp_path, made
):
    """P18 has a label and no signature; P19 has a signature and no label."""
    folder = tmp_path_factory.mktemp("further") / "prepared"
    rows = [(f"P{row:02d}", f"G{row:02d}", ALCOHOLS[row], (MOAS[row % 3],)) for row in range(19)]
    rows.append(("P19", "G19", ALCOHOLS[19], ()))
    measured = [row[0] for row in rows if row[0] != "P18"]
    write_prepared(folder, dataset(rows, measured, manifest={"release": "hand-made"}))
    run(config_of(folder, only=block(("fusion",), structure_only_compounds=True)), tmp_path)
    for model in made:
        assert "G18" in model.trained[0].groups
        assert "G19" in model.unlabelled.groups
