"""Early-learning regularisation: a loss that remembers earlier predictions of each example.

They are kept among the parameters that are not trained, under `TARGETS`, and updated once before
every step. No other loss has a state.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from moa_jax.schemas import Batch
from moa_jax.training.losses.objectives import Answer, Loss, ModalityMasks, Objective, Sums
from moa_jax.training.losses.sigmoid import Known, Numbers, Ranged, RobustLoss, between
from moa_jax.training.losses.sums import masked_sum

# Network -> targets of every training example.
TARGETS = "early_learning_targets"


@dataclasses.dataclass(frozen=True)
class EarlyLearning(Ranged):
    """Early-learning regularisation: stay near early predictions (Liu 2020, section 4).

    Every training example has targets: an exponential moving average of its predicted
    probabilities. They start at `FIRST_TARGET`, where the regularisation has no gradient.

    Attributes:
      loss: the loss that is regularised; cross-entropy in the paper.
      weight: Liu's lambda, the weight of the regularisation.
      momentum: Liu's beta, the weight of the old targets in an update.
    """

    loss: RobustLoss
    weight: float = between(0.0, default=1.0)
    momentum: float = between(0.0, 1.0, default=0.7)

    NAME: ClassVar[str] = "early_learning"
    FIRST_TARGET: ClassVar[float] = 0.5
    # Probabilities are clipped as in the paper; otherwise the regularisation has no minimum.
    MIN_PROBABILITY: ClassVar[float] = 1e-4

    def towards(self, targets: Numbers) -> Loss:
        """The loss of examples with these targets: `loss + weight log(1 - <p, t>)`.

        `<p, t>` is `p t + (1 - p) (1 - t)`, and its logarithms are summed over known labels. No
        gradient flows into the targets.
        """

        def pulled(logits: Numbers, labels: Numbers, label_mask: Known) -> Float[Array, " batch"]:
            probs = self._bounded(jnp.where(label_mask, logits, 0.0))
            fixed = jax.lax.stop_gradient(targets)
            apart = jnp.log(probs * (1 - fixed) + (1 - probs) * fixed)
            pull = jnp.sum(jnp.where(label_mask, apart, 0.0), axis=-1)
            return self.loss(logits, labels, label_mask) + self.weight * pull

        return pulled

    def updated(self, targets: Numbers, logits: Numbers) -> Numbers:
        """The targets after a step that saw their examples: `beta t + (1 - beta) p`."""
        probs = jax.lax.stop_gradient(self._bounded(logits))
        return self.momentum * targets + (1 - self.momentum) * probs

    def _bounded(self, logits: Numbers) -> Numbers:
        least = self.MIN_PROBABILITY
        return jnp.clip(jax.nn.sigmoid(logits), least, 1 - least)


@dataclasses.dataclass(frozen=True)
class EarlyLearningObjective(Objective):
    """Early-learning regularisation with targets per network and training example."""

    loss: EarlyLearning

    def sums(
        self,
        answer: Answer,
        params: Any,
        rng: Array,
        has_modality: ModalityMasks,
        batch: Batch,
        *,
        step: Int[Array, ""],
    ) -> Sums:
        """The regularised loss of every network. See `Objective.sums`."""
        del step
        return {
            network: masked_sum(
                self.loss.towards(params[TARGETS][network][batch.row])(
                    logits, batch.labels, batch.label_mask
                ),
                batch.weight,
                has_modality[network],
            )
            for network, logits in answer(params, rng).items()
        }

    def first_state(
        self, networks: tuple[str, ...], num_examples: int, num_moas: int
    ) -> dict[str, Any]:
        """Targets at which the regularisation has no gradient."""
        first = jnp.full((num_examples, num_moas), self.loss.FIRST_TARGET)
        return {TARGETS: dict.fromkeys(networks, first)}

    def next_state(
        self, answer: Answer, params: Any, rng: Array, has_modality: ModalityMasks, batch: Batch
    ) -> dict[str, Any]:
        """The targets updated by this step's predictions, before the loss uses them (Liu's order).

        The key is that of the step, so XLA merges this forward pass with that of the loss.
        """
        updated = {}
        for network, logits in answer(params, rng).items():
            old = params[TARGETS][network]
            new = self.loss.updated(old[batch.row], logits)
            updated[network] = with_rows(old, batch.row, new, has_modality[network])
        return {TARGETS: updated}


def with_rows(
    values: Float[Array, "example moa"],
    row: Int[Array, " batch"],
    new: Float[Array, "batch moa"],
    seen: Bool[Array, " batch"],
) -> Float[Array, "example moa"]:
    """The values of all examples, some of them replaced.

    Args:
      values: values of every example.
      row: the example that each row of `new` belongs to.
      new: new values.
      seen: rows of `new` to use; if an example has several, the last is used.
    """
    later = jnp.triu(jnp.ones((len(row), len(row)), bool), k=1)
    repeated = jnp.any(later & (row[:, None] == row[None, :]) & seen[None, :], axis=1)
    # Rows past the end are dropped.
    place = jnp.where(seen & ~repeated, row, len(values))
    return values.at[place].set(new, mode="drop")
