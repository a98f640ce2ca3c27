"""What of an example a network may see."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool

from moa_jax.baselines.inputs import one_per_structure
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class Modalities:
    """Expression, structure or both.

    What a network does not see is taken away before the examples are encoded, so that nothing
    is computed for it.

    Attributes:
      expression: signatures are seen.
      structure: structures are seen.
    """

    expression: bool
    structure: bool

    def usable(self, examples: Examples) -> Bool[np.ndarray, " example"]:
        """The example has something that is seen."""
        return (examples.has_expression & self.expression) | (
            examples.has_structure & self.structure
        )

    def visible(self, examples: Examples) -> Examples:
        """The examples with nothing else than what is seen.

        Where signatures are not seen they become signatures of zeros, as the gene statistics
        that every run keeps need some.
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
        """What to train on: usable examples, or compounds where structures alone are seen."""
        known = self.visible(examples.take(np.flatnonzero(self.usable(examples))))
        return known if self.expression else one_per_structure(known)
