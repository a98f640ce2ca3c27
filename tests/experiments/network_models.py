"""A model with a protein network and random weights."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from moa_jax.knowledge.propagation import graph_arrays
from moa_jax.training.fusion.task import FusionTask
from moa_jax.training.runs.predictor import Predictor, Progress
from moa_jax.training.sharding import make_mesh, replicate
from tests.explanation.attribution.linear_models import feature_spec
from tests.models.random_params import randomised
from tests.models.test_protein_network import MODEL, NUM_PROTEINS, closed_form
from tests.synthetic import batch_of, make_knowledge_graph


def network_predictor(knowledge=None) -> Predictor:
    """Solved experts with made-up parameters, and a network away from its start."""
    graph = graph_arrays(knowledge or make_knowledge_graph(), restart=0.5, num_steps=3)
    given, batch, graph = jax.tree.map(jnp.asarray, (closed_form(), batch_of(), graph))
    init = jax.jit(functools.partial(MODEL.init, train=False))
    first = init(jax.random.key(0), batch, graph)["params"]
    trained = randomised({name: value for name, value in first.items() if name not in given})
    proteins = tuple(f"protein {number}" for number in range(NUM_PROTEINS))
    mesh = make_mesh(1)
    return Predictor(
        task=FusionTask(MODEL),
        params=replicate({**trained, **given}, mesh),
        features=dataclasses.replace(feature_spec(), proteins=proteins),
        graph=replicate(graph, mesh),
        mesh=mesh,
        batch_size=4,
        progress=Progress(),
    )
