"""Models whose explanations can be written down, and one that was trained."""

import dataclasses
import functools
import types
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.data.examples.batches import make_batch
from moa_jax.data.examples.features import FeatureSpec, encode, fit_features
from moa_jax.kernels.closed_form import ClosedForm
from moa_jax.kernels.target_actions import known_targets
from moa_jax.kernels.target_propagation import references_of
from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.models.experts import EXPERTS
from moa_jax.training.fusion.task import make_fusion_task
from moa_jax.training.runs.predictor import Predictor, Progress
from moa_jax.training.sharding import make_mesh, replicate
from moa_jax.training.task import TrainingTask
from tests.synthetic import (
    NUM_GENES,
    NUM_LANDMARKS,
    NUM_TERMS,
    make_examples,
    make_gene_table,
    make_graph,
    make_knowledge_graph,
    make_raw_examples,
    tiny_config,
    with_targets,
)

NUM_NODES = make_graph().propagation.shape[1]
NUM_COLUMNS = make_examples(1).substructures.shape[1]


class TwoLogistics(nn.Module):
    """Logits linear in genes, in node activity and in substructure counts."""

    num_moas: int

    @nn.compact
    def __call__(self, batch, graph, *, train):
        del train
        dense = lambda name: nn.Dense(self.num_moas, use_bias=False, name=name)  # noqa: E731
        genes = jnp.where(batch.gene_mask, batch.expression, 0.0)
        of_genes = dense("genes")(genes) + dense("nodes")(jnp.tanh(genes @ graph.propagation))
        of_structure = dense("structure")(batch.substructures.astype(jnp.float32))
        logits = jnp.where(batch.expression_mask[:, None], of_genes, 0.0)
        logits = logits + jnp.where(batch.structure_mask[:, None], of_structure, 0.0)
        known = batch.dose_mask.astype(jnp.float32)[:, None]
        return types.SimpleNamespace(logits=logits + dense("context")(known))


@dataclasses.dataclass(frozen=True)
class LinearTask(TrainingTask):
    """Is never trained."""

    selection_view = "fusion"

    def loss(self, params, batch, graph, rng):
        raise NotImplementedError

    def views(self, params, batch, graph):
        raise NotImplementedError


def linear_predictor(*, num_moas=3, nodes=0.0, seed=0, **weights: Any) -> Predictor:
    """`TwoLogistics` with random weights; those of nodes times `nodes`."""
    rng = np.random.default_rng(seed)
    normal = lambda rows: rng.normal(size=(rows, num_moas)).astype(np.float32)  # noqa: E731
    params = {
        "genes": {"kernel": normal(NUM_LANDMARKS)},
        "nodes": {"kernel": nodes * normal(NUM_NODES)},
        "structure": {"kernel": 0.1 * normal(NUM_COLUMNS)},
        "context": {"kernel": normal(1)},
    }
    params.update({name: {"kernel": value} for name, value in weights.items()})
    mesh = make_mesh(1)
    return Predictor(
        task=LinearTask(TwoLogistics(num_moas)),
        params=replicate(params, mesh),
        features=feature_spec(num_moas),
        graph=replicate(make_graph(), mesh),
        mesh=mesh,
        batch_size=4,
        progress=Progress(),
    )


def feature_spec(num_moas=3) -> FeatureSpec:
    return FeatureSpec(
        moas=tuple(f"moa {row}" for row in range(num_moas)),
        genes=tuple(str(100 + row) for row in range(NUM_LANDMARKS)),
        gene_symbols=tuple(f"GENE{100 + row}" for row in range(NUM_LANDMARKS)),
        cell_lines=("unknown", "A375", "MCF7"),
        mean=np.linspace(-0.2, 0.2, NUM_LANDMARKS, dtype=np.float32),
        scale=np.linspace(0.5, 2, NUM_LANDMARKS, dtype=np.float32),
    )


def every_moa(num_examples, num_moas=3):
    return np.broadcast_to(np.eye(num_moas, dtype=np.float32), (num_examples, num_moas, num_moas))


def tiny_predictor(experts, *, seed=0) -> Predictor:
    """The fusion model with random weights; the others are solved for made-up examples."""
    config = tiny_config()
    config.model.experts = experts
    raw, knowledge = with_targets(make_raw_examples(24)), make_knowledge_graph()
    features = fit_features(raw, make_gene_table())
    if any(EXPERTS[expert].through_proteins for expert in experts):
        proteins = known_targets(raw, list(knowledge.genes["symbol"]))
        features = dataclasses.replace(features, proteins=proteins)
    train = encode(raw, features)
    graph, mesh = graph_arrays(knowledge, restart=0.5, num_steps=3), make_mesh(1)
    task = make_fusion_task(config, features, (NUM_GENES, NUM_TERMS))
    batch = make_batch(train, np.arange(2), 2, num_shards=1)
    start = jax.jit(functools.partial(task.model.init, train=False))(
        jax.random.key(seed), batch, graph
    )
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda values: np.asarray(values + 0.3 * rng.normal(size=values.shape), np.float32),
        start["params"],
    )
    references = references_of(config.target_propagation, raw, None)
    closed_form = ClosedForm.of(config, task.model, features, graph, references)
    scales = [
        [config.expert_scales[view][expert] for expert in experts] for view in config.expert_scales
    ]
    given = {**closed_form.params(), "expert_scales": np.asarray(scales, np.float32)}
    return Predictor(
        task=task,
        params=replicate({**params, **given}, mesh),
        features=features,
        graph=replicate(graph, mesh),
        mesh=mesh,
        batch_size=4,
        progress=Progress(),
    )
