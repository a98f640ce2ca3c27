"""The modalities that a network reads."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool

from moa_jax.baselines.inputs import one_per_structure
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class Modalities:
    """Expression, structure or both.

    A modality that the network does not read is removed before the examples are encoded, so that
    nothing is computed for it.

    Attributes:
      expression: signatures are read.
      structure: structures are read.
    """

    expression: bool
    structure: bool

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """Whether the example has a modality that is read."""
        return (examples.has_expression & self.expression) | (
            examples.has_structure & self.structure
        )

    def visible(self, examples: Examples) -> Examples:
        """The examples without the modalities that are not read.

        Signatures that are not read become zeros, because every run needs some for its gene
        statistics.
        """
        if not self.structure:
            return dataclasses.replace(examples, smiles=(None,) * examples.num_examples)
        if not self.expression:
            return dataclasses.replace(
                examples,
                expression=np.zeros_like(examples.expression),
                has_expression=np.ones_like(examples.has_expression),
            )
        return examples

    def training_examples(self, examples: Examples) -> Examples:
        """Training examples: usable ones, or one per structure if only structures are read."""
        known = self.visible(examples.take(np.flatnonzero(self.usable(examples))))
        return known if self.expression else one_per_structure(known)
