"""Multinomial logistic regression on expression or on Morgan fingerprints."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.linear_model import LogisticRegression

from moa_jax.baselines.classifier import ClassifierLearner
from moa_jax.baselines.inputs import Inputs, MorganBits, StandardisedExpression


def logistic(inverse_penalty: float, make_inputs: Callable[[], Inputs]) -> ClassifierLearner:
    """Class-balanced multinomial logistic regression with an L2 penalty, by L-BFGS.

    Args:
      inverse_penalty: scikit-learn's C.
      make_inputs: makes the modality that the classifier reads.
    """
    return ClassifierLearner(
        lambda seed: LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=2000),
        make_inputs,
    )


# The reference lines, at the settings under which they are known.
EXPRESSION_LOGISTIC = logistic(0.003, StandardisedExpression)
MORGAN_LOGISTIC = logistic(0.1, MorganBits)
