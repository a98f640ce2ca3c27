"""What one run learns from, chooses by and is tested on, by its configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import ml_collections

from moa_jax.data.examples import build_examples, further_structures
from moa_jax.data.leaks import check_no_leaks, without_leaks
from moa_jax.data.prepared import PreparedDataset
from moa_jax.data.split_rules import make_split
from moa_jax.data.splits import split_rows
from moa_jax.data.unlabelled import unlabelled_part
from moa_jax.schemas import Examples, Split, concatenate


@dataclasses.dataclass(frozen=True)
class Division:
    """What is learned from and what is not, in one division of the data.

    Attributes:
      split: the parts.
      crossing: identities that parts share as the rule allows, and how many.
      parts: examples of each part; structures without signature are in `train`.
      unlabelled: what may be learned from without label, where the configuration asks for it.
    """

    split: Split
    crossing: Mapping[str, int]
    parts: dict[str, Examples]
    unlabelled: Examples | None


def examples_of(config: ml_collections.ConfigDict, dataset: PreparedDataset) -> Examples:
    """All examples that a configuration divides, over its vocabulary of MoAs.

    Raises:
      InputError: see `build_examples`.
    """
    return build_examples(dataset, vocabulary=config.vocabulary, min_compounds=config.min_compounds)


def divide(
    config: ml_collections.ConfigDict, dataset: PreparedDataset, examples: Examples
) -> Division:
    """Divides the data as a configuration says.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      dataset: where the examples come from.
      examples: all examples that are divided.

    Raises:
      InputError: the split cannot be made, or parts share what its rule keeps apart.
    """
    split = make_split(
        config.split.rule,
        examples,
        fold=config.split.fold,
        num_folds=config.split.num_folds,
        seed=config.split.seed,
        validation_fraction=config.split.validation_fraction,
    )
    crossing = check_no_leaks(split, examples)
    parts = {part: examples.take(rows) for part, rows in split_rows(split, examples).items()}
    if config.further_structures:
        further = without_leaks(split, examples, further_structures(dataset, examples))
        parts["train"] = concatenate(parts["train"], further)
    unlabelled = None
    pretraining = config.get("pretraining")
    if config.further_structures or pretraining:
        transductive = bool(pretraining and pretraining.transductive)
        unlabelled = unlabelled_part(dataset, split, examples, transductive=transductive)
    return Division(split, crossing, parts, unlabelled)
