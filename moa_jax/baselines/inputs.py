"""Expression and structure as feature matrices for the baselines."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.preprocessing import StandardScaler

from moa_jax.compounds.fingerprints import morgan_fingerprints
from moa_jax.schemas import Examples


@runtime_checkable
class Inputs(Protocol):
    """One modality as a feature matrix, for the examples that have it."""

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has the modality."""

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fits to training examples, all usable, and returns their matrix."""

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """The matrix of usable examples."""


class StandardisedExpression:
    """Each gene centred and scaled by its training mean and standard deviation.

    A gene that was not measured is at the training mean and carries no information.
    """

    def __init__(self) -> None:
        self._scaler = StandardScaler()

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has a signature."""
        return examples.has_expression

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fits means and scales to training examples and returns their z-scores."""
        self._scaler.fit(np.where(examples.gene_mask, examples.expression, 0.0))
        return self.transform(examples)

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Z-scores, one column per gene; 0 where the gene was not measured."""
        measured = np.where(examples.gene_mask, examples.expression, 0.0)
        return np.where(examples.gene_mask, self._scaler.transform(measured), 0.0)


@dataclasses.dataclass(frozen=True)
class MorganBits:
    """Folded Morgan fingerprints of radius 2 (Rogers and Hahn 2010); nothing is learned.

    Attributes:
      num_bits: length of the fingerprint.
    """

    num_bits: ClassVar[int] = 2048

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example's structure is known."""
        return examples.has_structure

    def fit_transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fingerprints of the training examples."""
        return self.transform(examples)

    def transform(self, examples: Examples) -> Float[np.ndarray, "example feature"]:
        """Fingerprints, 0 or 1."""
        return morgan_fingerprints(examples.smiles, num_bits=self.num_bits).astype(np.float64)


def one_per_structure(examples: Examples) -> Examples:
    """One example per structure of each compound, with the union of its examples' labels.

    All signatures of a structure have the same fingerprint; without this, a compound would be
    weighted by its number of signatures.

    Args:
      examples: examples that all have a structure.
    """
    keys = [
        f"{group}\n{smiles}" for group, smiles in zip(examples.groups, examples.smiles, strict=True)
    ]
    _, first, unit = np.unique(np.asarray(keys, str), return_index=True, return_inverse=True)
    labels = np.zeros((len(first), len(examples.moas)), np.float32)
    np.maximum.at(labels, unit, examples.labels)
    return dataclasses.replace(examples.take(first), labels=labels)
