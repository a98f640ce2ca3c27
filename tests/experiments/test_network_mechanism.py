"""Where mechanisms run through the network the right graph helps and a rewired one does not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.network_mechanism.run import GRAPHS, KERNEL_METHODS, table
from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.data.preparation.embedded_release import simulated_config
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from moa_jax.evaluation.bootstrap import BootstrapScores
from moa_jax.evaluation.metrics import macro_auprc
from moa_jax.kernels.ridge import kernel_systems
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.experts import VIEWS
from moa_jax.training.fusion.task import make_fusion_task
from tests.synthetic import solved

pytestmark = pytest.mark.slow

NUM_FOLDS = 4
SIGNATURES, TRUE, *_, REWIRED = KERNEL_METHODS[: 1 + len(GRAPHS)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight mechanisms of seven drugs in modules of 100 genes."""
    config = simulated_config()
    config.raw_dir = str(tmp_path_factory.mktemp("network") / "release")
    settings = dataclasses.replace(
        SimulationSettings.network(),
        num_moas=8,
        num_landmarks=300,
        num_other_genes=500,
        num_terms=20,
        cell_lines=("SIM1", "SIM2"),
        doses_um=(10.0,),
        replicates=2,
        effect_log2=5.0,
        wrong_moa_rate=0.0,
    )
    write_simulated_release(config.raw_dir, settings)
    return prepare(config)


def out_of_fold(dataset, method):
    """Macro AUPRC of kernel experts over four folds of compounds."""
    examples = build_examples(dataset)
    # Structures have no signal here, and take longest to encode.
    examples = dataclasses.replace(examples, smiles=(None,) * examples.num_examples)
    config = method.config(0)
    knowledge = GRAPHS[method.graph or "true graph"](dataset.graph, 0)
    graph = graph_arrays(knowledge, restart=config.graph.restart, num_steps=config.graph.num_steps)
    probs = np.zeros(examples.labels.shape)
    for fold in range(NUM_FOLDS):
        split = make_split(
            "compound", examples, fold=fold, num_folds=NUM_FOLDS, validation_fraction=0.0
        )
        rows = split_rows(split, examples)
        features = fit_features(examples.take(rows["train"]), dataset.signatures.genes)
        task = make_fusion_task(config, features, (knowledge.num_genes, knowledge.num_terms))
        train = encode(examples.take(rows["train"]), features)
        systems = kernel_systems(config, task.model, train, features, graph)
        scales = [
            [config.expert_scales[view][name] for name in config.model.experts] for view in VIEWS
        ]
        params = {**solved(systems, train), "expert_scales": np.asarray(scales, np.float32)}
        test = encode(examples.take(rows["test"]), features)
        batch = make_batch(test, np.arange(test.num_examples), test.num_examples, num_shards=1)
        views = task.views(*jax.tree.map(jnp.asarray, (params, batch, graph)))
        probs[rows["test"]] = views["expression"]
    pooled, labels, _ = pool_by_compound(probs, examples.labels, examples.groups)
    return macro_auprc(pooled, labels)


def test_the_right_graph_helps_and_a_rewired_one_does_not(dataset):
    assert (TRUE.graph, REWIRED.graph) == ("true graph", "both")
    signatures, true, rewired = (
        out_of_fold(dataset, method) for method in (SIGNATURES, TRUE, REWIRED)
    )
    assert signatures > 1.3 / 8
    assert true > signatures + 0.15
    assert rewired < signatures + 0.05


def test_the_table_averages_seeds_and_pairs_with_the_shipped_kernels():
    def scores(value):
        samples = {name: value + np.linspace(-0.1, 0.1, 41) for name in ("macro_auprc", "top1")}
        return BootstrapScores({"macro_auprc": value, "top1": value}, samples)

    shipped = "signature_kernel+structure_kernel"
    text = table(
        [{"a": scores(0.5), shipped: scores(0.2)}, {"a": scores(0.7), shipped: scores(0.2)}]
    )
    assert "| a " in text
    assert "| 0.600 [0.505, 0.695] | 0.500 / 0.700 | +0.400 [+0.400, +0.400] | 0.600 |" in text
