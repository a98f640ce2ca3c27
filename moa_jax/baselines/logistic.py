"""Multinomial logistic regression on expression or on Morgan fingerprints.

The class of an example is its stratum, the most frequent of its MoAs, so that the outputs of a
row compete and sum to one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from moa_jax.baselines.inputs import Inputs, MorganBits, StandardisedExpression
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.data.examples import Examples, concatenate, strata
from moa_jax.schemas import KnowledgeGraph


@dataclasses.dataclass(frozen=True)
class FittedLogistic:
    """A fitted classifier, or None where the training examples held fewer than two classes.

    Attributes:
      inputs: the modality that the classifier reads.
      classifier: its classes are columns of the vocabulary.
      prior: answers where the classifier cannot.
    """

    inputs: Inputs
    classifier: LogisticRegression | None
    prior: FittedPrevalence

    def can_answer(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """The example is answered by the classifier, not by the prior."""
        return self.inputs.usable(examples) & (self.classifier is not None)

    def predict(self, examples: Examples) -> Float[np.ndarray, "example moa"]:
        """Class probabilities, 0 for MoAs that no training example had as its class.

        Examples that lack the modality get the training prevalence.
        """
        probs = self.prior.predict(examples)
        rows = np.flatnonzero(self.can_answer(examples))
        if self.classifier is not None and len(rows):
            answers = self.classifier.predict_proba(self.inputs.transform(examples.take(rows)))
            probs[rows] = 0.0
            probs[np.ix_(rows, self.classifier.classes_)] = answers
        return probs


@dataclasses.dataclass(frozen=True)
class Logistic:
    """Class-balanced multinomial logistic regression with an L2 penalty.

    It tunes nothing, so it learns from training and validation examples alike.

    Attributes:
      name: what tables call the method.
      inverse_penalty: scikit-learn's C.
      make_inputs: makes the modality that the classifier reads.
    """

    name: str
    inverse_penalty: float
    make_inputs: Callable[[], Inputs]

    def fit(
        self, train: Examples, validation: Examples, graph: KnowledgeGraph, *, seed: int
    ) -> FittedLogistic:
        """Fits by L-BFGS, which is deterministic; `graph` and `seed` are not used."""
        examples = concatenate(train, validation)
        inputs = self.make_inputs()
        known = examples.take(np.flatnonzero(inputs.usable(examples)))
        stratum = strata(known)
        classifier = None
        if len(np.unique(stratum)) >= 2:
            classifier = LogisticRegression(
                C=self.inverse_penalty, class_weight="balanced", max_iter=2000
            )
            matrix = inputs.fit_transform(known)
            # Products of this size are done before a second BLAS thread has woken up: several
            # threads take five times as long.
            with threadpool_limits(limits=1, user_api="blas"):
                classifier.fit(matrix, stratum)
        return FittedLogistic(inputs, classifier, fit_prevalence(examples))


def expression_logistic() -> Logistic:
    """Logistic regression on standardised expression, C = 0.003."""
    return Logistic("expression_logistic", 0.003, StandardisedExpression)


def morgan_logistic() -> Logistic:
    """Logistic regression on Morgan fingerprints (radius 2, 2,048 bits), C = 0.1."""
    return Logistic("morgan_logistic", 0.1, MorganBits)
