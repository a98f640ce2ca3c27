"""What a benchmark consists of: cells, one per method, fold, seed and condition of training."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import ml_collections

from moa_jax.baselines.fusion import method_name
from moa_jax.baselines.registry import FAMILY_OF, METHODS, trains_in_folder
from moa_jax.benchmark.conditions import CLEAN
from moa_jax.benchmark.test_conditions import TestCondition, test_conditions
from moa_jax.benchmark.training_conditions import TrainingCondition, training_conditions
from moa_jax.data.split_rules import SPLIT_RULES
from moa_jax.models.fusion import VIEWS
from moa_jax.schemas import InputError

CLEAN_TRAINING = TrainingCondition(CLEAN)
CLEAN_TEST = TestCondition(CLEAN)
# Method -> the view of the fusion model that it is.
FUSION_VIEWS = {method_name(view): view for view in VIEWS}
# The rule that trains on the release of `config.data` and tests on another one.
PHASE = "phase"


@dataclasses.dataclass(frozen=True)
class SplitKey:
    """One division of the data.

    Attributes:
      rule: name of the rule.
      seed: seed of its folds.
      fold: which fold is the test part.
      test_data: prepared folder of the release that is tested on; empty for the release itself.
    """

    rule: str
    seed: int
    fold: int
    test_data: str = ""

    @property
    def name(self) -> str:
        """What files about it are called, without fold."""
        release = f"_{pathlib.PurePath(self.test_data).name}" if self.test_data else ""
        return f"{self.rule}{release}_seed{self.seed}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model to train, and the inputs to test it with.

    Attributes:
      split: division of the data.
      training: what is changed in training.
      further_structures: labelled structures without signature are trained on too.
      method: name of the method.
      seed: seed of the method.
      tests: inputs to answer; the first is the clean test part.
    """

    split: SplitKey
    training: TrainingCondition
    further_structures: bool
    method: str
    seed: int
    tests: tuple[TestCondition, ...]

    @property
    def folder(self) -> pathlib.PurePath:
        """Where what belongs to its training is kept, within a folder of the benchmark."""
        training = self.training.name + "_with_structures" * self.further_structures
        return pathlib.PurePath(self.split.name, f"fold{self.split.fold}", training)

    @property
    def path(self) -> pathlib.PurePath:
        """Where its answers are kept, within the folder of the cells."""
        return self.folder / f"{self.method}_seed{self.seed}.npz"

    @property
    def trained_as(self) -> str:
        """The method that is trained: for a view of the fusion model, that model."""
        return "fusion" if self.method in FUSION_VIEWS else self.method

    @property
    def model(self) -> tuple[SplitKey, TrainingCondition, bool, str, int]:
        """Equal for cells that are views of one model, which is trained once for all of them."""
        return (self.split, self.training, self.further_structures, self.trained_as, self.seed)


def plan(config: ml_collections.ConfigDict) -> tuple[Cell, ...]:
    """The cells of a configuration; one that several blocks ask for is there once.

    Args:
      config: see `configs/benchmark.py`.

    Returns:
      Cells by seed, then in the order of the methods' registry: a benchmark that is stopped has
      its first seed in full.

    Raises:
      InputError: a block names a method, rule, condition or level that does not exist.
    """
    cells: dict[tuple[str, ...], Cell] = {}
    for name, block in config.blocks.items():
        for cell in _cells_of(name, block, config.split):
            if trains_network(cell.method) and not config.neural:
                continue
            key = cell.path.parts
            tests = (*cells[key].tests, *cell.tests) if key in cells else cell.tests
            cells[key] = dataclasses.replace(cell, tests=tuple(dict.fromkeys(tests)))
    if not cells:
        raise InputError("the benchmark is empty: config.blocks asks for no cell.")
    place = {method: number for number, method in enumerate([*FUSION_VIEWS, *METHODS])}
    return tuple(sorted(cells.values(), key=lambda cell: (cell.seed, place[cell.method])))


def trains_network(method: str) -> bool:
    """The method trains a network, so that it takes longer than the others."""
    return method in FUSION_VIEWS or (method in METHODS and trains_in_folder(method))


def family_of(method: str) -> str:
    """What a method learns from: a key of the registry's families, or `elsewhere`.

    The fusion model asked for one modality belongs to the methods on that modality.
    """
    return FAMILY_OF.get(method, FUSION_VIEWS.get(method, "elsewhere"))


def _cells_of(
    name: str, block: ml_collections.ConfigDict, split: ml_collections.ConfigDict
) -> Iterable[Cell]:
    _refuse_unknown(f"config.blocks.{name}.methods", block.methods, [*FUSION_VIEWS, *METHODS])
    _refuse_unknown(f"config.blocks.{name}.splits", block.splits, [*SPLIT_RULES, PHASE])
    if (PHASE in block.splits) != bool(block.test_data):
        raise InputError(
            f"config.blocks.{name} has the splits {', '.join(block.splits)} and "
            f"test_data={block.test_data!r}; {PHASE} needs a prepared folder as test_data, and "
            "no other rule takes one."
        )
    trainings = training_conditions(block.training.to_dict()) or (CLEAN_TRAINING,)
    tests = (CLEAN_TEST, *test_conditions(block.test.to_dict()))
    for rule in block.splits:
        for seed in split.seeds:
            for fold in range(1 if rule == PHASE else split.num_folds):
                for training in trainings:
                    for method in block.methods:
                        for method_seed in block.seeds:
                            yield Cell(
                                split=SplitKey(rule, seed, fold, block.test_data),
                                training=training,
                                further_structures=block.further_structures,
                                method=method,
                                seed=method_seed,
                                tests=tests,
                            )


def _refuse_unknown(key: str, found: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in found:
        if name not in known:
            raise InputError(f"{key} names {name!r}; there are {', '.join(known)}.")
