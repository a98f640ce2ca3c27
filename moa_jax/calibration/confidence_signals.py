"""Confidence signals, and one confidence fitted to them.

A signal is one number per compound, higher for more reliable answers, and NaN if unknown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from scipy import special
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from moa_jax.evaluation.metrics import Probs
from moa_jax.schemas import InputError

Signal = Float[np.ndarray, " example"]


def max_probability(probs: Probs) -> Signal:
    """Probability of the most probable MoA (Hendrycks and Gimpel 2017)."""
    return probs.max(axis=1).astype(np.float64)


def margin(probs: Probs) -> Signal:
    """Probability of the most probable MoA minus that of the second (0 if there is one MoA)."""
    ranked = np.sort(probs.astype(np.float64), axis=1)
    return ranked[:, -1] - (ranked[:, -2] if probs.shape[1] > 1 else 0.0)


def negative_entropy(probs: Probs) -> Signal:
    """Negative entropy of the normalised row, in nats; a row of zeros counts as uniform."""
    return -special.entr(_rows_of_one(probs)).sum(axis=1)


def agreement(seed_probs: Float[np.ndarray, "seed example moa"]) -> Signal:
    """Negative mean Jensen-Shannon divergence between seeds (Lin 1991), in nats; NaN for one."""
    num_seeds, num_examples, _ = seed_probs.shape
    if num_seeds < 2:
        return np.full(num_examples, np.nan)
    rows = [_rows_of_one(probs) for probs in seed_probs]
    entropy = [special.entr(row).sum(axis=1) for row in rows]
    total = np.zeros(num_examples)
    for first in range(num_seeds):
        for second in range(first + 1, num_seeds):
            middle = special.entr((rows[first] + rows[second]) / 2).sum(axis=1)
            total += middle - (entropy[first] + entropy[second]) / 2
    # Rounding can make the divergence of equal rows negative.
    return -np.maximum(total, 0.0) / (num_seeds * (num_seeds - 1) / 2)


def _rows_of_one(probs: Probs) -> Probs:
    probs = probs.astype(np.float64)
    total = probs.sum(axis=1, keepdims=True)
    flat = np.full(probs.shape, 1 / probs.shape[1])
    return np.divide(probs, total, out=flat, where=total > 0)


@dataclasses.dataclass(frozen=True)
class Confidence:
    """A probability that the most probable MoA is right, from several signals.

    Attributes:
      signals: names of the signals, in the order that the model was fitted with.
      model: logistic regression; None if all validation answers were right, or all wrong.
      share_correct: validation accuracy, which is the confidence without a model.
    """

    signals: tuple[str, ...]
    model: Pipeline | None
    share_correct: float

    def __call__(self, signals: Mapping[str, Signal]) -> Signal:
        """Confidence of compounds, in [0, 1].

        Raises:
          InputError: a signal that the model was fitted with is missing.
        """
        matrix = _matrix(signals, self.signals)
        if self.model is None:
            return np.full(len(matrix), self.share_correct)
        return self.model.predict_proba(matrix)[:, 1]


def fit_confidence(
    signals: Mapping[str, Signal], correct: Bool[np.ndarray, " example"]
) -> Confidence:
    """Logistic regression from signals to whether the first answer was right, on validation.

    Missing values are replaced by the median and marked in an additional column. A signal that no
    validation compound has is left out.

    Args:
      signals: name -> one value per validation compound.
      correct: whether the compound has the most probable MoA.

    Raises:
      InputError: there is no compound, or no signal has a value.
    """
    if not len(correct):
        raise InputError("there is no validation compound to fit the confidence to.")
    names = tuple(name for name, values in signals.items() if not np.isnan(values).all())
    if not names:
        raise InputError(
            f"none of the {len(correct)} validation compounds has a value of "
            f"{' or '.join(signals) or 'any signal'} to fit the confidence to."
        )
    model = None
    if 0 < correct.sum() < len(correct):
        model = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True),
            StandardScaler(),
            LogisticRegression(max_iter=1000),
        ).fit(_matrix(signals, names), correct)
    return Confidence(names, model, float(correct.mean()))


def _matrix(
    signals: Mapping[str, Signal], names: tuple[str, ...]
) -> Float[np.ndarray, "example signal"]:
    for name in names:
        if name not in signals:
            raise InputError(
                f"the confidence needs the signal {name}; found {', '.join(signals) or 'none'}."
            )
    return np.stack([signals[name] for name in names], axis=1)
