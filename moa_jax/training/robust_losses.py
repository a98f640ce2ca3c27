"""Losses that wrong labels mislead less, in their form for several labels (a sigmoid per MoA).

Each was published for one label and a softmax. Here every MoA is a question of its own with the
answers 1 and 0, and an example costs the sum over the MoAs whose label is known. Labels between 0
and 1 are allowed. p is the sigmoid of a logit, y its label.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.schemas import InputError

# Logits, labels or losses of every label.
Numbers = Float[Array, "batch moa"]
# The label is known.
Known = Bool[Array, "batch moa"]


def cross_entropy(logits: Numbers, targets: Numbers) -> Numbers:
    """Binary cross-entropy `-t log p - (1 - t) log(1 - p)` of every logit, in nats."""
    return jax.nn.softplus(logits) - targets * logits


def between(lowest: float, highest: float = np.inf) -> Any:
    """A field of a loss with the range that its value or values must lie in."""
    return dataclasses.field(metadata={"range": (lowest, highest)})


@dataclasses.dataclass(frozen=True)
class Ranged:
    """Settings of a loss; hashable, so that a task can hold them.

    Raises:
      InputError: a setting is out of its range.
    """

    NAME: ClassVar[str]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            lowest, highest = field.metadata["range"]
            value = getattr(self, field.name)
            try:
                numbers = np.asarray(value, np.float64)
            except ValueError:
                numbers = np.array(np.nan)
            if not ((numbers >= lowest) & (numbers <= highest)).all():
                raise InputError(
                    f"the loss {self.NAME} has {field.name}={value}, "
                    f"expected numbers from {lowest:g} to {highest:g}."
                )

    def _for_moas(self, name: str, *shapes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """A setting as an array, which must have one of some shapes.

        Raises:
          InputError: it has another.
        """
        values = np.asarray(getattr(self, name), np.float32)
        if values.shape not in shapes:
            raise InputError(
                f"the loss {self.NAME} has {name} of shape {values.shape}, "
                f"expected {' or '.join(map(str, shapes))}."
            )
        return values


class RobustLoss(Ranged, abc.ABC):
    """A loss of logits and labels alone."""

    def __call__(
        self, logits: Numbers, labels: Numbers, label_mask: Known
    ) -> Float[Array, " batch"]:
        """Loss of every example: the sum over MoAs whose label is known.

        What stands in the others, logit or label, takes no part.
        """
        costs = self.costs(
            jnp.where(label_mask, logits, 0.0), jnp.where(label_mask, labels, 0.0), label_mask
        )
        return jnp.sum(jnp.where(label_mask, costs, 0.0), axis=-1)

    @abc.abstractmethod
    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Loss of every label; both are 0 where `label_mask` is false."""


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy(RobustLoss):
    """The usual loss, which the others bend."""

    NAME: ClassVar[str] = "binary_cross_entropy"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """See `cross_entropy`."""
        return cross_entropy(logits, labels)


@dataclasses.dataclass(frozen=True)
class Focal(RobustLoss):
    """Easy labels count less: `(1 - p_y)^gamma` times cross-entropy (Lin 2017, eq. 5).

    Attributes:
      gamma: 0 is cross-entropy.
      positive_share: Lin's alpha, the weight of positive labels; negative ones get the rest.
        Both are doubled, so that .5 weighs nothing.
    """

    gamma: float = between(0.0)
    positive_share: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "focal"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """`-2 alpha (1 - p)^gamma log p` of label 1; of label 0 with 1 - alpha and 1 - p."""
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        positive = -self.positive_share * jnp.exp(self.gamma * log_not_p) * log_p
        negative = -(1 - self.positive_share) * jnp.exp(self.gamma * log_p) * log_not_p
        return 2 * (labels * positive + (1 - labels) * negative)


@dataclasses.dataclass(frozen=True)
class Asymmetric(RobustLoss):
    """Focal with an exponent for each answer, and easy negatives cut off (Ridnik 2021, section 2).

    Attributes:
      positive_gamma: exponent of labels 1.
      negative_gamma: exponent of labels 0.
      margin: negatives with a probability below it cost nothing.
    """

    positive_gamma: float = between(0.0)
    negative_gamma: float = between(0.0)
    margin: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "asymmetric"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """`-(1-p)^g+ log p` of label 1, `-m^g- log(1-m)` of label 0 with `m = max(p - margin, 0)`.

        Logarithms are added, not probabilities, which keeps large logits exact.
        """
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        positive = -jnp.exp(self.positive_gamma * log_not_p) * log_p
        shifted = jax.nn.sigmoid(logits) - self.margin
        counts = shifted > 0
        log_margin = np.log(self.margin) if self.margin > 0 else -np.inf
        log_rest = jnp.minimum(jnp.logaddexp(log_not_p, log_margin), 0.0)
        focus = jnp.where(counts, shifted, 1.0) ** self.negative_gamma
        negative = jnp.where(counts, -focus * log_rest, 0.0)
        return labels * positive + (1 - labels) * negative


