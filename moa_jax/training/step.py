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
from jaxtyping import Array, Float

from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.accumulation import summed_gradients
from moa_jax.training.optimiser import make_optimiser
from moa_jax.training.task import TrainingTask


@flax.struct.dataclass
class TrainState:
    """What a run needs to continue; every field may also hold shapes or shardings.

    Attributes:
      step: number of updates done.
      params: parameters that gradients change.
      ema_params: their exponential moving average, used to predict.
      non_trainable: parameters that no gradient changes: those solved in closed form, the experts'
        scales, and the state of a loss (`TrainingTask.first_state`).
      opt_state: state of the optimiser.
      rng: key of the run; a step uses `fold_in(rng, step)`.
    """

    step: Any
    params: Any
    ema_params: Any
    non_trainable: Any
    opt_state: Any
    rng: Any

    @property
    def predicting(self) -> dict[str, Any]:
        """All parameters that the model predicts with."""
        return {**self.ema_params, **self.non_trainable}


def initial_state(
    task: TrainingTask,
    config: ml_collections.FrozenConfigDict,
    batch: Batch,
    graph: GraphArrays,
    mesh: jax.sharding.Mesh,
    *,
    non_trainable: Mapping[str, Any],
) -> TrainState:
    """The state before the first step, replicated on the mesh; `batch` provides the shapes."""
    init = _make_init(task, config.training.optimiser, config.training.num_steps, mesh)
    return init(jax.random.key(config.seed), non_trainable, batch, graph)


@functools.lru_cache(maxsize=32)
def _make_init(
    task: TrainingTask,
    config: ml_collections.FrozenConfigDict,
    num_steps: int,
    mesh: jax.sharding.Mesh,
) -> Callable[[Array, Mapping[str, Any], Batch, GraphArrays], TrainState]:
    """Builds the jitted initialisation, which runs of one task share."""
    optimiser = make_optimiser(config, num_steps)

    def init(
        rng: Array, non_trainable: Mapping[str, Any], batch: Batch, graph: GraphArrays
    ) -> TrainState:
        init_rng, run_rng = jax.random.split(rng)
        drawn = task.init(init_rng, batch, graph)
        params = {name: value for name, value in drawn.items() if name not in non_trainable}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            ema_params=jax.tree.map(jnp.copy, params),
            non_trainable=dict(non_trainable),
            opt_state=optimiser.init(params),
            rng=run_rng,
        )

    return jax.jit(init, out_shardings=NamedSharding(mesh, PartitionSpec()))


@functools.lru_cache(maxsize=32)
def make_train_step(
    task: TrainingTask, config: ml_collections.FrozenConfigDict
) -> Callable[[TrainState, Batch, GraphArrays], tuple[TrainState, dict[str, Array]]]:
    """Builds the jitted update; the state is donated.

    Runs of one task and `config.training` share the step, so it is compiled once.
    """
    optimiser = make_optimiser(config.optimiser, config.num_steps)

    def train_step(
        state: TrainState, batch: Batch, graph: GraphArrays
    ) -> tuple[TrainState, dict[str, Array]]:
        rng = jax.random.fold_in(state.rng, state.step)
        before = {**state.params, **state.non_trainable}
        non_trainable = {**state.non_trainable, **task.next_state(before, batch, graph, rng)}

        def loss_of(trained: Any, piece: Batch, rng: Array) -> tuple[Array, dict[str, Array]]:
            return task.loss({**trained, **non_trainable}, piece, graph, rng, state.step)

        totals = summed_gradients(
            loss_of, state.params, batch, rng, micro_batches=config.micro_batches
        )
        count = jnp.sum(jnp.where(batch.example_mask, batch.weight, 0.0))
        loss, parts, grads = jax.tree.map(lambda total: total / count, totals)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        step = state.step + 1
        # Smaller at first, so that the average follows the parameters closely.
        decay = jnp.minimum(config.ema_decay, (1.0 + step) / (10.0 + step))
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
            step=step,
            params=params,
            ema_params=ema,
            non_trainable=non_trainable,
            opt_state=opt_state,
        )
        return after, metrics

    return jax.jit(train_step, donate_argnums=0)


@functools.lru_cache(maxsize=32)
def make_predict_step(
    task: TrainingTask, mesh: jax.sharding.Mesh
) -> Callable[[Any, Batch, GraphArrays], dict[str, Float[Array, "batch column"]]]:
    """Builds the jitted prediction; its output is replicated, so every process can read it."""
    return jax.jit(task.views, out_shardings=NamedSharding(mesh, PartitionSpec()))


@functools.lru_cache(maxsize=32)
def make_protein_step(
    task: TrainingTask, mesh: jax.sharding.Mesh
) -> Callable[[Any, Batch, GraphArrays], dict[str, Float[Array, "batch action gene"]]]:
    """Builds the jitted prediction of proteins; its output is replicated."""
    return jax.jit(task.proteins, out_shardings=NamedSharding(mesh, PartitionSpec()))
