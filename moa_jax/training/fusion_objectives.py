"""What the networks among the fusion model's experts minimise."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import Batch, InputError
from moa_jax.training.co_teaching import CoTeaching, SelfPaced
from moa_jax.training.early_learning import EarlyLearning
from moa_jax.training.losses import (
    label_distribution_cross_entropy,
    masked_sum,
    sum_as_of_all,
)
from moa_jax.training.noise_correction import TransitionCorrection, uniform_transition
from moa_jax.training.robust_losses import ROBUST_LOSSES, make_loss
from moa_jax.training.sigmoid_losses import BinaryCrossEntropy

# Logits, labels and known labels of a batch -> loss of every example.
ExampleLoss = Callable[
    [Float[Array, "batch moa"], Float[Array, "batch moa"], Bool[Array, "batch moa"]],
    Float[Array, " batch"],
]
# Name of `label_distribution_cross_entropy` in a configuration.
LABEL_DISTRIBUTION = "label_distribution"
# The loss, its parts, and the memory after the step.
Totals = tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Any]]


@dataclasses.dataclass(frozen=True)
class Said:
    """What the networks say of a batch.

    Attributes:
      logits: expert -> its logits, with a leading axis of members where there are several.
      heard: expert -> real examples for which it has a say.
      weight: expert -> weight of its loss.
    """

    logits: dict[str, Float[Array, "*member batch moa"]]
    heard: dict[str, Bool[Array, " batch"]]
    weight: dict[str, float]

    def weighted_sum(
        self, values: dict[str, Float[Array, "..."]], *, axes: int = 0
    ) -> Float[Array, "..."]:
        """Weighted sum of a value of each example over the experts that are heard.

        Args:
          values: expert -> values, the examples on the axis before the last `axes`.
          axes: how many axes follow that of the examples.
        """
        total = jnp.zeros(())
        for expert, value in values.items():
            heard = self.heard[expert].reshape(-1, *(1,) * axes)
            total = total + self.weight[expert] * jnp.where(heard, value, 0.0)
        return total

    def mean_loss(self, losses: dict[str, Float[Array, "..."]]) -> Float[Array, "..."]:
        """Each example's mean loss over the experts that are heard, by which it is ranked.

        A sum would call examples easy that lack a modality. Examples that nobody is heard on come
        last.
        """
        weights = self.weighted_sum({name: jnp.ones(()) for name in losses})
        known = weights > 0
        mean = self.weighted_sum(losses) / jnp.where(known, weights, 1.0)
        return jnp.where(known, mean, jnp.inf)

    def total(self, parts: dict[str, Float[Array, ""]]) -> Float[Array, ""]:
        """The weighted sum of the experts' losses."""
        return sum((self.weight[name] * part for name, part in parts.items()), jnp.zeros(()))


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """A loss of several experts. Hashable, so that a task can hold it."""

    # Copies of the networks that it trains.
    num_members: ClassVar[int] = 1

    def first_memory(self, experts: tuple[str, ...], num_examples: int, num_moas: int) -> Any:
        """See `Task.first_memory`."""
        del experts, num_examples, num_moas
        return {}

    @abc.abstractmethod
    def totals(self, said: Said, batch: Batch, step: Int[Array, ""], memory: Any) -> Totals:
        """The weighted losses, summed over examples; see `Task.remembering_loss`."""


@dataclasses.dataclass(frozen=True)
class PlainObjective(Objective):
    """A loss of logits and labels, of all examples or of easy ones first.

    Attributes:
      example_loss: the loss.
      pace: which examples are trained on when; None for all of them always.
    """

    example_loss: ExampleLoss
    pace: SelfPaced | None

    def totals(self, said: Said, batch: Batch, step: Int[Array, ""], memory: Any) -> Totals:
        """See `Objective.totals`."""
        losses = {
            expert: self.example_loss(logits, batch.labels, batch.label_mask)
            for expert, logits in said.logits.items()
        }
        if self.pace is None:
            parts = {
                expert: masked_sum(loss, batch.weight, said.heard[expert])
                for expert, loss in losses.items()
            }
        else:
            kept = self.pace.kept(said.mean_loss(losses), batch.example_mask, step)
            parts = {
                expert: sum_as_of_all(
                    loss, batch.weight, kept & said.heard[expert], said.heard[expert]
                )
                for expert, loss in losses.items()
            }
        return said.total(parts), (parts, memory)


@dataclasses.dataclass(frozen=True)
class CoTeachingObjective(Objective):
    """Two copies of the networks that choose each other's examples; see `CoTeaching`.

    Examples are ranked by the mean of the experts' losses, and the copies disagree where the
    weighted sums of their experts' logits do.

    Attributes:
      example_loss: ranks the examples and trains.
      teaching: who learns from what.
    """

    example_loss: ExampleLoss
    teaching: CoTeaching

    num_members: ClassVar[int] = 2

    def totals(self, said: Said, batch: Batch, step: Int[Array, ""], memory: Any) -> Totals:
        """See `Objective.totals`."""
        losses = {
            expert: jax.vmap(self.example_loss, in_axes=(0, None, None))(
                logits, batch.labels, batch.label_mask
            )
            for expert, logits in said.logits.items()
        }
        together = said.weighted_sum(said.logits, axes=1)
        given = self.teaching.given(together, said.mean_loss(losses), batch, step)
        each = jax.vmap(sum_as_of_all, in_axes=(0, None, 0, None))
        sums = {
            expert: each(loss, batch.weight, given & said.heard[expert], said.heard[expert])
            for expert, loss in losses.items()
        }
        first, second = (
            said.total({expert: values[twin] for expert, values in sums.items()})
            for twin in range(2)
        )
        return first + second, ({"first": first, "second": second}, memory)


