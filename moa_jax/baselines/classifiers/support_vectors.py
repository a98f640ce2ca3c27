"""Support vector machines with probabilities by a softmax of the margins.

Platt scaling would need five more fits and does not change the ranking; the scale of the softmax is
one of the settings that are selected on the validation part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from moa_jax.baselines.classifiers.classifier import Classifier


class KernelMachine:
    """One-versus-rest support vector machines.

    The kernel is linear, x.y / num_features, or Gaussian, exp(-gamma |x - y|^2 / num_features).
    It is computed once for all classes, which makes the linear kernel ten times as fast as
    scikit-learn's `LinearSVC` if there are as many features as examples.

    Attributes:
      classes_: after `fit`, the classes in ascending order.
    """

    classes_: Int[np.ndarray, " class"]

    def __init__(self, penalty: float, gamma: float | None) -> None:
        """Nothing is fitted yet.

        Args:
          penalty: scikit-learn's C.
          gamma: coefficient of the Gaussian kernel; None for the linear one.
        """
        self._penalty = penalty
        self._gamma = gamma

    def fit(
        self, inputs: Float[np.ndarray, "example feature"], classes: Int[np.ndarray, " example"]
    ) -> KernelMachine:
        """Fits one machine per class with balanced class weights."""
        self._references = inputs
        kernel = self._kernel(inputs)
        self.classes_ = np.unique(classes)
        self._machines = [
            SVC(C=self._penalty, kernel="precomputed", class_weight="balanced").fit(
                kernel, classes == name
            )
            for name in self.classes_
        ]
        return self

    def decision_function(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example class"]:
        """Margin of each class."""
        kernel = self._kernel(inputs)
        return np.column_stack([machine.decision_function(kernel) for machine in self._machines])

    def _kernel(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example reference"]:
        num_features = inputs.shape[1]
        if self._gamma is None:
            return inputs @ self._references.T / num_features
        return rbf_kernel(inputs, self._references, gamma=self._gamma / num_features)


class SoftmaxOfMargins:
    """Probabilities from margins: softmax(scale * margin).

    Attributes:
      classes_: after `fit`, the classes in ascending order.
    """

    classes_: Int[np.ndarray, " class"]

    def __init__(self, machine: KernelMachine, scale: float) -> None:
        self._machine = machine
        self._scale = scale

    def fit(
        self, inputs: Float[np.ndarray, "example feature"], classes: Int[np.ndarray, " example"]
    ) -> SoftmaxOfMargins:
        """Fits the machines; the scale is fixed."""
        self._machine.fit(inputs, classes)
        self.classes_ = self._machine.classes_
        return self

    def predict_proba(
        self, inputs: Float[np.ndarray, "example feature"]
    ) -> Float[np.ndarray, "example class"]:
        """Probability of each class; rows sum to one."""
        return softmax(self._scale * self._machine.decision_function(inputs), axis=1)


def kernel_machine(
    penalty: float, scale: float, *, gamma: float | None = None
) -> Callable[[int], Classifier]:
    """Seed -> `KernelMachine` with probabilities; it is deterministic.

    Args:
      penalty: scikit-learn's C.
      scale: scale of the margins in the softmax.
      gamma: coefficient of the Gaussian kernel times the number of features; None for the linear
        kernel.
    """
    return lambda seed: SoftmaxOfMargins(KernelMachine(penalty, gamma), scale)