@dataclasses.dataclass(frozen=True)
class GeneralisedCrossEntropy(RobustLoss):
    """Between cross-entropy and mean absolute error: `(1 - p_y^q) / q` (Zhang 2018, eq. 6).

    Attributes:
      q: towards 0 cross-entropy, 1 the distance of the probability from the label.
    """

    q: float = between(1e-6, 1.0)

    NAME: ClassVar[str] = "generalised_cross_entropy"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """The two answers, weighted by the label."""
        positive = -jnp.expm1(self.q * jax.nn.log_sigmoid(logits)) / self.q
        negative = -jnp.expm1(self.q * jax.nn.log_sigmoid(-logits)) / self.q
        return labels * positive + (1 - labels) * negative


@dataclasses.dataclass(frozen=True)
class SymmetricCrossEntropy(RobustLoss):
    """Cross-entropy and its reverse: label and prediction change places (Wang 2019, section 3).

    Attributes:
      alpha: weight of cross-entropy.
      beta: weight of the reverse.
      log_zero: stands for the logarithm of a label's 0; Wang's A.
    """

    alpha: float = between(0.0)
    beta: float = between(0.0)
    log_zero: float = between(-np.inf, 0.0)

    NAME: ClassVar[str] = "symmetric_cross_entropy"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """`alpha CE(y, p) + beta CE(p, y)`; `-log_zero |p - y|` for labels 0, 1."""
        least = np.exp(self.log_zero)
        log_label, log_rest = (jnp.log(jnp.maximum(some, least)) for some in (labels, 1 - labels))
        probs = jax.nn.sigmoid(logits)
        reverse = -probs * log_label - jax.nn.sigmoid(-logits) * log_rest
        return self.alpha * cross_entropy(logits, labels) + self.beta * reverse


@dataclasses.dataclass(frozen=True)
class LabelSmoothing(RobustLoss):
    """Cross-entropy with labels drawn towards a constant (Szegedy 2016, section 7).

    Attributes:
      smoothing: how far; 0 is cross-entropy.
      towards: the constant; .5 is usual for a sigmoid.
    """

    smoothing: float = between(0.0, 1.0)
    towards: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "label_smoothing"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Cross-entropy from `(1 - s) y + s towards`."""
        return cross_entropy(logits, (1 - self.smoothing) * labels + self.smoothing * self.towards)


@dataclasses.dataclass(frozen=True)
class SoftBootstrapping(RobustLoss):
    """Cross-entropy from labels mixed with the probabilities themselves (Reed 2015, section 3).

    Attributes:
      trust: weight of the labels, Reed's beta; 1 is cross-entropy.
    """

    trust: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "soft_bootstrapping"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Differentiated through the probabilities too, as Reed does: entropy is pushed down."""
        return cross_entropy(
            logits, self.trust * labels + (1 - self.trust) * jax.nn.sigmoid(logits)
        )


@dataclasses.dataclass(frozen=True)
class HardBootstrapping(RobustLoss):
    """Cross-entropy from labels mixed with the network's own decisions (Reed 2015, section 3).

    Attributes:
      trust: weight of the labels, Reed's beta; 1 is cross-entropy.
    """

    trust: float = between(0.0, 1.0)

    NAME: ClassVar[str] = "hard_bootstrapping"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """An MoA is decided for where p > .5."""
        decided = (logits > 0).astype(logits.dtype)
        return cross_entropy(logits, self.trust * labels + (1 - self.trust) * decided)


