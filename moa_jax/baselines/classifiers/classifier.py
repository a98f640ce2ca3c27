"""Any classifier with scikit-learn's interface as a learner of MoAs on one modality.

The class of an example is its stratum, the most frequent of its MoAs, so that the probabilities of
a row sum to one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_limits

from moa_jax.baselines.inputs import Inputs, one_per_structure
from moa_jax.baselines.prevalence import FittedPrevalence, fit_prevalence
from moa_jax.data.examples.labels import strata
from moa_jax.schemas import Examples, KnowledgeGraph


@runtime_checkable
class Classifier(Protocol):
    """The part of scikit-learn's interface that is used here.

    Attributes:
      classes_: after `fit`, the classes in the order of the columns of `predict_proba`.
    """

    classes_: Int[np.ndarray, " class"]

    def fit(
        self, inputs: Float[np.ndarray, "example feature"], classes: Int[np.ndarray, " example"]
    ) -> object:
        """Fits the classifier."""

    def predict_proba(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example class"]:
        """Probability of each class; rows sum to one."""


@dataclasses.dataclass(frozen=True)
class FittedClassifier:
    """A fitted classifier, or None if the training examples are of fewer than two classes.

    Attributes:
      inputs: the modality that the classifier reads.
      classifier: its classes are columns of the vocabulary.
      prior: predicts examples that the classifier cannot.
    """

    inputs: Inputs
    classifier: Classifier | None
    prior: FittedPrevalence

    def can_answer(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example is predicted by the classifier rather than the prior."""
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
class ClassifierLearner:
    """A classifier on one modality, fitted to the examples that have it.

    Attributes:
      make_classifier: seed -> classifier; a deterministic one ignores the seed.
      make_inputs: makes the modality that the classifier reads.
      once_per_structure: train on each structure once, not once per signature; for inputs that
        read only the structure.
    """

    make_classifier: Callable[[int], Classifier]
    make_inputs: Callable[[], Inputs]
    once_per_structure: bool = False

    def fit(self, examples: Examples, graph: KnowledgeGraph, *, seed: int) -> FittedClassifier:
        """Fits the classifier; `graph` is not used."""
        inputs = self.make_inputs()
        known = examples.take(np.flatnonzero(inputs.usable(examples)))
        if self.once_per_structure:
            known = one_per_structure(known)
        stratum = strata(known)
        classifier = None
        if len(np.unique(stratum)) >= 2:
            classifier = self.make_classifier(seed)
            matrix = inputs.fit_transform(known)
            # Matrix products of this size are five times slower with several BLAS threads.
            with threadpool_limits(limits=1, user_api="blas"):
                classifier.fit(matrix, stratum)
        return FittedClassifier(inputs, classifier, fit_prevalence(examples))
