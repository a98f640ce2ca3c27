"""Late fusion: one expert on expression, one on structure, and a mean of their probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.classifiers.classifier import ClassifierLearner, FittedClassifier
from moa_jax.baselines.classifiers.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.schemas import Examples, KnowledgeGraph

Answers = Float[np.ndarray, "example moa"]


def geometric_mean(first: Answers, second: Answers) -> Answers:
    """Product of experts on the scale of one probability: sqrt(first * second).

    The square root ranks an example's MoAs as the product does and keeps the probabilities of
    examples with one modality comparable with those of examples with both. Rows are not
    normalised: this would raise rows on which both experts are uncertain or disagree.
    """
    return np.sqrt(first * second)


def arithmetic_mean(first: Answers, second: Answers) -> Answers:
    """Mean of the probabilities: a confident expert is not vetoed by the other one."""
    return (first + second) / 2


def fuse(
    first: Answers,
    second: Answers,
    first_answers: Bool[np.ndarray, " example"],
    second_answers: Bool[np.ndarray, " example"],
    combine: Callable[[Answers, Answers], Answers] = geometric_mean,
) -> Answers:
    """Combines the probabilities of two experts.

    Args:
      first: probabilities of one expert.
      second: probabilities of the other.
      first_answers: whether the first expert can predict the example.
      second_answers: the same of the second one; if only one can, its probabilities are used.
      combine: combines the two.
    """
    alone = np.where(second_answers[:, None], second, first)
    return np.where((first_answers & second_answers)[:, None], combine(first, second), alone)


@dataclasses.dataclass(frozen=True)
class FittedLateFusion:
    """The two fitted experts and how their probabilities are combined."""

    expression: FittedClassifier
    structure: FittedClassifier
    combine: Callable[[Answers, Answers], Answers]

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """`fuse` of both experts; the training prevalence where neither can predict."""
        return fuse(
            self.expression.predict(examples),
            self.structure.predict(examples),
            self.expression.can_answer(examples),
            self.structure.can_answer(examples),
            self.combine,
        )


@dataclasses.dataclass(frozen=True)
class LateFusion:
    """Fits one expert per modality, each to all examples with this modality.

    Attributes:
      expression: the expert on expression.
      structure: the expert on structure.
      combine: combines their probabilities.
    """

    expression: ClassifierLearner = EXPRESSION_LOGISTIC
    structure: ClassifierLearner = MORGAN_LOGISTIC
    combine: Callable[[Answers, Answers], Answers] = geometric_mean

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedLateFusion:
        """Fits both experts."""
        return FittedLateFusion(
            expression=self.expression.fit(examples, graph, seed=seed),
            structure=self.structure.fit(examples, graph, seed=seed),
            combine=self.combine,
        )
