"""The train state and the jitted steps: the only place where gradients are taken."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.accumulation import summed_gradients
from moa_jax.training.optimiser import make_optimiser
from moa_jax.training.task import Task


@flax.struct.dataclass
class TrainState:
    """What a run needs to go on; every field may also hold shapes or shardings.

    Attributes:
      step: number of updates done.
      params: parameters that are trained.
      ema_params: their average over the steps, used to predict; see `averaging_decay`.
      given: parameters that stay as they are, such as those solved in closed form.
      memory: what the task remembers of its training examples; see `Task.first_memory`.
      opt_state: state of the optimiser.
      rng: key of the run; a step uses `fold_in(rng, step)`.
    """

    step: Any
    params: Any
    ema_params: Any
    given: Any
    memory: Any
    opt_state: Any
    rng: Any

    @property
    def predicting(self) -> dict[str, Any]:
        """All parameters as the model takes them to predict."""
        return {**self.ema_params, **self.given}


def initial_state(
    task: Task,
    config: ml_collections.FrozenConfigDict,
    batch: Batch,
    graph: GraphArrays,
    mesh: jax.sharding.Mesh,
    *,
    given: Mapping[str, Any],
    memory: Any,
) -> TrainState:
    """The state before the first step, replicated on the mesh; `batch` gives the shapes.

    Parameters that are `given`, such as those solved in closed form, take no part in training;
    `memory` is the task's `first_memory`.
    """
    init = _make_init(task, config.training.optimiser, config.training.num_steps, mesh)
    return init(jax.random.key(config.seed), given, memory, batch, graph)


@functools.lru_cache(maxsize=32)
def _make_init(
    task: Task,
    config: ml_collections.FrozenConfigDict,
    num_steps: int,
    mesh: jax.sharding.Mesh,
) -> Callable[[Array, Mapping[str, Any], Any, Batch, GraphArrays], TrainState]:
    """Builds the jitted initialisation; runs of one task share it, as they share their steps."""
    optimiser = make_optimiser(config, num_steps)

    def init(
        rng: Array, given: Mapping[str, Any], memory: Any, batch: Batch, graph: GraphArrays
    ) -> TrainState:
        init_rng, run_rng = jax.random.split(rng)
        drawn = task.init(init_rng, batch, graph)
        params = {name: value for name, value in drawn.items() if name not in given}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            ema_params=jax.tree.map(jnp.copy, params),
            given=dict(given),
            memory=memory,
            opt_state=optimiser.init(params),
            rng=run_rng,
        )

    return jax.jit(init, out_shardings=NamedSharding(mesh, PartitionSpec()))


@functools.lru_cache(maxsize=32)
def make_train_step(
    task: Task, config: ml_collections.FrozenConfigDict
) -> Callable[[TrainState, Batch, GraphArrays], tuple[TrainState, dict[str, Array]]]:
    """Builds the jitted update; the state is donated.

    Runs of one task and `config.training` share the step, so it is compiled once.
    """
    return jax.jit(train_step_of(task, config), donate_argnums=0)


def train_step_of(
    task: Task, config: ml_collections.FrozenConfigDict
) -> Callable[[TrainState, Batch, GraphArrays], tuple[TrainState, dict[str, Array]]]:
    """The update as a plain function, to be compiled alone or for several members at once."""
    optimiser = make_optimiser(config.optimiser, config.num_steps)

    def train_step(
        state: TrainState, batch: Batch, graph: GraphArrays
    ) -> tuple[TrainState, dict[str, Array]]:
        def loss_of(
            trained: Any, piece: Batch, rng: Array, memory: Any
        ) -> tuple[Array, tuple[dict[str, Array], Any]]:
            params = {**trained, **state.given}
            return task.remembering_loss(params, piece, graph, rng, state.step, memory=memory)

        totals, memory = summed_gradients(
            loss_of,
            state.params,
            batch,
            jax.random.fold_in(state.rng, state.step),
            state.memory,
            micro_batches=config.micro_batches,
        )
        count = jnp.sum(jnp.where(batch.example_mask, batch.weight, 0.0))
        loss, parts, grads = jax.tree.map(lambda total: total / count, totals)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        step = state.step + 1
        decay = averaging_decay(config, step)
        ema = jax.tree.map(
            lambda old, new: decay * old + (1 - decay) * new, state.ema_params, params
        )
        metrics = {
            "loss": loss,
            **{f"loss_{name}": value for name, value in parts.items()},
            "grad_norm": optax.global_norm(grads),
            "param_norm": optax.global_norm(params),
            "update_norm": optax.global_norm(updates),
        }
        after = state.replace(
            step=step, params=params, ema_params=ema, memory=memory, opt_state=opt_state
        )
        return after, metrics

    return train_step


def averaging_decay(
    config: ml_collections.FrozenConfigDict, step: Int[Array, ""]
) -> Float[Array, ""]:
    """What the average of the parameters keeps of itself in the update that ends at `step`.

    With `swa_start` 0 the average is exponential with `ema_decay`, less at first, when the
    average follows the parameters closely (bias-corrected decay). Otherwise it is the parameters
    themselves until the step `swa_start`, and from there on their plain mean (stochastic weight
    averaging, Izmailov 2018, algorithm 1, with a mean at every step).

    Args:
      config: `training` of a configuration.
      step: number of updates done with this one.
    """
    if not config.swa_start:
        return jnp.minimum(config.ema_decay, (1.0 + step) / (10.0 + step))
    num_averaged = jnp.maximum(step - config.swa_start, 0).astype(jnp.float32)
    return num_averaged / (num_averaged + 1.0)


@functools.lru_cache(maxsize=32)
def make_predict_step(
    task: Task, mesh: jax.sharding.Mesh
) -> Callable[[Any, Batch, GraphArrays], dict[str, Float[Array, "batch column"]]]:
    """Builds the jitted views of a task.

    They come back replicated, so that every process can read all of them.
    """
    return jax.jit(task.views, out_shardings=NamedSharding(mesh, PartitionSpec()))