@dataclasses.dataclass(frozen=True)
class EarlyLearningObjective(Objective):
    """Early-learning regularisation, with targets of each expert for each training example.

    Attributes:
      example_loss: the regularised loss.
    """

    example_loss: EarlyLearning

    def first_memory(self, experts: tuple[str, ...], num_examples: int, num_moas: int) -> Any:
        """Targets that pull nowhere."""
        first = self.example_loss.FIRST_TARGET
        return {expert: jnp.full((num_examples, num_moas), first) for expert in experts}

    def totals(self, said: Said, batch: Batch, step: Int[Array, ""], memory: Any) -> Totals:
        """Liu's order: the targets move, then they pull. See `Objective.totals`."""
        del step
        parts, after = {}, {}
        for expert, logits in said.logits.items():
            heard = said.heard[expert]
            targets = self.example_loss.updated(memory[expert][batch.row], logits)
            loss = self.example_loss(logits, batch.labels, batch.label_mask, targets)
            parts[expert] = masked_sum(loss, batch.weight, heard)
            after[expert] = self.example_loss.remembered(memory[expert], batch.row, targets, heard)
        return said.total(parts), (parts, after)


def make_objective(config: ml_collections.FrozenConfigDict, num_moas: int) -> Objective:
    """The objective of a configuration.

    Args:
      config: `training` of a configuration; see `configs/fusion.py`: `loss.name` and the settings
        under that name, `co_teaching`, `curriculum`, `mix_up_alpha` and `num_steps`.
      num_moas: how many MoAs there are.

    Raises:
      InputError: there is no such loss, a setting is out of its range, or two settings exclude
        each other.
    """
    example_loss = make_example_loss(config.loss, num_moas)
    teaching, curriculum = config.co_teaching, config.curriculum
    for key, share in (
        ("co_teaching.forget_rate", teaching.forget_rate),
        ("co_teaching.gradual_fraction", teaching.gradual_fraction),
        ("curriculum.first_share", curriculum.first_share),
        ("curriculum.gradual_fraction", curriculum.gradual_fraction),
    ):
        if not 0.0 <= share <= 1.0:
            raise InputError(f"config.training.{key} is {share}, expected a number from 0 to 1.")
    if config.mix_up_alpha < 0:
        raise InputError(
            f"config.training.mix_up_alpha is {config.mix_up_alpha}, expected 0 or more."
        )
    special = [
        name
        for name, used in (
            ("co_teaching.enabled", teaching.enabled),
            ("curriculum.first_share below 1", curriculum.first_share < 1.0),
            (f"loss.name={EarlyLearning.NAME}", isinstance(example_loss, EarlyLearning)),
            ("mix_up_alpha above 0", config.mix_up_alpha > 0),
        )
        if used
    ]
    if len(special) > 1:
        raise InputError(
            f"config.training has {' and '.join(special)}, of which only one can be used at a time."
        )
    if isinstance(example_loss, EarlyLearning):
        return EarlyLearningObjective(example_loss)
    if teaching.enabled:
        num_gradual = round(teaching.gradual_fraction * config.num_steps)
        return CoTeachingObjective(
            example_loss, CoTeaching(teaching.forget_rate, num_gradual, teaching.on_disagreement)
        )
    if curriculum.first_share < 1.0:
        num_gradual = round(curriculum.gradual_fraction * config.num_steps)
        return PlainObjective(example_loss, SelfPaced(curriculum.first_share, num_gradual))
    return PlainObjective(example_loss, None)


def make_example_loss(
    config: ml_collections.FrozenConfigDict, num_moas: int
) -> ExampleLoss | EarlyLearning:
    """The loss of a configuration's `training.loss`.

    Raises:
      InputError: there is no such loss, or a setting is out of its range.
    """
    names = (LABEL_DISTRIBUTION, *ROBUST_LOSSES, EarlyLearning.NAME)
    if config.name not in names:
        raise InputError(
            f"config.training.loss.name is {config.name!r}, expected one of {', '.join(names)}."
        )
    if config.name == LABEL_DISTRIBUTION:
        return label_distribution_cross_entropy
    settings = dict(config[config.name].items()) if config.name in config else {}
    base = {"positive_weight": config.positive_weight}
    if config.name == EarlyLearning.NAME:
        plain = make_loss(ml_collections.ConfigDict({**base, "name": BinaryCrossEntropy.NAME}))
        return EarlyLearning(plain, weight=settings["weight"], momentum=settings["momentum"])
    if config.name == TransitionCorrection.NAME:
        settings = {"transition": uniform_transition(num_moas, settings["rate"])}
    return make_loss(ml_collections.ConfigDict({**base, "name": config.name, **settings}))
