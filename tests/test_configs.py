"""Every config loads, and the full-size model can be built."""

import ast
import dataclasses
import pathlib
import re

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from configs import (
    cross_attention,
    early_fusion,
    gated_fusion,
    kernels,
    late_fusion,
    network_kernel,
    smoke,
)
from moa_jax.command_line import load_config
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.data.preparation.settings import settings_from_config
from moa_jax.kernels.ridge import kernel_systems
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.experts import EXPERTS
from moa_jax.schemas import InputError
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.fusion_fit import is_solved
from moa_jax.training.sharding import make_mesh
from moa_jax.training.step import initial_state, make_train_step
from tests import synthetic
from tests.config_reads import groups

ROOT = pathlib.Path(__file__).parents[1]
# Search spaces are no configurations (tests/test_sweep_space.py holds them), nor are the settings
# that configurations with networks share.
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").rglob("*.py")
    if "sweeps" not in path.parts and path.stem != "networks"
)
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


def leaves(config):
    """Dotted names of all keys that have a value."""
    return {
        f"{path}{key}"
        for path, group in groups(config)
        for key, value in group.items()
        if not isinstance(value, ConfigDict)
    }


def test_the_closed_form_has_few_keys_each_with_a_comment():
    assert len(leaves(kernels.get_config())) <= 60
    lines = (ROOT / "configs/kernels.py").read_text().splitlines()
    for number, line in enumerate(lines):
        named = re.match(r"    config\.(\w+)(\.\w+)? = ", line)
        # A section's keys have their own; keys set one after the other may share one.
        if named and not line.endswith("ml_collections.ConfigDict()"):
            before = next(
                above for above in reversed(lines[:number]) if not re.match(r"    config\.", above)
            )
            assert before.lstrip().startswith("#"), line


def test_the_smoke_config_has_the_keys_of_all_experts():
    parts = (kernels.get_config(), cross_attention.get_config(), network_kernel.get_config())
    assert leaves(smoke.get_config()) == set.union(*map(leaves, parts))
    # A network that corrects the closed form stands beside no other: `make train` runs it.
    of_smoke = set(smoke.get_config().model.experts)
    assert of_smoke == {name for name, expert in EXPERTS.items() if not expert.corrects}


def test_an_unknown_kind_of_fusion_is_refused():
    config = cross_attention.get_config()
    config.model.joint_fusion = "frobnicate"
    features = fit_features(
        synthetic.make_raw_examples(), synthetic.make_knowledge_graph().genes.iloc[:5]
    )
    with pytest.raises(InputError, match=r"joint_fusion is 'frobnicate', expected one of cross_"):
        make_fusion_task(config, features, (7, 4))


@pytest.mark.parametrize(
    "module", [cross_attention, early_fusion, gated_fusion, late_fusion, smoke]
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
    given = {
        **synthetic.solved(systems, encoded),
        "expert_scales": np.ones((3, len(config.model.experts))),
    }
    state = jax.eval_shape(
        lambda batch, graph: initial_state(
            task,
            config,
            batch,
            graph,
            make_mesh(1),
            non_trainable=given,
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
