"""Every config loads, and the full-size model can be built."""

import ast
import dataclasses
import pathlib
import re

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from configs import (
    cross_attention,
    early_fusion,
    fusion,
    gated_fusion,
    late_fusion,
    smoke,
)
from moa_jax.command_line import load_config
from moa_jax.data.features import encode, fit_features
from moa_jax.data.graph_arrays import graph_arrays
from moa_jax.data.preparation_settings import settings_from_config
from moa_jax.kernels.ridge import kernel_systems, solve
from moa_jax.models.fused_networks import KINDS
from moa_jax.schemas import InputError
from moa_jax.training.fusion_task import make_fusion_task
from moa_jax.training.recipe import is_solved
from moa_jax.training.sharding import make_mesh
from moa_jax.training.step import initial_state, make_train_step
from tests import synthetic
from tests.config_reads import groups

ROOT = pathlib.Path(__file__).parents[1]
# Search spaces are no configurations; tests/test_sweep_space.py holds them.
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "sweeps" not in path.parts)
LANDMARKS, MOAS = 978, 50


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_names_its_command(path):
    load_config(str(path))
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert f"--config={path.relative_to(ROOT)}" in text
    assert re.search(r"python -m (moa_jax|experiments)\.[\w.]+ ", text)


@pytest.mark.parametrize("name", ["simulated", "lincs2020", "phase1_consensus", "phase2_consensus"])
def test_every_release_config_has_all_settings_and_no_other(name, tmp_path):
    config = load_config(str(ROOT / f"configs/data/{name}.py"))
    config.raw_dir = str(tmp_path)
    assert settings_from_config(config).release == config.release


def test_the_smoke_config_has_the_keys_of_the_full_one():
    keys_of = [
        [(path, sorted(group)) for path, group in groups(module.get_config())]
        for module in (smoke, fusion)
    ]
    assert keys_of[0] == keys_of[1]


@pytest.mark.parametrize("setting", KINDS)
def test_an_unknown_kind_is_refused(setting):
    config = fusion.get_config()
    config.model[setting] = "frobnicate"
    features = fit_features(
        synthetic.make_raw_examples(), synthetic.make_knowledge_graph().genes.iloc[:5]
    )
    with pytest.raises(InputError, match=f"model.{setting} is 'frobnicate', expected one of "):
        make_fusion_task(config, features, (7, 4))


@pytest.mark.parametrize(
    "module", [fusion, cross_attention, early_fusion, gated_fusion, late_fusion, smoke]
)
@pytest.mark.slow
def test_the_full_size_model_can_be_built_and_trained(module):
    """Shapes alone: nothing is computed, so the real sizes cost nothing."""
    config = FrozenConfigDict(module.get_config())
    knowledge = synthetic.make_knowledge_graph(LANDMARKS)
    examples = dataclasses.replace(
        synthetic.make_raw_examples(num_landmarks=LANDMARKS),
        moas=tuple(f"moa {row}" for row in range(MOAS)),
        labels=np.eye(MOAS, dtype=np.float32)[np.arange(24) % MOAS],
    )
    features = fit_features(examples, knowledge.genes.iloc[:LANDMARKS])
    graph = graph_arrays(knowledge, restart=config.graph.restart, num_steps=config.graph.num_steps)
    encoded = encode(examples, features)
    batch = synthetic.make_batch(encoded, np.arange(24), config.training.batch_size, num_shards=1)
    task = make_fusion_task(config, features, (knowledge.num_genes, knowledge.num_terms))
    systems = kernel_systems(config, task.model, encoded, features, graph)
    given = {**solve(systems, encoded), "expert_scales": np.ones((3, len(config.model.experts)))}
    state = jax.eval_shape(
        lambda batch, graph: initial_state(
            task,
            config,
            batch,
            graph,
            make_mesh(1),
            given=given,
            memory=task.first_memory(encoded.num_examples),
        ),
        batch,
        graph,
    )
    step = make_train_step(task, config.training)
    after, metrics = jax.eval_shape(step, state, batch, graph)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    assert {value.shape for value in metrics.values()} == {()}
    if "joint" in config.model.experts:
        logits = state.params["joint_logits"]["kernel"]
        assert logits.shape == (config.model.hidden, MOAS)
    assert bool(state.params) == (not is_solved(config))
    # Readers of the configuration expect a schedule that fits into the run.
    assert config.training.eval_every <= config.training.num_steps
