"""One perceptron on expression, trained with whatever loss, in one compiled program.

Some hundred small networks are trained here, so all steps of one are a single program and nothing
is saved on the way, unlike in `moa_jax.training.fit.Run`; optimiser, average of the parameters and
order of the batches are those of `Run`.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Float32, Int

from moa_jax.data.batches import training_rows
from moa_jax.models.expression_network import ExpressionMlp
from moa_jax.schemas import Batch, GraphArrays
from moa_jax.training.co_teaching import CoTeachingTask
from moa_jax.training.early_learning import EarlyLearning
from moa_jax.training.losses import masked_sum
from moa_jax.training.optimiser import make_optimiser

# Logits, labels and known labels of a batch -> loss of every example.
ExampleLoss = Callable[
    [Float[Array, "batch moa"], Float[Array, "batch moa"], Bool[Array, "batch moa"]],
    Float[Array, " batch"],
]
Memory = Float[Array, "example moa"]


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """What a step minimises. Hashable: equal ones share their compiled program."""

    def first_memory(self, shape: tuple[int, int]) -> Memory:
        """What is remembered of every example before the first step; nothing here."""
        return jnp.zeros((shape[0], 0))

    @abc.abstractmethod
    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Any:
        """First parameters."""

    @abc.abstractmethod
    def loss(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        *,
        memory: Memory,
        rows: Int[Array, " batch"],
        rng: Array,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Memory]:
        """The loss summed over the batch, and the memory after the step.

        Args:
          params: parameters.
          batch: the batch.
          graph: an empty graph.
          memory: see `first_memory`.
          rows: rows of the batch's examples in `memory`.
          rng: key of the step.
          step: number of updates done.
        """

    @abc.abstractmethod
    def probs(self, params: Any, batch: Batch, graph: GraphArrays) -> Float[Array, "batch moa"]:
        """Probabilities of one network."""


@dataclasses.dataclass(frozen=True)
class Plain(Objective):
    """A loss of logits and labels.

    Attributes:
      network: the perceptron.
      example_loss: the loss.
      answer: makes probabilities of logits.
    """

    network: ExpressionMlp
    example_loss: ExampleLoss
    answer: Callable[[Float[Array, "batch moa"]], Float[Array, "batch moa"]] = jax.nn.sigmoid

    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Any:
        """See `Objective.init`."""
        return self.network.init(rng, batch, graph, train=False)["params"]

    def loss(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        *,
        memory: Memory,
        rows: Int[Array, " batch"],
        rng: Array,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Memory]:
        """See `Objective.loss`."""
        logits = self.network.apply(
            {"params": params}, batch, graph, train=True, rngs={"dropout": rng}
        )
        losses, memory = self.remembering(logits, batch, memory, rows)
        return masked_sum(losses, batch.weight, batch.example_mask), memory

    def remembering(
        self,
        logits: Float[Array, "batch moa"],
        batch: Batch,
        memory: Memory,
        rows: Int[Array, " batch"],
    ) -> tuple[Float[Array, " batch"], Memory]:
        """Losses of the examples, and the memory after the step."""
        del rows
        return self.example_loss(logits, batch.labels, batch.label_mask), memory

    def probs(self, params: Any, batch: Batch, graph: GraphArrays) -> Float[Array, "batch moa"]:
        """See `Objective.probs`."""
        return self.answer(self.network.apply({"params": params}, batch, graph, train=False))


@dataclasses.dataclass(frozen=True)
class Remembering(Plain):
    """Early-learning regularisation.

    Attributes:
      example_loss: the loss, which keeps targets of every example.
    """

    example_loss: EarlyLearning

    def first_memory(self, shape: tuple[int, int]) -> Memory:
        """Targets before the first step."""
        return jnp.full(shape, self.example_loss.FIRST_TARGET)

    def remembering(
        self,
        logits: Float[Array, "batch moa"],
        batch: Batch,
        memory: Memory,
        rows: Int[Array, " batch"],
    ) -> tuple[Float[Array, " batch"], Memory]:
        """Liu's order: the targets move, then they pull."""
        targets = self.example_loss.updated(memory[rows], logits)
        losses = self.example_loss(logits, batch.labels, batch.label_mask, targets)
        return losses, memory.at[rows].set(targets)