@dataclasses.dataclass(frozen=True)
class FlipCorrection(RobustLoss):
    """Forward correction by a 2x2 noise matrix of each MoA (Patrini 2017, theorem 2).

    Attributes:
      false_positive: probability that a 0 is recorded as 1; one number, or one of each MoA.
      false_negative: probability that a 1 is recorded as 0; likewise.
    """

    false_positive: float | tuple[float, ...] = between(0.0, 1.0)
    false_negative: float | tuple[float, ...] = between(0.0, 1.0)

    NAME: ClassVar[str] = "flip_correction"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Cross-entropy of the label that is recorded, `P(1) = p (1 - fn) + (1 - p) fp`."""
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        moas = logits.shape[-1:]
        gained = np.broadcast_to(self._for_moas("false_positive", (), moas), moas)
        lost = np.broadcast_to(self._for_moas("false_negative", (), moas), moas)
        recorded = jnp.logaddexp(log_p + _log(1 - lost), log_not_p + _log(gained))
        missing = jnp.logaddexp(log_p + _log(lost), log_not_p + _log(1 - gained))
        return -labels * recorded - (1 - labels) * missing


@dataclasses.dataclass(frozen=True)
class TransitionCorrection(RobustLoss):
    """Forward correction by a transition matrix between MoAs (Patrini 2017, theorem 2).

    Each MoA that an example has is recorded as some MoA, independently, so MoA j is recorded with
    probability `1 - prod_i (1 - p_i T_ij)`. With one MoA per example that is Patrini's `T' p`.

    Attributes:
      transition: T, `T[i][j]` is the probability that i is recorded as j.
    """

    transition: tuple[tuple[float, ...], ...] = between(0.0, 1.0)

    NAME: ClassVar[str] = "transition_correction"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Cross-entropy of the MoAs that are recorded."""
        num_moas = logits.shape[-1]
        transition = self._for_moas("transition", (num_moas, num_moas))
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        moved = jax.nn.sigmoid(logits)[:, :, None] * transition
        # log(1 - p T) by whichever form rounds less: p T near 1, or near 0.
        near_one = jnp.logaddexp(log_not_p[:, :, None], log_p[:, :, None] + _log(1 - transition))
        kept = jnp.where(moved > 0.5, near_one, jnp.log1p(-jnp.minimum(moved, 0.5)))
        missing = jnp.sum(jnp.where(label_mask[:, :, None], kept, 0.0), axis=1)
        # Where no MoA is in sight the product is 1 to the last bit.
        recorded = jnp.log(jnp.maximum(-jnp.expm1(missing), jnp.finfo(logits.dtype).tiny))
        return -labels * recorded - (1 - labels) * missing


def uniform_transition(num_moas: int, rate: float) -> tuple[tuple[float, ...], ...]:
    """T of labels that are wrong with probability `rate`, each other MoA as likely.

    Args:
      num_moas: how many MoAs there are, at least 2.
      rate: probability of a wrong label.
    """
    matrix = np.full((num_moas, num_moas), rate / (num_moas - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return tuple(map(tuple, matrix.tolist()))


# Name -> loss, in the order of tables. `early_learning` needs more than a batch and stands apart.
ROBUST_LOSSES: dict[str, type[RobustLoss]] = {
    loss.NAME: loss
    for loss in (
        BinaryCrossEntropy,
        Focal,
        Asymmetric,
        GeneralisedCrossEntropy,
        SymmetricCrossEntropy,
        LabelSmoothing,
        SoftBootstrapping,
        HardBootstrapping,
        FlipCorrection,
        TransitionCorrection,
    )
}


def make_loss(config: ml_collections.ConfigDict) -> RobustLoss:
    """The loss of a configuration: `name`, one of `ROBUST_LOSSES`, and every setting of it.

    Raises:
      InputError: there is no such loss, a setting is missing, unknown or out of its range.
    """
    settings = dict(ml_collections.FrozenConfigDict(config).items())
    name = settings.pop("name", None)
    if name not in ROBUST_LOSSES:
        raise InputError(
            f"the configuration's loss has name={name!r}, expected one of "
            f"{', '.join(ROBUST_LOSSES)}."
        )
    expected = [field.name for field in dataclasses.fields(ROBUST_LOSSES[name])]
    if sorted(settings) != sorted(expected):
        raise InputError(
            f"the configuration's loss {name} has the settings {', '.join(sorted(settings))}, "
            f"expected {', '.join(sorted(expected))}."
        )
    return ROBUST_LOSSES[name](
        **{
            key: float(value) if isinstance(value, int) else value
            for key, value in settings.items()
        }
    )


def _log(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Logarithms of probabilities, that of 0 too."""
    with np.errstate(divide="ignore"):
        return np.log(values)
