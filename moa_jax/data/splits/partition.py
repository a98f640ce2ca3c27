"""Partitions examples into training, validation and test part; the only place that does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import ml_collections

from moa_jax.data.examples.build import build_examples, structure_only_compounds
from moa_jax.data.splits.leaks import check_no_leaks, without_leaks
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from moa_jax.data.splits.unlabelled import training_sources, unlabelled_part
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.schemas import Examples, Split, concatenate


@dataclasses.dataclass(frozen=True)
class Partition:
    """The examples of one run.

    Attributes:
      split: the parts.
      crossing: allowed identities that parts share, with the number of values.
      parts: examples of each part; structure-only compounds are in `train`.
      unlabelled: unlabelled training examples, if the configuration uses them.
    """

    split: Split
    crossing: Mapping[str, int]
    parts: dict[str, Examples]
    unlabelled: Examples | None


def examples_of(config: ml_collections.ConfigDict, dataset: PreparedDataset) -> Examples:
    """All examples that a configuration partitions, over its vocabulary of MoAs.

    Raises:
      InputError: see `build_examples`.
    """
    return build_examples(dataset, vocabulary=config.vocabulary, min_compounds=config.min_compounds)


def make_partition(
    config: ml_collections.ConfigDict, dataset: PreparedDataset, examples: Examples
) -> Partition:
    """Partitions the data according to a configuration.

    Args:
      config: a complete configuration; see `configs/fusion.py`.
      dataset: the dataset of the examples.
      examples: all examples.

    Raises:
      InputError: the split cannot be made, or it leaks.
    """
    split = split_by_config(config, examples, validation_fraction=config.split.validation_fraction)
    crossing = check_no_leaks(split, examples)
    structures = (
        structure_only_compounds(dataset, examples) if config.structure_only_compounds else None
    )
    parts = partition_examples(split, examples, structures=structures)
    unlabelled = None
    pretraining = config.get("pretraining")
    if config.structure_only_compounds or config.ligands or pretraining:
        structure_only = bool(config.structure_only_compounds or pretraining)
        unlabelled = unlabelled_part(
            dataset,
            split,
            examples,
            sources=training_sources(config, structure_only=structure_only),
            transductive=bool(pretraining and pretraining.transductive),
        )
    return Partition(split, crossing, parts, unlabelled)


def split_by_config(
    config: ml_collections.ConfigDict, examples: Examples, *, validation_fraction: float
) -> Split:
    """The split of `config.split`, with a given validation fraction.

    Raises:
      InputError: see `make_split`.
    """
    return make_split(
        config.split.rule,
        examples,
        fold=config.split.fold,
        num_folds=config.split.num_folds,
        seed=config.split.seed,
        validation_fraction=validation_fraction,
    )


def partition_by_rule(
    rule: str,
    examples: Examples,
    *,
    fold: int,
    num_folds: int,
    seed: int,
    validation_fraction: float,
) -> dict[str, Examples]:
    """Training, validation and test part of one fold of a rule; see `make_split`.

    Raises:
      InputError: the split cannot be made.
    """
    split = make_split(
        rule,
        examples,
        fold=fold,
        num_folds=num_folds,
        seed=seed,
        validation_fraction=validation_fraction,
    )
    return partition_examples(split, examples)


def partition_examples(
    split: Split,
    examples: Examples,
    *,
    structures: Examples | None = None,
    test_release: Examples | None = None,
) -> dict[str, Examples]:
    """Training, validation and test part of a split.

    Args:
      split: the parts.
      examples: all examples of the split.
      structures: structure-only compounds; those that do not leak are added to the training part.
      test_release: for `phase`, the examples of the other release, which are the test part.

    Raises:
      InputError: the split does not fit the examples.
    """
    parts = {part: examples.take(rows) for part, rows in split_rows(split, examples).items()}
    if structures is not None:
        allowed = without_leaks(split, both_releases(examples, test_release), structures)
        parts["train"] = concatenate(parts["train"], allowed)
    if test_release is not None:
        parts["test"] = test_release
    return parts


def both_releases(examples: Examples, test_release: Examples | None) -> Examples:
    """All examples of a split, for finding leaks.

    Args:
      examples: examples of the training release.
      test_release: examples of another release as test part, if any.
    """
    if test_release is None:
        return examples
    # Leaks do not depend on which genes were measured.
    other = dataclasses.replace(test_release, gene_mask=examples.gene_mask)
    return concatenate(examples, other)


def train_and_validation(parts: Mapping[str, Examples]) -> Examples:
    """The training part, then the validation part."""
    return concatenate(parts["train"], parts["validation"])