@dataclasses.dataclass(frozen=True)
class TwoNetworks(Objective):
    """Co-teaching, of which the first network is asked, so that it is compared with one network.

    Attributes:
      task: the two networks and their loss.
    """

    task: CoTeachingTask

    def init(self, rng: Array, batch: Batch, graph: GraphArrays) -> Any:
        """See `Objective.init`."""
        return self.task.model.init(rng, batch, graph, train=False)["params"]

    def loss(
        self,
        params: Any,
        batch: Batch,
        graph: GraphArrays,
        *,
        memory: Memory,
        rows: Int[Array, " batch"],
        rng: Array,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Memory]:
        """See `Objective.loss`."""
        return self.task.loss(params, batch, graph, rng, step)[0], memory

    def probs(self, params: Any, batch: Batch, graph: GraphArrays) -> Float[Array, "batch moa"]:
        """See `Objective.probs`."""
        logits = self.task.model.apply({"params": params}, batch, graph, train=False)
        return jax.nn.sigmoid(logits[0])


def train_perceptron(
    objective: Objective,
    config: ml_collections.FrozenConfigDict,
    whole: Batch,
    graph: GraphArrays,
    train_rows: Int[np.ndarray, " row"],
    *,
    seed: int,
) -> Float32[np.ndarray, "evaluation example moa"]:
    """Trains on some examples of a batch, and answers for all of them now and then.

    Args:
      objective: what is minimised.
      config: `training` of a method's configuration.
      whole: all examples. Those that are not trained on are never drawn.
      graph: an empty graph.
      train_rows: what is trained on.
      seed: of the first parameters, the dropout and the batches.

    Returns:
      Probabilities after every `config.eval_every` steps.
    """
    rows = [
        train_rows[training_rows(len(train_rows), config.batch_size, seed=seed, step=step)]
        for step in range(config.num_steps)
    ]
    shape = (config.num_steps // config.eval_every, config.eval_every, config.batch_size)
    run = _compiled(objective, config)
    return np.asarray(run(jax.random.key(seed), whole, graph, np.reshape(rows, shape)))


@functools.lru_cache(maxsize=64)
def _compiled(objective: Objective, config: ml_collections.FrozenConfigDict) -> Callable[..., Any]:
    optimiser = make_optimiser(config.optimiser, config.num_steps)

    def run(
        rng: Array, whole: Batch, graph: GraphArrays, rows: Int[Array, "evaluation step batch"]
    ) -> Float[Array, "evaluation example moa"]:
        init_rng, run_rng = jax.random.split(rng)
        params = objective.init(init_rng, whole, graph)

        def update(carry: Any, drawn: Int[Array, " batch"]) -> tuple[Any, None]:
            step, params, ema, state, memory = carry
            batch, key = _taken(whole, drawn), jax.random.fold_in(run_rng, step)
            (_, memory), grads = jax.value_and_grad(objective.loss, has_aux=True)(
                params, batch, graph, memory=memory, rows=drawn, rng=key, step=step
            )
            grads = jax.tree.map(lambda total: total / batch.weight.sum(), grads)
            updates, state = optimiser.update(grads, state, params)
            params, step = optax.apply_updates(params, updates), step + 1
            decay = jnp.minimum(config.ema_decay, (1.0 + step) / (10.0 + step))
            ema = optax.incremental_update(params, ema, 1 - decay)
            return (step, params, ema, state, memory), None

        def update_and_answer(
            carry: Any, drawn: Int[Array, "step batch"]
        ) -> tuple[Any, Float[Array, "example moa"]]:
            carry, _ = jax.lax.scan(update, carry, drawn)
            return carry, objective.probs(carry[2], whole, graph)

        memory = objective.first_memory(whole.labels.shape)
        first = (jnp.zeros((), jnp.int32), params, params, optimiser.init(params), memory)
        return jax.lax.scan(update_and_answer, first, rows)[1]

    return jax.jit(run)


def _taken(whole: Batch, rows: Int[Array, " batch"]) -> Batch:
    """Some examples of a batch; their molecules, which no perceptron sees, stay behind."""
    names = [field.name for field in dataclasses.fields(whole) if field.name != "molecules"]
    return dataclasses.replace(whole, **{name: getattr(whole, name)[rows] for name in names})
