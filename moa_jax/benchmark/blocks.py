"""The part of a benchmark's configuration that repeats: methods that are run alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_collections


def block(
    methods: Sequence[str],
    *,
    splits: Sequence[str] = ("compound",),
    seeds: Sequence[int] = (0,),
    training: Mapping[str, Sequence[float]] | None = None,
    test: Mapping[str, Sequence[float]] | None = None,
    further_structures: bool = False,
    test_data: str = "",
) -> ml_collections.ConfigDict:
    """Methods that are run alike.

    Args:
      methods: their names.
      splits: rules that divide the data.
      seeds: seeds of the methods.
      training: conditions of training beside the clean one: kind -> levels.
      test: conditions of testing beside the clean one.
      further_structures: labelled structures without signature are learned from too.
      test_data: prepared folder of another release that is tested on, for the rule `phase`.
    """
    config = ml_collections.ConfigDict()
    config.methods = tuple(methods)
    config.splits = tuple(splits)
    config.seeds = tuple(seeds)
    config.training = ml_collections.ConfigDict(dict(training or {}))
    config.test = ml_collections.ConfigDict(dict(test or {}))
    config.further_structures = further_structures
    config.test_data = test_data
    return config
