"""The base of losses with a sigmoid per MoA: masked sums and checked settings.

Every MoA is a binary classification, and the loss of an example is the sum over the MoAs whose
label is known. Labels between 0 and 1 are allowed. p is the sigmoid of a logit, y its label.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from moa_jax.schemas import InputError

# Logits, labels or losses of every label.
Numbers = Float[Array, "batch moa"]
# Whether a label is known.
Known = Bool[Array, "batch moa"]


def cross_entropy(logits: Numbers, targets: Numbers) -> Numbers:
    """Binary cross-entropy `-t log p - (1 - t) log(1 - p)` of every logit, in nats."""
    return jax.nn.softplus(logits) - targets * logits


def between(lowest: float, highest: float = np.inf, *, default: float) -> Any:
    """A setting of a loss with its default and range; the setting may be a tuple of numbers."""
    return dataclasses.field(default=default, metadata={"range": (lowest, highest)})


@dataclasses.dataclass(frozen=True)
class Ranged:
    """Settings of a loss, with the paper's as defaults; hashable, so that a task can hold them.

    Raises:
      InputError: a setting is out of its range.
    """

    NAME: ClassVar[str]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "range" not in field.metadata:
                continue
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


class RobustLoss(Ranged, abc.ABC):
    """A loss without state."""

    def __call__(
        self, logits: Numbers, labels: Numbers, label_mask: Known
    ) -> Float[Array, " batch"]:
        """Loss of every example: the sum over MoAs whose label is known."""
        costs = self.costs(
            jnp.where(label_mask, logits, 0.0), jnp.where(label_mask, labels, 0.0), label_mask
        )
        return jnp.sum(jnp.where(label_mask, costs, 0.0), axis=-1)

    @abc.abstractmethod
    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Loss of every label; both are 0 where `label_mask` is false."""


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy(RobustLoss):
    """The standard loss, which the others modify."""

    NAME: ClassVar[str] = "binary_cross_entropy"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """See `cross_entropy`."""
        return cross_entropy(logits, labels)


@dataclasses.dataclass(frozen=True)
class WeightedPositives(RobustLoss):
    """A loss in which labels 1 weigh more.

    An example has one or two MoAs out of many. Losses that tolerate unlikely labels tolerate these
    few positive ones first, and end with every probability at 0, unless they weigh more.

    Attributes:
      loss: the loss to be weighted.
      weight: weight of labels 1; labels 0 have 1.
    """

    loss: RobustLoss
    weight: float = between(0.0, default=5.0)

    NAME: ClassVar[str] = "weighted_positives"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """The costs of `loss`, each times `1 + (weight - 1) y`."""
        costs = self.loss.costs(logits, labels, label_mask)
        return costs * (1.0 + (self.weight - 1.0) * labels)
