"""Arms of an ablation: what is trained, what is read again, and the table by hand."""

import dataclasses
import pathlib

import numpy as np
import pytest

from experiments.ablations.run import answers_path, model_config, pooled, run_ablation
from moa_jax.baselines.registry import METHODS
from moa_jax.benchmark import benchmark_data
from moa_jax.benchmark.blocks import ablation, arm
from moa_jax.benchmark.cell_files import read_answers
from moa_jax.benchmark.plan import SplitKey
from moa_jax.command_line import load_config
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.schemas import InputError
from tests.synthetic import make_dataset, make_raw_examples

pytestmark = pytest.mark.slow

ABLATIONS = pathlib.Path(__file__).parents[2] / "configs" / "ablations"
ARMS = {
    "prevalence": arm(method="prevalence"),
    "fusion": arm(),
    "expression": arm(view="expression"),
}


@pytest.fixture(scope="module")
def config():
    config = ablation("Does it work?", "configs/kernels.py", ARMS, num_folds=2)
    config.split.seeds = (0, 1)
    config.min_compounds = 2
    config.statistics.num_resamples = 20
    return config


@pytest.fixture(scope="module")
def answered(config, tmp_path_factory):
    """The workdir, the table, and the data."""
    examples = make_raw_examples(48)
    # One structure for each compound.
    chains = tuple("C" * (2 + row // 2) + "O" for row in range(48))
    dataset = make_dataset(dataclasses.replace(examples, smiles=chains))
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_data, "open_dataset", lambda _: dataset)
        return folder, run_ablation(config, folder), benchmark_data.BenchmarkData(config, folder)


def test_views_of_one_model_share_its_training(answered):
    folder, _, _ = answered
    kept = sorted(path.name for path in (folder / "answers" / "compound_seed1" / "fold0").iterdir())
    assert kept == ["fusion.npz", "prevalence.npz"]


def test_every_compound_is_scored_once_for_each_seed(config, answered):
    folder, table, data = answered
    probs, labels = pooled(config, folder, data)
    assert probs["fusion"].shape == (2, 24, 3)
    by_hand, halves = [], []
    for seed in (0, 1):
        of_signatures = np.full(data.examples.labels.shape, np.nan)
        for fold in (0, 1):
            answers = read_answers(answers_path(folder, "fusion", SplitKey("compound", seed, fold)))
            rows = data.examples.table["sig_id"].isin(answers.test_ids)
            of_signatures[rows] = answers.probs["expression"]
        own, _, _ = pool_by_compound(of_signatures, data.examples.labels, data.examples.groups)
        np.testing.assert_allclose(probs["expression"][seed], own, rtol=1e-6)
        by_hand.append(macro_auprc(own, labels))
        surer = np.argsort(-own.max(axis=1), kind="stable")[:12]
        halves.append(labels[surer, own[surer].argmax(axis=1)].mean())
    line = next(line for line in table.splitlines() if line.startswith("| expression "))
    assert f"| {np.mean(by_hand):.3f} [" in line
    assert line.split("|")[-2].strip() == f"{np.mean(halves):.3f}"
    assert "| prevalence |" in table
    assert (folder / "table.md").read_text() == table


def test_a_second_start_trains_nothing(config, answered, monkeypatch):
    folder, table, data = answered
    monkeypatch.setattr(benchmark_data, "open_dataset", lambda _: data.dataset)
    monkeypatch.setattr("experiments.ablations.run.answer", None)
    assert run_ablation(config, folder) == table


@pytest.mark.parametrize("path", sorted(ABLATIONS.glob("*.py")), ids=lambda path: path.stem)
def test_every_arm_of_a_question_is_a_model(path):
    config = load_config(str(path))
    assert set(config.order) == set(config.arms)
    for name, settings in config.arms.items():
        assert settings.method in ("", *METHODS)
        assert model_config(config, name).model.experts


def test_an_arm_changes_the_model_and_cannot_set_what_it_lacks():
    arms = {"narrow": arm({"model.signature_kernel_width": 4.0}), "deep": arm({"model.depth": 4})}
    config = ablation("Why?", "configs/kernels.py", arms, common={"training.batch_size": 3})
    narrow = model_config(config, "narrow")
    assert (narrow.model.signature_kernel_width, narrow.training.batch_size) == (4.0, 3)
    with pytest.raises(InputError, match=r"arm 'deep' sets model\.depth to"):
        model_config(config, "deep")
