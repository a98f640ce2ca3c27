"""The examples that kernel experts compare new ones with, and their soft labels.

Mechanisms are propagated among compounds with the same targets, and targets among compounds with
the same mechanisms; see `LabelPropagation`. A compound without a known mechanism is labelled by its
targets alone. One whose mechanisms are all outside the vocabulary has none of the vocabulary's.
"""

from __future__ import annotations

import dataclasses
import functools

import ml_collections
import numpy as np
from jaxtyping import Float32

from moa_jax.data.examples.build import of_other_groups
from moa_jax.data.examples.features import EncodedExamples, FeatureSpec, encode
from moa_jax.kernels.label_propagation import LabelPropagation
from moa_jax.kernels.target_actions import action_labels
from moa_jax.schemas import Examples, concatenate


@dataclasses.dataclass(frozen=True)
class References:
    """The examples that kernel experts compare new ones with.

    Attributes:
      examples: the examples, with their own labels.
      config: settings of the propagation; see `references_of`.
    """

    examples: Examples
    config: ml_collections.FrozenConfigDict

    @functools.cached_property
    def mechanisms(self) -> LabelPropagation:
        """Soft MoA labels, shared by targets."""
        examples = self.examples
        # The targets of a compound with another mechanism do not give it one of the vocabulary.
        targets = [
            () if other and not known else names
            for names, other, known in zip(
                examples.targets, examples.has_other_moas, examples.labels.any(axis=1), strict=True
            )
        ]
        return LabelPropagation.of(
            examples.labels,
            targets,
            examples.groups,
            share=self.config.share,
            doubt=self.config.doubt,
            prior=self.config.prior,
        )

    def targets(self, proteins: tuple[str, ...]) -> LabelPropagation:
        """Soft labels of targets and actions (`action_labels`), shared by mechanisms.

        Args:
          proteins: gene symbols of the proteins.
        """
        examples = self.examples
        return LabelPropagation.of(
            action_labels(examples, proteins),
            known_mechanisms(examples),
            examples.groups,
            share=self.config.share,
            doubt=0.0,
            prior=self.config.prior,
        )

    @property
    def labels(self) -> Float32[np.ndarray, "example moa"]:
        """Soft label of each example; between 0 and 1."""
        return self.mechanisms.labels[self.mechanisms.unit]

    def encode(self, features: FeatureSpec) -> EncodedExamples:
        """The examples as model inputs, with their soft labels."""
        return dataclasses.replace(encode(self.examples, features), labels=self.labels)


def known_mechanisms(examples: Examples) -> list[tuple[str, ...]]:
    """The mechanisms of each example, inside and outside the vocabulary."""
    others = examples.other_moas or ((),) * examples.num_examples
    return [
        (*(examples.moas[column] for column in np.flatnonzero(labels)), *other)
        for labels, other in zip(examples.labels, others, strict=True)
    ]


def references_of(
    config: ml_collections.ConfigDict, train: Examples, unlabelled: Examples | None
) -> References:
    """The training examples, and examples without a label whose targets are known.

    Args:
      config: `share`: weight, from 0 to 1, of the labels of compounds with the same annotations;
        `doubt`: how much of the remaining weight they get if they contradict the compound's own
        mechanism, see `LabelPropagation.doubt`; `prior`: votes for no label.
      train: training examples.
      unlabelled: examples without a label; those of a compound group of `train` are left out.
    """
    settings = ml_collections.FrozenConfigDict(config)
    if unlabelled is None:
        return References(train, settings)
    has_targets = np.array([len(names) > 0 for names in unlabelled.targets], bool)
    rows = np.flatnonzero(of_other_groups(unlabelled, train) & has_targets)
    if not len(rows):
        return References(train, settings)
    return References(concatenate(train, unlabelled.take(rows)), settings)
