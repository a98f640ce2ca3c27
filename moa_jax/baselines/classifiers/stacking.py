"""Stacked generalisation (Wolpert 1992): a logistic regression weights two experts.

It is trained on out-of-fold predictions from an inner cross-validation over compounds.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from moa_jax.baselines.classifiers.classifier import ClassifierLearner
from moa_jax.baselines.classifiers.late_fusion import Answers, FittedLateFusion, LateFusion
from moa_jax.data.splits.stratification import multilabel_folds
from moa_jax.schemas import Examples, KnowledgeGraph

# Smaller probabilities are clipped to this one, so that the logarithm is finite.
_SMALLEST = 1e-6
_NUM_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class WeightedProduct:
    """Logistic regression on the logarithms of two probabilities, the same for all MoAs.

    With a few compounds per MoA, separate weights for each would be noise.

    Attributes:
      first_weight: coefficient of the first expert's log probability.
      second_weight: coefficient of the second expert's log probability.
      intercept: log odds where both probabilities are 1.
    """

    first_weight: float
    second_weight: float
    intercept: float

    def __call__(self, first: Answers, second: Answers) -> Answers:
        """Probabilities; 0 where both experts exclude the MoA."""
        first_log, second_log = (np.log(np.maximum(part, _SMALLEST)) for part in (first, second))
        log_odds = self.first_weight * first_log + self.second_weight * second_log + self.intercept
        return np.where((first > 0) | (second > 0), expit(log_odds), 0.0)


def fit_weighted_product(
    first: Answers,
    second: Answers,
    labels: Float32[np.ndarray, "example moa"],
    weight: Float[np.ndarray, " example"],
) -> WeightedProduct:
    """Fits the combiner to all pairs of example and MoA.

    Args:
      first: probabilities of one expert.
      second: probabilities of the other.
      labels: 0 or 1; both must occur.
      weight: of each example.
    """
    pairs = np.stack([first.ravel(), second.ravel()], axis=1)
    combiner = LogisticRegression(C=1.0)
    combiner.fit(
        np.log(np.maximum(pairs, _SMALLEST)),
        labels.ravel() > 0,
        sample_weight=np.repeat(weight, labels.shape[1]),
    )
    return WeightedProduct(*combiner.coef_[0].tolist(), float(combiner.intercept_[0]))


@dataclasses.dataclass(frozen=True)
class Stacked:
    """Two experts and a logistic combiner of their probabilities.

    Attributes:
      expression: the expert on expression.
      structure: the expert on structure.
    """

    expression: ClassifierLearner
    structure: ClassifierLearner

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedLateFusion:
        """Fits the combiner to inner out-of-fold predictions, then the experts to all examples.

        Without enough compounds that both experts can predict, the combiner cannot be fitted, and
        the geometric mean is used.
        """
        experts = LateFusion(self.expression, self.structure)
        fitted = experts.fit(examples, graph, seed=seed)
        answered = fitted.expression.can_answer(examples) & fitted.structure.can_answer(examples)
        both = np.flatnonzero(answered)
        known = examples.take(both)
        if len(set(known.groups)) < _NUM_FOLDS:
            return fitted
        first, second = _out_of_fold(experts, examples, graph, seed)
        _, unit, num_examples = np.unique(
            np.asarray(known.groups, str), return_inverse=True, return_counts=True
        )
        # Each compound has the same total weight.
        combine = fit_weighted_product(
            first[both], second[both], known.labels, 1 / num_examples[unit]
        )
        return dataclasses.replace(fitted, combine=combine)


def _out_of_fold(
    experts: LateFusion, examples: Examples, graph: KnowledgeGraph, seed: int
) -> tuple[Float[np.ndarray, "example moa"], Float[np.ndarray, "example moa"]]:
    """Out-of-fold predictions of both experts."""
    folds = multilabel_folds(
        examples.labels, examples.groups, examples.groups, num_folds=_NUM_FOLDS, seed=seed
    )
    first, second = np.zeros(examples.labels.shape), np.zeros(examples.labels.shape)
    for fold in range(_NUM_FOLDS):
        fitted = experts.fit(examples.take(np.flatnonzero(folds != fold)), graph, seed=seed)
        rows = np.flatnonzero(folds == fold)
        first[rows] = fitted.expression.predict(examples.take(rows))
        second[rows] = fitted.structure.predict(examples.take(rows))
    return first, second
