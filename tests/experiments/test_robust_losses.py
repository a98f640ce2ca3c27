"""The experiment on robust losses: every way to train is one of the program's, and its tables."""

import numpy as np
import pandas as pd
import pytest
from ml_collections import FrozenConfigDict

from experiments.robust_losses.run import (
    REFERENCE,
    make_fold,
    network_answers,
    network_config,
    tables,
    ways_to_train,
)
from moa_jax.benchmark.perturbations.training_perturbations import TrainingPerturbation
from moa_jax.data.examples.build import build_examples
from moa_jax.training.losses.factory import LOSSES, make_objective
from moa_jax.training.losses.noise_correction import FlipCorrection
from tests.small_sets import dataset, planted_examples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data():
    compounds = [
        (f"P{row}", f"G{row}", "C" * (row + 1) + "O", (f"m{row % 3}",)) for row in range(24)
    ]
    return dataset(compounds, [f"P{row}" for row in range(24)], num_genes=5)


def test_every_loss_takes_part_and_can_be_made():
    ways = ways_to_train(0.4, 5)
    assert {way["loss"]["name"] for way in ways.values()} == set(LOSSES)
    made = {
        name: make_objective(FrozenConfigDict(network_config(way, 0).training))
        for name, way in ways.items()
    }
    assert len(set(made.values())) == len(made)
    assert made["flip correction *"].loss.loss == FlipCorrection(0.1, 0.4)
    assert made["co-teaching+ *"].teaching.on_disagreement


@pytest.mark.parametrize("name", [REFERENCE, "co-teaching *"])
def test_planted_mechanisms_are_learned(name, data):
    planted = planted_examples()
    config = network_config(ways_to_train(0.2, 3)[name], 0)
    config.model.update({"hidden": 16, "features": 8, "gene_dropout": 0.0, "dropout": 0.0})
    config.training.update({"batch_size": 16, "num_steps": 40, "eval_every": 40, "log_every": 40})
    config.training.optimiser.learning_rate = 0.05
    rows = np.arange(planted.num_examples)
    found = network_answers(planted.take(rows[:40]), planted.take(rows[40:]), data, config)
    right = planted.labels[40:].argmax(axis=1)
    assert (found.argmax(axis=1) == right).mean() > 0.9


def test_wrong_labels_never_reach_the_test_part(data):
    clean = build_examples(data)
    right = dict(zip(clean.groups, clean.labels.argmax(axis=1), strict=True))
    train, test = make_fold(data, clean, TrainingPerturbation("uniform_labels", 0.5), 0, 0)

    def wrong(part):
        return part.labels.argmax(axis=1) != [right[group] for group in part.groups]

    assert wrong(train).any()
    assert not wrong(test).any()
    assert not set(train.groups) & set(test.groups)


def test_the_tables_mark_intervals_without_zero():
    row = {"condition": "clean", "macro_auprc": [0.2, 0.4], "top1": [0.5, 0.7]}
    found = pd.DataFrame(
        [
            row | {"loss": loss, "difference": difference}
            for loss, difference in (("a", (0.1, 0.05, 0.2)), ("b", (0.1, -0.05, 0.2)))
        ]
    )
    text = tables(found)
    assert "| a    | 0.300 ± 0.100 + |" in text
    assert "| b    | 0.300 ± 0.100   |" in text
    assert "| b    | 0.600 |" in text
    assert "+0.100 [-0.050, +0.200]" in text
