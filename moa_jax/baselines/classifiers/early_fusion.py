"""Early fusion: expression and fingerprint concatenated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.inputs import MorganBits, StandardisedExpression
from moa_jax.schemas import Examples


class ExpressionAndMorgan:
    """Standardised expression, then centred Morgan bits.

    A missing modality is at its training mean, 0, and carries no information.
    """

    def __init__(self, structure_weight: float = 1.0) -> None:
        """Nothing is fitted yet.

        Args:
          structure_weight: factor of the bits. They vary far less than standardised genes, so that
            a penalised linear model would hardly use them with a factor of 1.
        """
        self._structure_weight = structure_weight
        self._expression = StandardisedExpression()
        self._morgan = MorganBits()

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has a signature or a structure."""
        return self._expression.usable(examples) | self._morgan.usable(examples)

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fits the means and scales of each modality to the examples that have it."""
        self._has_expression = self._expression.usable(examples).any()
        if self._has_expression:
            self._expression.fit_transform(_only(examples, self._expression.usable(examples)))
        bits = self._morgan.transform(_only(examples, self._morgan.usable(examples)))
        self._mean_bits = bits.mean(axis=0) if len(bits) else np.zeros(self._morgan.num_bits)
        return self.transform(examples)

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Both modalities; 0 where the example lacks one."""
        expression = np.zeros(examples.expression.shape)
        rows = self._expression.usable(examples) & self._has_expression
        if rows.any():
            expression[rows] = self._expression.transform(_only(examples, rows))
        bits = np.zeros((examples.num_examples, self._morgan.num_bits))
        rows = self._morgan.usable(examples)
        bits[rows] = self._morgan.transform(_only(examples, rows)) - self._mean_bits
        return np.concatenate([expression, self._structure_weight * bits], axis=1)


def _only(examples: Examples, wanted: Bool[np.ndarray, " example"]) -> Examples:
    return examples.take(np.flatnonzero(wanted))
