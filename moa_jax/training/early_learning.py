"""Early-learning regularisation: a loss that remembers what a network said of each example."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.training.sigmoid_losses import Known, Numbers, Ranged, RobustLoss, between


@dataclasses.dataclass(frozen=True)
class EarlyLearning(Ranged):
    """Early-learning regularisation: stay with what was predicted early (Liu 2020, section 4).

    Every training example has targets: its own probabilities, averaged over the steps that saw
    it. They start at `EarlyLearning.FIRST_TARGET`, from where they pull nowhere.

    Attributes:
      loss: what is regularised; cross-entropy in the paper.
      weight: of the regularisation, Liu's lambda.
      momentum: what the targets keep in an update, Liu's beta.
    """

    loss: RobustLoss
    weight: float = between(0.0)
    momentum: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "early_learning"
    FIRST_TARGET: ClassVar[float] = 0.5
    # Liu's bounds of the probabilities; without them the regularisation has no minimum.
    LEAST_PROBABILITY: ClassVar[float] = 1e-4

    def __call__(
        self, logits: Numbers, labels: Numbers, label_mask: Known, targets: Numbers
    ) -> Float[Array, " batch"]:
        """Loss of every example: `loss + weight log(1 - <p, t>)`, summed over known labels.

        `<p, t>` is `p t + (1 - p) (1 - t)`, the agreement of two answers with the targets.
        No gradient flows into the targets, which `updated` moves.
        """
        probs = self._bounded(jnp.where(label_mask, logits, 0.0))
        targets = jax.lax.stop_gradient(targets)
        apart = jnp.log(probs * (1 - targets) + (1 - probs) * targets)
        pull = jnp.sum(jnp.where(label_mask, apart, 0.0), axis=-1)
        return self.loss(logits, labels, label_mask) + self.weight * pull

    def updated(self, targets: Numbers, logits: Numbers) -> Numbers:
        """The targets after a step that saw their examples: `beta t + (1 - beta) p`."""
        probs = jax.lax.stop_gradient(self._bounded(logits))
        return self.momentum * targets + (1 - self.momentum) * probs

    def remembered(
        self,
        memory: Float[Array, "example moa"],
        row: Int[Array, " batch"],
        targets: Numbers,
        seen: Bool[Array, " batch"],
    ) -> Float[Array, "example moa"]:
        """The memory of all examples with the targets of those that a step has seen.

        Args:
          memory: targets of every example.
          row: row of each of the batch's examples in it.
          targets: their targets after the step.
          seen: those that are remembered; of several with one row the last.
        """
        later = jnp.triu(jnp.ones((len(row), len(row)), bool), k=1)
        repeated = jnp.any(later & (row[:, None] == row[None, :]) & seen[None, :], axis=1)
        # Rows past the end are dropped.
        place = jnp.where(seen & ~repeated, row, len(memory))
        return memory.at[place].set(targets, mode="drop")

    def _bounded(self, logits: Numbers) -> Numbers:
        least = self.LEAST_PROBABILITY
        return jnp.clip(jax.nn.sigmoid(logits), least, 1 - least)
