"""Pretraining a fusion run's encoders, and starting the run from them."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float

from moa_jax.data.examples.build import of_other_groups
from moa_jax.data.examples.features import FeatureSpec
from moa_jax.progress import track
from moa_jax.schemas import Batch, Examples, GraphArrays, concatenate
from moa_jax.training.optimiser import make_optimiser
from moa_jax.training.pretraining.batches import PretrainingBatch, PretrainingSet, pretraining_set
from moa_jax.training.pretraining.links import LinkNumbers, link_numbers
from moa_jax.training.pretraining.objectives import PretrainingTask, make_pretraining_task
from moa_jax.training.runs.metric_writer import MetricWriter
from moa_jax.training.sharding import replicate, shard
from moa_jax.training.step import TrainState

# Subfolder of a run that holds the losses of its pretraining.
FOLDER = "pretraining"
# Separates the random numbers of pretraining from those of the run with the same seed.
_STREAM = 1_000_003

# Parameters and the optimiser's state.
State = tuple[Any, Any]
Losses = dict[str, Float[Array, ""]]


def pretrain(
    config: ml_collections.ConfigDict,
    train: Examples,
    unlabelled: Examples | None,
    features: FeatureSpec,
    *,
    graph: GraphArrays,
    graph_size: tuple[int, int],
    mesh: jax.sharding.Mesh,
    workdir: pathlib.Path | None = None,
) -> dict[str, Any]:
    """Trains the encoders on examples without their labels.

    No example may be of a held-out compound, except for structures alone if the configuration is
    `transductive`.

    Args:
      config: a complete configuration with `pretraining`; see `configs/pretraining.py`.
      train: training examples.
      unlabelled: additional examples (`data.splits.unlabelled.unlabelled_part`); those of training
        compounds are left out.
      features: vocabularies and gene statistics of the run.
      graph: the knowledge graph, replicated.
      graph_size: numbers of gene nodes and term nodes.
      mesh: devices of the run.
      workdir: folder of the run, to write the losses; None writes none.

    Returns:
      The encoder's name in the fusion model -> its parameters, for each that an objective trains.

    Raises:
      InputError: the configuration names an objective that does not exist, or none.
      FloatingPointError: the loss is not finite.
    """
    task = make_pretraining_task(config, features, graph_size)
    examples = train
    if unlabelled is not None:
        new = np.flatnonzero(of_other_groups(unlabelled, train))
        examples = concatenate(train, unlabelled.take(new))
    data = pretraining_set(examples, features)
    params = train_heads(task, config, data, graph=graph, mesh=mesh, workdir=workdir)
    return {name: params[name] for name in task.encoders}


def train_heads(
    task: PretrainingTask,
    config: ml_collections.ConfigDict,
    data: PretrainingSet,
    *,
    graph: GraphArrays,
    mesh: jax.sharding.Mesh,
    workdir: pathlib.Path | None = None,
) -> Any:
    """All parameters of the pretrained model, heads among them; see `pretrain`."""
    settings = ml_collections.FrozenConfigDict(config.pretraining)
    rng = jax.random.fold_in(jax.random.key(config.seed), _STREAM)
    links = replicate(link_numbers(graph), mesh)

    def batch(step: int) -> PretrainingBatch:
        host = data.batch(
            config.training.batch_size,
            rows_per_compound=settings.rows_per_compound,
            seed=config.seed + _STREAM,
            step=step,
            num_shards=mesh.size,
        )
        return shard(host, mesh)

    optimiser = make_optimiser(settings.optimiser, settings.num_steps)
    start = _make_start(task)
    params = replicate(start(rng, batch(0).batch, graph), mesh)
    state = (params, optimiser.init(params))
    update = _make_update(task, settings)
    writer = MetricWriter(workdir / FOLDER, resume_step=0) if workdir else None
    for step in track(range(settings.num_steps), "pretraining"):
        step_rng = jax.random.fold_in(rng, step)
        state, losses = update(state, batch(step), graph, links, step_rng)
        done = step + 1
        if done % config.training.log_every == 0 or done == settings.num_steps:
            _log(writer, done, losses)
    if writer:
        writer.close()
    return state[0]


@functools.lru_cache(maxsize=32)
def _make_start(task: PretrainingTask) -> Callable[[Array, Batch, GraphArrays], Any]:
    """Builds the jitted initialisation."""

    def start(rng: Array, batch: Batch, graph: GraphArrays) -> Any:
        return task.model.init(rng, batch, graph, train=False)["params"]

    return jax.jit(start)


@functools.lru_cache(maxsize=32)
def _make_update(
    task: PretrainingTask, settings: ml_collections.FrozenConfigDict
) -> Callable[[State, PretrainingBatch, GraphArrays, LinkNumbers, Array], tuple[State, Losses]]:
    """Builds the jitted update; the state is donated."""
    optimiser = make_optimiser(settings.optimiser, settings.num_steps)

    def update(
        state: State, batch: PretrainingBatch, graph: GraphArrays, links: LinkNumbers, rng: Array
    ) -> tuple[State, Losses]:
        params, opt_state = state

        def loss_of(params: Any) -> tuple[Array, Losses]:
            return task.loss(params, batch, graph, links, rng)

        (loss, parts), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimiser.update(grads, opt_state, params)
        faster = jax.tree.map(lambda leaf: settings.knowledge_rate * leaf, updates["knowledge"])
        updates = {**updates, "knowledge": faster}
        losses = {"loss": loss, **{f"loss_{name}": value for name, value in parts.items()}}
        return (optax.apply_updates(params, updates), opt_state), losses

    return jax.jit(update, donate_argnums=0)


def _log(writer: MetricWriter | None, step: int, losses: Mapping[str, Array]) -> None:
    values = {name: float(value) for name, value in losses.items()}
    if not math.isfinite(values["loss"]):
        raise FloatingPointError(
            f"the loss of pretraining is {values['loss']} at step {step}; "
            "lower pretraining.optimiser.learning_rate."
        )
    if writer:
        writer.write(step, values)


def warm_start(state: TrainState, pretrained: Mapping[str, Any]) -> TrainState:
    """The state before the first step, with pretrained encoders in place of random ones.

    Args:
      state: the state with random parameters.
      pretrained: encoder -> its parameters; encoders that the model lacks are ignored.
    """

    def started(params: Mapping[str, Any]) -> dict[str, Any]:
        # Copies, because the train step donates its buffers.
        return {
            name: jax.tree.map(jnp.copy, pretrained.get(name, own)) for name, own in params.items()
        }

    return state.replace(params=started(state.params), ema_params=started(state.ema_params))
