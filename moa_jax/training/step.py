"""The train state and the jitted steps: the only place where gradients are taken."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from moa_jax.models.fusion import FusionModel, FusionOutput
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.losses import label_distribution_cross_entropy, masked_sum
from moa_jax.training.optimiser import make_optimiser

# (params, batch, graph, rngs, train) -> output
ApplyFn = Callable[..., FusionOutput]


@flax.struct.dataclass
class TrainState:
    """What a run needs to go on; every field may also hold shapes or shardings.

    Attributes:
      step: number of updates done.
      params: parameters.
      ema_params: exponential moving average of the parameters, used to predict.
      opt_state: state of the optimiser.
      rng: key of the run; a step uses `fold_in(rng, step)`.
    """

    step: Any
    params: Any
    ema_params: Any
    opt_state: Any
    rng: Any


def initial_state(
    model: FusionModel,
    config: ml_collections.FrozenConfigDict,
    batch: Batch,
    graph: GraphArrays,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """The state before the first step, replicated on the mesh; `batch` gives the shapes.

    The scales of the experts are those of the configuration.
    """
    init = _make_init(model, config.training.optimiser, config.training.num_steps, mesh)
    scales = np.asarray(config.expert_scales, np.float32)
    return init(jax.random.key(config.seed), scales, batch, graph)


@functools.lru_cache(maxsize=8)
def _make_init(
    model: FusionModel,
    config: ml_collections.FrozenConfigDict,
    num_steps: int,
    mesh: jax.sharding.Mesh,
) -> Callable[[Array, Float[np.ndarray, " expert"], Batch, GraphArrays], TrainState]:
    """Builds the jitted initialisation; runs of one model share it, as they share their steps."""
    optimiser = make_optimiser(config, num_steps)

    def init(
        rng: Array, scales: Float[Array, " expert"], batch: Batch, graph: GraphArrays
    ) -> TrainState:
        init_rng, run_rng = jax.random.split(rng)
        params = dict(model.init(init_rng, batch, graph, train=False)["params"])
        params["expert_scales"] = scales
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            ema_params=jax.tree.map(jnp.copy, params),
            opt_state=optimiser.init(params),
            rng=run_rng,
        )

    return jax.jit(init, out_shardings=NamedSharding(mesh, PartitionSpec()))


def modality_dropout(
    rng: Array, batch: Batch, *, drop_expression: float, drop_structure: float
) -> Batch:
    """Hides one modality of some examples, never both, never the only one.

    Args:
      rng: key.
      batch: batch with the masks of what is there.
      drop_expression: share of examples that lose expression.
      drop_structure: share of examples that lose structure.
    """
    both = batch.expression_mask & batch.structure_mask
    draw = jax.random.uniform(rng, both.shape)
    lose_expression = both & (draw < drop_expression)
    lose_structure = both & (draw >= 1.0 - drop_structure)
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & ~lose_expression,
        structure_mask=batch.structure_mask & ~lose_structure,
    )


def keep_only(batch: Batch, *, expression: bool, structure: bool) -> Batch:
    """The batch as seen with some modalities alone."""
    return dataclasses.replace(
        batch,
        expression_mask=batch.expression_mask & expression,
        structure_mask=batch.structure_mask & structure,
    )


def fusion_loss(
    output: FusionOutput, batch: Batch, config: ml_collections.FrozenConfigDict
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Losses of the three experts, each of which must answer alone, summed over examples.

    The product itself is not trained: its scales are fitted to validation compounds later.
    Nothing is divided here: a mean over a sharded batch would wait for the other devices
    before the backward pass can begin.

    Args:
      output: the model's output for the batch whose masks the model saw.
      batch: the batch with the masks of what is really there.
      config: `joint_weight`, `expression_weight`, `structure_weight`.

    Returns:
      The weighted loss and its parts.
    """

    def total(logits: Float[Array, "batch moa"], mask: Bool[Array, " batch"]) -> Array:
        losses = label_distribution_cross_entropy(logits, batch.labels, batch.label_mask)
        return masked_sum(losses, batch.weight, mask & batch.example_mask)

    parts = {
        "joint": total(output.joint_logits, jnp.ones_like(batch.example_mask)),
        "expression": total(output.expression_logits, batch.expression_mask),
        "structure": total(output.structure_logits, batch.structure_mask),
    }
    loss = sum(config[f"{name}_weight"] * value for name, value in parts.items())
    return loss, parts


@functools.lru_cache(maxsize=8)
def make_train_step(
    apply_fn: ApplyFn, config: ml_collections.FrozenConfigDict
) -> Callable[[TrainState, Batch, GraphArrays], tuple[TrainState, dict[str, Array]]]:
    """Builds the jitted update; the state is donated.

    Runs of one model and `config.training` share the step, so it is compiled once.
    """
    optimiser = make_optimiser(config.optimiser, config.num_steps)

    def train_step(
        state: TrainState, batch: Batch, graph: GraphArrays
    ) -> tuple[TrainState, dict[str, Array]]:
        modality_rng, dropout_rng = jax.random.split(jax.random.fold_in(state.rng, state.step))
        seen = modality_dropout(
            modality_rng,
            batch,
            drop_expression=config.drop_expression,
            drop_structure=config.drop_structure,
        )

        def loss_fn(params: Any) -> tuple[Array, dict[str, Array]]:
            output = apply_fn(params, seen, graph, {"dropout": dropout_rng}, train=True)
            return fusion_loss(output, batch, config.loss)

        (loss, parts), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        count = jnp.sum(jnp.where(batch.example_mask, batch.weight, 0.0))
        loss, parts, grads = jax.tree.map(lambda total: total / count, (loss, parts, grads))
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        step = state.step + 1
        # Early on the average follows the parameters closely (bias-corrected decay).
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
        return state.replace(step=step, params=params, ema_params=ema, opt_state=opt_state), metrics

    return jax.jit(train_step, donate_argnums=0)


@functools.lru_cache(maxsize=8)
def make_predict_step(
    apply_fn: ApplyFn, mesh: jax.sharding.Mesh
) -> Callable[[Any, Batch, GraphArrays], dict[str, Float[Array, "batch moa"]]]:
    """Builds the jitted prediction: probabilities from both modalities and from each alone.

    The probabilities come back replicated, so that every process can read all of them.
    """

    def predict_step(
        params: Any, batch: Batch, graph: GraphArrays
    ) -> dict[str, Float[Array, "batch moa"]]:
        views = {
            "fusion": batch,
            "expression": keep_only(batch, expression=True, structure=False),
            "structure": keep_only(batch, expression=False, structure=True),
        }
        return {
            name: jax.nn.softmax(apply_fn(params, view, graph, {}, train=False).logits, axis=-1)
            for name, view in views.items()
        }

    return jax.jit(predict_step, out_shardings=NamedSharding(mesh, PartitionSpec()))
