"""Losses that are robust to wrong labels, in their multi-label form (a sigmoid per MoA).

Most were published for one label and a softmax; see `sigmoid` for the multi-label form.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from moa_jax.training.losses.sigmoid import Known, Numbers, RobustLoss, between, cross_entropy


@dataclasses.dataclass(frozen=True)
class Focal(RobustLoss):
    """Easy labels weigh less: `(1 - p_y)^gamma` times cross-entropy (Lin 2017, eq. 5).

    Attributes:
      gamma: 0 is cross-entropy.
      positive_share: Lin's alpha, the weight of positive labels; negative ones have 1 - alpha.
        Both are doubled, so that .5 is neutral.
    """

    gamma: float = between(0.0, default=2.0)
    positive_share: float = between(0.0, 1.0, default=0.5)

    NAME: ClassVar[str] = "focal"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """`-2 alpha (1 - p)^gamma log p` of label 1; of label 0 with 1 - alpha and 1 - p."""
        log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        positive = -self.positive_share * jnp.exp(self.gamma * log_not_p) * log_p
        negative = -(1 - self.positive_share) * jnp.exp(self.gamma * log_p) * log_not_p
        return 2 * (labels * positive + (1 - labels) * negative)


@dataclasses.dataclass(frozen=True)
class Asymmetric(RobustLoss):
    """Focal loss with two exponents, without easy negatives (Ridnik 2021, section 2).

    Attributes:
      positive_gamma: exponent of labels 1.
      negative_gamma: exponent of labels 0.
      margin: negatives with a probability below it cost nothing.
    """

    positive_gamma: float = between(0.0, default=1.0)
    negative_gamma: float = between(0.0, default=4.0)
    margin: float = between(0.0, 1.0, default=0.05)

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
      q: near 0 cross-entropy, at 1 mean absolute error.
    """

    q: float = between(1e-6, 1.0, default=0.7)

    NAME: ClassVar[str] = "generalised_cross_entropy"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """`y (1 - p^q) / q + (1 - y) (1 - (1 - p)^q) / q`."""
        positive = -jnp.expm1(self.q * jax.nn.log_sigmoid(logits)) / self.q
        negative = -jnp.expm1(self.q * jax.nn.log_sigmoid(-logits)) / self.q
        return labels * positive + (1 - labels) * negative


@dataclasses.dataclass(frozen=True)
class SymmetricCrossEntropy(RobustLoss):
    """Cross-entropy plus reverse cross-entropy (Wang 2019, section 3).

    Attributes:
      alpha: weight of cross-entropy.
      beta: weight of reverse cross-entropy, in which label and prediction change places.
      log_zero: Wang's A, used as the logarithm of 0.
    """

    alpha: float = between(0.0, default=0.1)
    beta: float = between(0.0, default=1.0)
    log_zero: float = between(-np.inf, 0.0, default=-4.0)

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
    """Cross-entropy with labels moved towards a constant (Szegedy 2016, section 7).

    Attributes:
      smoothing: weight of the constant; 0 is cross-entropy.
      towards: the constant; .5 is usual for a sigmoid.
    """

    smoothing: float = between(0.0, 1.0, default=0.1)
    towards: float = between(0.0, 1.0, default=0.5)

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

    trust: float = between(0.0, 1.0, default=0.95)

    NAME: ClassVar[str] = "soft_bootstrapping"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """Gradients also flow through the probabilities, as in the paper: entropy is minimised."""
        return cross_entropy(
            logits, self.trust * labels + (1 - self.trust) * jax.nn.sigmoid(logits)
        )


@dataclasses.dataclass(frozen=True)
class HardBootstrapping(RobustLoss):
    """Cross-entropy from labels mixed with the network's predictions (Reed 2015, section 3).

    Attributes:
      trust: weight of the labels, Reed's beta; 1 is cross-entropy.
    """

    trust: float = between(0.0, 1.0, default=0.8)

    NAME: ClassVar[str] = "hard_bootstrapping"

    def costs(self, logits: Numbers, labels: Numbers, label_mask: Known) -> Numbers:
        """An MoA is predicted if p > .5."""
        predicted = (logits > 0).astype(logits.dtype)
        return cross_entropy(logits, self.trust * labels + (1 - self.trust) * predicted)
