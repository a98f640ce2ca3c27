"""Late fusion: the product of the expression and the structure classifier."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.classifier import ClassifierLearner, FittedClassifier
from moa_jax.baselines.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.data.examples import Examples
from moa_jax.schemas import KnowledgeGraph


def fuse(
    first: Float[np.ndarray, "example moa"],
    second: Float[np.ndarray, "example moa"],
    first_answers: Bool[np.ndarray, " example"],
    second_answers: Bool[np.ndarray, " example"],
) -> Float[np.ndarray, "example moa"]:
    """Product of experts on the scale of one probability: sqrt(first * second).

    The square root orders an example's MoAs as the product does and keeps the answers of
    examples with one modality comparable with those of examples with both. Rows are not
    normalised: that would raise rows on which both experts are unsure or disagree.

    Args:
      first: probabilities of one expert.
      second: probabilities of the other.
      first_answers: the first expert has something to say.
      second_answers: the second one has; where only one has, its answer stands alone.
    """
    both = np.sqrt(first * second)
    alone = np.where(second_answers[:, None], second, first)
    return np.where((first_answers & second_answers)[:, None], both, alone)


@dataclasses.dataclass(frozen=True)
class FittedLateFusion:
    """The two fitted experts."""

    expression: FittedClassifier
    structure: FittedClassifier

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """`fuse` of both experts; the training prevalence where neither can answer."""
        return fuse(
            self.expression.predict(examples),
            self.structure.predict(examples),
            self.expression.can_answer(examples),
            self.structure.can_answer(examples),
        )


@dataclasses.dataclass(frozen=True)
class LateFusion:
    """Fits one expert per modality, each as it is fitted alone.

    Attributes:
      expression: the expert on expression.
      structure: the expert on structure.
    """

    expression: ClassifierLearner = EXPRESSION_LOGISTIC
    structure: ClassifierLearner = MORGAN_LOGISTIC

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedLateFusion:
        """Fits both experts."""
        return FittedLateFusion(
            expression=self.expression.fit(examples, graph, seed=seed),
            structure=self.structure.fit(examples, graph, seed=seed),
        )
