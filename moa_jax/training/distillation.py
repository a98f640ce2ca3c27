"""Distillation: one network learns the answers of an ensemble (Hinton 2015, section 2).

The ensemble's answers become the soft labels of a `Run` whose configuration has the same
`training.loss.temperature`; the run's own labels still make its weights and kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from moa_jax.schemas import Examples
from moa_jax.training.members import mean_answer
from moa_jax.training.predictor import Predictor

# A probability of 0 stays finite in logarithms.
LEAST_PROB = 1e-12


def soft_labels(
    teachers: Sequence[Predictor],
    examples: Examples,
    *,
    temperature: float,
    hard_share: float,
) -> Float32[np.ndarray, "example moa"]:
    """Labels that an ensemble gives to examples.

    Teachers that have seen these examples are surer of them than of others. The members of a fold
    ensemble can each be asked for their own held-out part instead.

    Args:
      teachers: an ensemble over the examples' MoAs; its selection view answers.
      examples: what is labelled.
      temperature: see `softened`.
      hard_share: how much of each label is the examples' own, shared evenly among an example's
        MoAs.
    """
    view = teachers[0].task.selection_view
    soft = softened(mean_answer(teachers, examples)[view], temperature=temperature)
    total = examples.labels.sum(axis=1, keepdims=True)
    hard = examples.labels / np.maximum(total, 1.0)
    return ((1.0 - hard_share) * soft + hard_share * hard).astype(np.float32)


def softened(
    probs: Float[np.ndarray, "example moa"], *, temperature: float
) -> Float[np.ndarray, "example moa"]:
    """The softmax with its logits divided by the temperature: `p ** (1 / T)`, normalised."""
    logits = np.log(np.maximum(probs.astype(np.float64), LEAST_PROB)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
