import dataclasses
import shutil

import pandas as pd
import pytest

from moa_jax.data.storage.graph_folder import read_gene_sets
from moa_jax.files import read_json, write_json
from moa_jax.schemas import (
    CHECKPOINT_FORMAT_VERSION,
    GENE_SET_COLUMNS,
    InputError,
    Split,
)
from moa_jax.training.runs import predictor
from moa_jax.training.runs.run_folder import open_run, start_run
from tests.synthetic import make_dataset, make_raw_examples, tiny_config


def test_a_run_keeps_the_gene_sets_of_its_data(tmp_path):
    sets = pd.DataFrame([("hallmark", "H", "H", ("100", "102"))], columns=list(GENE_SET_COLUMNS))
    split = Split(rule="compound", seed=0, fold=0, num_folds=2, parts={"BRD-000": "train"})
    dataset = make_dataset(make_raw_examples(4))
    start_run(tmp_path / "without", tiny_config(), split, dataset)
    assert len(read_gene_sets(tmp_path / "without")) == 0
    start_run(tmp_path / "with", tiny_config(), split, dataclasses.replace(dataset, gene_sets=sets))
    pd.testing.assert_frame_equal(read_gene_sets(tmp_path / "with"), sets)


def test_a_run_with_targets_in_two_tables_is_refused(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    (path,) = folder.glob("checkpoints/*/description/metadata")
    stored = read_json(path)
    assert stored["format_version"] == CHECKPOINT_FORMAT_VERSION == 9
    write_json(path, stored | {"format_version": 8})
    with pytest.raises(InputError, match="have format version 8, but this program reads version 9"):
        open_run(folder, num_devices=1)


def test_a_run_of_another_version_is_refused_before_its_settings_are_read(
    tiny_run, tmp_path, monkeypatch
):
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    config = read_json(folder / "config.json")
    del config["graph"]["num_steps"]
    write_json(folder / "config.json", config)
    monkeypatch.setattr(predictor, "CHECKPOINT_FORMAT_VERSION", 99)
    with pytest.raises(
        InputError,
        match=f"version {CHECKPOINT_FORMAT_VERSION}, but this program reads version 99",
    ):
        open_run(folder, num_devices=1)
