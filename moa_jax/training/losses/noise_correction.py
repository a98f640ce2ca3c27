"""Forward correction: losses of the recorded labels under a known label noise."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from moa_jax.schemas import InputError
from moa_jax.training.losses.sigmoid import Known, Numbers, RobustLoss, between


class NoiseCorrection(RobustLoss):
    """A loss with settings per MoA."""

    def _for_moas(
        self, name: str, setting: Any, *shapes: tuple[int, ...]
    ) -> Float[np.ndarray, "..."]:
        """A setting as an array.

        Raises:
          InputError: it has none of the shapes.
        """
        values = np.asarray(setting, np.float32)
        if values.shape not in shapes:
            raise InputError(
                f"the loss {self.NAME} has {name} of shape {values.shape}, "
                f"expected {' or '.join(map(str, shapes))}."
            )
        return values


@dataclasses.dataclass(frozen=True)
class FlipCorrection(NoiseCorrection):
    """Forward correction by a 2x2 noise matrix of each MoA (Patrini 2017, theorem 2).

    Attributes:
      false_positive: probability that a 0 is recorded as 1; one number, or one per MoA.
      false_negative: probability that a 1 is recorded as 0; likewise.
    """

    false_positive: float | tuple[float, ...] = between(0.0, 1.0, default=0.004)
    false_negative: float | tuple[float, ...] = between(0.0, 1.0, default=0.2)

    NAME: ClassVar[str] = "flip_correction"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Cross-entropy of the recorded label, `P(1) = p (1 - fn) + (1 - p) fp`."""
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        moas = logits.shape[-1:]
        gained = self._for_moas("false_positive", self.false_positive, (), moas)
        lost = self._for_moas("false_negative", self.false_negative, (), moas)
        gained, lost = np.broadcast_to(gained, moas), np.broadcast_to(lost, moas)
        recorded = jnp.logaddexp(log_p + _log(1 - lost), log_not_p + _log(gained))
        missing = jnp.logaddexp(log_p + _log(lost), log_not_p + _log(1 - gained))
        return -labels * recorded - (1 - labels) * missing


@dataclasses.dataclass(frozen=True)
class TransitionCorrection(NoiseCorrection):
    """Forward correction by a transition matrix between MoAs (Patrini 2017, theorem 2).

    Each MoA that an example has is recorded as some MoA, independently, so MoA j is recorded with
    probability `1 - prod_i (1 - p_i T_ij)`. With one MoA per example that is Patrini's `T' p`.

    Attributes:
      transition: T, `T[i][j]` is the probability that i is recorded as j; or one number, the
        probability of a wrong label, with every other MoA as likely.
    """

    transition: float | tuple[tuple[float, ...], ...] = between(0.0, 1.0, default=0.2)

    NAME: ClassVar[str] = "transition_correction"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Cross-entropy of the recorded MoAs."""
        num_moas = logits.shape[-1]
        transition = self.transition
        if isinstance(transition, float):
            transition = uniform_transition(num_moas, transition)
        transition = self._for_moas("transition", transition, (num_moas, num_moas))
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        moved = jax.nn.sigmoid(logits)[:, :, None] * transition
        # log(1 - p T) in the form that rounds less: for p T near 1, or near 0.
        near_one = jnp.logaddexp(log_not_p[:, :, None], log_p[:, :, None] + _log(1 - transition))
        kept = jnp.where(moved > 0.5, near_one, jnp.log1p(-jnp.minimum(moved, 0.5)))
        missing = jnp.sum(jnp.where(label_mask[:, :, None], kept, 0.0), axis=1)
        # If all probabilities are tiny, the product rounds to 1.
        recorded = jnp.log(jnp.maximum(-jnp.expm1(missing), jnp.finfo(logits.dtype).tiny))
        return -labels * recorded - (1 - labels) * missing


def uniform_transition(num_moas: int, rate: float) -> tuple[tuple[float, ...], ...]:
    """T of labels that are wrong with probability `rate`, each of the other MoAs as likely."""
    matrix = np.full((num_moas, num_moas), rate / (num_moas - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return tuple(map(tuple, matrix.tolist()))


def _log(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Logarithms, without the warning about 0."""
    with np.errstate(divide="ignore"):
        return np.log(values)
