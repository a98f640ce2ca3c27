"""The cells of a benchmark: one per method, fold, seed and training perturbation."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import ml_collections

from moa_jax.baselines.fusion import method_name
from moa_jax.baselines.registry import FAMILY_OF, METHODS, trains_in_folder
from moa_jax.benchmark.perturbations.input_perturbations import (
    InputPerturbation,
    input_perturbations,
)
from moa_jax.benchmark.perturbations.perturbation import CLEAN
from moa_jax.benchmark.perturbations.training_perturbations import (
    TrainingPerturbation,
    training_perturbations,
)
from moa_jax.data.splits.rules import SPLIT_RULES
from moa_jax.models.experts import VIEWS
from moa_jax.schemas import InputError

CLEAN_TRAINING = TrainingPerturbation(CLEAN)
CLEAN_TEST = InputPerturbation(CLEAN)
# Method -> view of the fusion model.
FUSION_VIEWS = {method_name(view): view for view in VIEWS}
# Split rule that trains on the release of `config.data` and tests on another release.
PHASE = "phase"


@dataclasses.dataclass(frozen=True)
class SplitKey:
    """One partition of the data.

    Attributes:
      rule: name of the split rule.
      seed: seed of the folds.
      fold: number of the fold that is the test part.
      test_data: prepared folder of another release to test on; empty for the same release.
    """

    rule: str
    seed: int
    fold: int
    test_data: str = ""

    @property
    def name(self) -> str:
        """Name for files and tables, without the fold."""
        release = f"_{pathlib.PurePath(self.test_data).name}" if self.test_data else ""
        return f"{self.rule}{release}_seed{self.seed}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model to train, and the perturbations to test it under.

    Attributes:
      split: partition of the data.
      training: training perturbation.
      structure_only_compounds: also train on labelled structures without a signature.
      method: name of the method.
      seed: seed of the method.
      tests: input perturbations; the first is the clean one.
    """

    split: SplitKey
    training: TrainingPerturbation
    structure_only_compounds: bool
    method: str
    seed: int
    tests: tuple[InputPerturbation, ...]

    @property
    def folder(self) -> pathlib.PurePath:
        """Folder of this training, relative to the folder of cells or of models."""
        training = self.training.name + "_with_structures" * self.structure_only_compounds
        return pathlib.PurePath(self.split.name, f"fold{self.split.fold}", training)

    @property
    def path(self) -> pathlib.PurePath:
        """File of its predictions, relative to the folder of cells."""
        return self.folder / f"{self.method}_seed{self.seed}.npz"

    @property
    def trained_as(self) -> str:
        """The method to train: `fusion` for every view of the fusion model."""
        return "fusion" if self.method in FUSION_VIEWS else self.method

    @property
    def model(self) -> tuple[SplitKey, TrainingPerturbation, bool, str, int]:
        """Key that is equal for cells that share one trained model."""
        return (
            self.split,
            self.training,
            self.structure_only_compounds,
            self.trained_as,
            self.seed,
        )


def plan(config: ml_collections.ConfigDict) -> tuple[Cell, ...]:
    """The cells of a configuration; a cell of several blocks occurs once.

    Args:
      config: see `configs/benchmark.py`.

    Returns:
      Cells by seed, then in the order of the registry of methods, so that the first seed is
      complete first.

    Raises:
      InputError: a block names a method, rule, perturbation or level that does not exist.
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
        raise InputError("the benchmark is empty: config.blocks has no methods to run.")
    place = {method: number for number, method in enumerate([*FUSION_VIEWS, *METHODS])}
    return tuple(sorted(cells.values(), key=lambda cell: (cell.seed, place[cell.method])))


def trains_network(method: str) -> bool:
    """Whether the method trains a neural network."""
    return method in FUSION_VIEWS or (method in METHODS and trains_in_folder(method))


def family_of(method: str) -> str:
    """Family of a method: a key of the registry's families, or `external`.

    A single-modality view of the fusion model belongs to the family of that modality.
    """
    return FAMILY_OF.get(method, FUSION_VIEWS.get(method, "external"))


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
    trainings = training_perturbations(block.training.to_dict()) or (CLEAN_TRAINING,)
    tests = (CLEAN_TEST, *input_perturbations(block.test.to_dict()))
    for rule in block.splits:
        for seed in split.seeds:
            for fold in range(1 if rule == PHASE else split.num_folds):
                for training in trainings:
                    for method in block.methods:
                        for method_seed in block.seeds:
                            yield Cell(
                                split=SplitKey(rule, seed, fold, block.test_data),
                                training=training,
                                structure_only_compounds=block.structure_only_compounds,
                                method=method,
                                seed=method_seed,
                                tests=tests,
                            )


def _refuse_unknown(key: str, found: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in found:
        if name not in known:
            raise InputError(f"{key}: there is no {name!r}; expected one of {', '.join(known)}.")
