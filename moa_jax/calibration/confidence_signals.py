"""When not to answer: signs of confidence, and one confidence made of them.

Every signal is one number per compound, higher where the answer can be trusted more, and NaN
where the release or the method does not tell it.
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
    """Probability of the most probable MoA less that of the second; of a single MoA, its own."""
    ranked = np.sort(probs.astype(np.float64), axis=1)
    return ranked[:, -1] - (ranked[:, -2] if probs.shape[1] > 1 else 0.0)


def negative_entropy(probs: Probs) -> Signal:
    """Less the entropy of the row once it sums to one, in nats; a row of zeros counts as flat."""
    return -special.entr(_rows_of_one(probs)).sum(axis=1)


def agreement(seed_probs: Float[np.ndarray, "seed example moa"]) -> Signal:
    """Less the mean Jensen-Shannon divergence of two seeds' rows (Lin 1991), in nats.

    NaN where there is one seed only.
    """
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
    # Of equal rows, rounding can leave a divergence just below zero.
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
      model: logistic regression, None where all validation answers were right, or all wrong.
      share_correct: share of right answers on validation, which stands in for a missing model.
    """

    signals: tuple[str, ...]
    model: Pipeline | None
    share_correct: float

    def __call__(self, signals: Mapping[str, Signal]) -> Signal:
        """Confidence of compounds, in [0, 1].

        Raises:
          InputError: a signal is absent that the model was fitted with.
        """
        matrix = _matrix(signals, self.signals)
        if self.model is None:
            return np.full(len(matrix), self.share_correct)
        return self.model.predict_proba(matrix)[:, 1]


def fit_confidence(
    signals: Mapping[str, Signal], correct: Bool[np.ndarray, " example"]
) -> Confidence:
    """Logistic regression from signals to whether the first answer was right, on validation.

    A missing value becomes the median of its signal, and a column says that it was missing. A
    signal that no validation compound has is left out.

    Args:
      signals: name -> one value per validation compound.
      correct: whether the most probable MoA of the compound is one of its own.

    Raises:
      InputError: no compound is left to learn from, or no signal has a value.
    """
    if not len(correct):
        raise InputError("the confidence found no validation compound; it needs at least one.")
    names = tuple(name for name, values in signals.items() if not np.isnan(values).all())
    if not names:
        raise InputError(
            f"the confidence found no value of {', '.join(signals) or 'any signal'} among "
            f"{len(correct)} validation compounds; it needs at least one."
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
