"""Multinomial logistic regression on expression or on Morgan fingerprints."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.linear_model import LogisticRegression

from moa_jax.baselines.classifiers.classifier import ClassifierLearner
from moa_jax.baselines.inputs import Inputs, MorganBits, StandardisedExpression


def balanced_logistic(inverse_penalty: float) -> LogisticRegression:
    """Class-balanced multinomial logistic regression, not fitted; `inverse_penalty` is C."""
    return LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=2000)


def logistic(
    inverse_penalty: float,
    make_inputs: Callable[[], Inputs],
    *,
    once_per_structure: bool = False,
) -> ClassifierLearner:
    """Class-balanced multinomial logistic regression with an L2 penalty, by L-BFGS.

    Args:
      inverse_penalty: scikit-learn's C.
      make_inputs: makes the inputs of the classifier.
      once_per_structure: see `ClassifierLearner`.
    """
    return ClassifierLearner(
        lambda seed: balanced_logistic(inverse_penalty),
        make_inputs,
        once_per_structure,
    )


def expression_logistic(inverse_penalty: float) -> ClassifierLearner:
    """On standardised expression."""
    return logistic(inverse_penalty, StandardisedExpression)


def morgan_logistic(inverse_penalty: float) -> ClassifierLearner:
    """On Morgan fingerprints, trained on each structure once."""
    return logistic(inverse_penalty, MorganBits, once_per_structure=True)


# The reference baselines at their published settings; that on structure is trained on every
# signature of a compound.
EXPRESSION_LOGISTIC = logistic(0.003, StandardisedExpression)
MORGAN_LOGISTIC = logistic(0.1, MorganBits)
