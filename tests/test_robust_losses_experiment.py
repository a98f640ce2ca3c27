"""The experiment on robust losses: its steps are those of every run, its parts fit together."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pandas as pd
import pytest

from experiments.robust_losses.perceptrons import train_perceptron
from experiments.robust_losses.run import REFERENCE, make_fold, objectives, tables
from moa_jax.baselines.neural_classifiers import classifier_task, expression_mlp
from moa_jax.baselines.neural_config import attributes, no_graph
from moa_jax.benchmark.training_conditions import TrainingCondition
from moa_jax.data.batches import make_batch
from moa_jax.data.examples import build_examples
from moa_jax.data.features import encode, fit_features
from moa_jax.data.labels import strata
from moa_jax.models.expression_network import ExpressionMlp
from moa_jax.training.fit import Run
from moa_jax.training.losses import balanced_weights
from tests.small_sets import dataset, gene_table, knowledge_graph, planted_examples

pytestmark = pytest.mark.long

GRAPH = knowledge_graph(5)
NUM_TRAINED = 40


@pytest.fixture(scope="module")
def planted():
    """60 examples; what is not trained on comes last."""
    some = planted_examples()
    return dataclasses.replace(some, smiles=(None,) * some.num_examples)


@pytest.fixture(scope="module")
def whole(planted):
    train = planted.take(np.arange(NUM_TRAINED))
    weight = np.zeros(planted.num_examples, np.float32)
    weight[:NUM_TRAINED] = balanced_weights(strata(train), power=1.0)
    encoded = encode(planted, fit_features(train, gene_table(5)), weight=weight)
    batch = make_batch(encoded, np.arange(60), 60, num_shards=1)
    return jax.tree.map(jnp.asarray, batch)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    method = expression_mlp(tmp_path_factory.mktemp("unused"))
    config = ml_collections.ConfigDict(next(iter(method.candidates.values())).to_dict())
    config.model.update({"hidden": (8,), "gene_dropout": 0.0, "dropout": 0.0})
    config.training.update({"batch_size": 16, "num_steps": 40, "eval_every": 20, "log_every": 20})
    config.training.optimiser.learning_rate = 0.05
    return config


def answers(name, config, whole, *, level=0.2, seed=3):
    network = ExpressionMlp(num_moas=3, **attributes(config.model))
    training = ml_collections.FrozenConfigDict(config.training)
    return train_perceptron(
        objectives(network, level, 5)[name],
        training,
        whole,
        no_graph(GRAPH),
        np.arange(NUM_TRAINED),
        seed=seed,
    )


def test_the_steps_are_those_of_a_run(planted, whole, config, tmp_path):
    config = ml_collections.ConfigDict(config.to_dict())
    config.seed = 3
    predictor = Run(
        config,
        planted.take(np.arange(NUM_TRAINED)),
        None,
        make_task=classifier_task(ExpressionMlp),
        genes=gene_table(5),
        graph=no_graph(GRAPH),
        graph_size=(GRAPH.num_genes, GRAPH.num_terms),
        workdir=tmp_path,
    ).train()
    found = answers("softmax cross-entropy", config, whole)
    assert found.shape == (2, 60, 3)
    np.testing.assert_allclose(found[-1], predictor.predict(planted)["answer"], atol=1e-4)


@pytest.mark.parametrize(
    "name", [REFERENCE, "generalised CE, q .7", "early learning, 1 / .7", "co-teaching *"]
)
def test_planted_mechanisms_are_learned(name, planted, whole, config):
    found = answers(name, config, whole)[-1, NUM_TRAINED:]
    right = strata(planted)[NUM_TRAINED:]
    assert (found.argmax(axis=1) == right).mean() > 0.9


def test_wrong_labels_never_reach_the_test_part():
    compounds = [
        (f"P{row}", f"G{row}", "C" * (row + 1) + "O", (f"m{row % 3}",)) for row in range(24)
    ]
    data = dataset(compounds, [f"P{row}" for row in range(24)])
    clean = build_examples(data)
    right = dict(zip(clean.groups, clean.labels.argmax(axis=1), strict=True))
    fold = make_fold(data, clean, TrainingCondition("uniform_labels", 0.5), 0, 0)
    wrong = fold.examples.labels.argmax(axis=1) != [right[group] for group in fold.examples.groups]
    assert wrong[fold.part(0)].any()
    assert not wrong[fold.part(2)].any()
    assert sorted(np.concatenate([fold.part(place) for place in range(3)])) == list(range(24))


def test_the_tables_mark_intervals_without_zero():
    row = {"condition": "clean", "macro_auprc": [0.2, 0.4], "top1": [0.5, 0.7]}
    found = pd.DataFrame(
        [
            row | {"loss": loss, "step": step, "difference": difference}
            for step in ("last", "best")
            for loss, difference in (("a", (0.1, 0.05, 0.2)), ("b", (0.1, -0.05, 0.2)))
        ]
    )
    text = tables(found)
    assert "| a    | 0.300 ± 0.100 + |" in text
    assert "| b    | 0.300 ± 0.100   |" in text
    assert "| b    | 0.600 |" in text
    assert "+0.100 [-0.050, +0.200]" in text
