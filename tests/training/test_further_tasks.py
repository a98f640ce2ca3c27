"""Second tasks of the joint expert: their closed forms, their masks, and who may have them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from moa_jax.compounds.substructures import NUM_KEYS
from moa_jax.data.features import fit_features
from moa_jax.schemas import InputError
from moa_jax.training.further_tasks import (
    TASKS,
    FurtherTasks,
    make_further_tasks,
    structure_key_loss,
    viability,
    viability_loss,
)
from moa_jax.training.fusion_task import make_fusion_task
from tests.synthetic import (
    NUM_LANDMARKS,
    batch_of,
    make_knowledge_graph,
    make_raw_examples,
    replace,
    tiny_config,
)

pytestmark = pytest.mark.slow

GENES = make_knowledge_graph().genes.iloc[:NUM_LANDMARKS]
FEATURES = fit_features(make_raw_examples(), GENES)
WEIGHT = np.linspace(1, 2, 8, dtype=np.float32)


def on_device(batch, **changes):
    return jax.tree.map(jnp.asarray, replace(batch, **changes))


def test_viability_is_what_dividing_genes_do_less_what_stressed_ones_do():
    expression = np.arange(40, dtype=np.float32).reshape(8, 5)
    mask = np.ones((8, 5), bool)
    mask[1, 2], mask[2, [1, 3]] = False, False
    heard = np.arange(8) != 3
    batch = on_device(batch_of(), expression=expression, gene_mask=mask, expression_mask=heard)
    tasks = FurtherTasks((), dividing=(0, 2), stressed=(1, 3))
    wanted, known = viability(batch, tasks)
    # (0 + 2) / 2 - (1 + 3) / 2; without column 2: 5 - (6 + 8) / 2; no stressed gene; unheard.
    np.testing.assert_allclose(wanted[:2], [-1, -2])
    np.testing.assert_array_equal(known, [True, True, False, False, *[True] * 4])
    real = np.arange(8) != 4
    batch = dataclasses.replace(batch, weight=jnp.asarray(WEIGHT), example_mask=jnp.asarray(real))
    said = jnp.array([0.0, -2.0, 9.0, 9.0, 9.0, -1.0, -1.0, 1.0])
    expected = WEIGHT[0] * 1 + WEIGHT[7] * 4
    np.testing.assert_allclose(viability_loss(said, batch, tasks), expected, rtol=1e-6)
    nobody = FurtherTasks((), dividing=(), stressed=(1,))
    assert float(viability_loss(said, batch, nobody)) == 0


def test_keys_cost_their_mean_cross_entropy():
    counts = np.zeros((8, 16), np.uint8)
    counts[0, -2:] = 1, 7
    counts[1, 0] = 3
    has = np.array([True, True, *[False] * 6])
    batch = on_device(batch_of(), substructures=counts, structure_mask=has, weight=WEIGHT)
    logits = np.zeros((8, 4), np.float32)
    logits[0], logits[2] = [1, -1, 2, -2], 50
    cost = np.log1p(np.exp([1, -1, -2, 2])).mean()
    expected = WEIGHT[0] * cost + WEIGHT[1] * np.log(2)
    np.testing.assert_allclose(structure_key_loss(jnp.asarray(logits), batch), expected, rtol=1e-6)


def test_only_tasks_with_a_weight_are_learned():
    config = tiny_config()
    config.training.loss.update({"viability_weight": 0.5, "structure_keys_weight": 0.25})
    symbols = ("PCNA", "JUN", "X", "BAX", "CDK1")
    features = dataclasses.replace(FEATURES, gene_symbols=symbols)
    found = make_further_tasks(FrozenConfigDict(config.training.loss), features)
    assert found.weights == (("viability", 0.5), ("structure_keys", 0.25))
    assert found.outputs == (("viability", 1), ("structure_keys", NUM_KEYS))
    assert (found.dividing, found.stressed) == ((0, 4), (1, 3))
    said = {"viability": jnp.zeros((8, 1)), "structure_keys": jnp.zeros((8, 4))}
    losses = found.losses(said, on_device(batch_of()))
    assert list(losses) == ["viability", "structure_keys"]


@pytest.mark.parametrize("task", TASKS)
def test_without_the_joint_expert_there_is_no_second_task(task):
    config = tiny_config()
    config.model.experts = ("signature",)
    config.training.loss[f"{task}_weight"] = 0.5
    with pytest.raises(InputError, match=rf"{task}_weight is 0\.5, expected 0 without the expert"):
        make_fusion_task(FrozenConfigDict(config), FEATURES, (7, 4))
