"""From a configuration to a loss and to an objective."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections

from moa_jax.schemas import InputError
from moa_jax.training.losses.co_teaching import CoTeaching, CoTeachingObjective
from moa_jax.training.losses.early_learning import EarlyLearning, EarlyLearningObjective
from moa_jax.training.losses.noise_correction import FlipCorrection, TransitionCorrection
from moa_jax.training.losses.objectives import Loss, Objective, PlainObjective, SelfPaced
from moa_jax.training.losses.robust import (
    Asymmetric,
    Focal,
    GeneralisedCrossEntropy,
    HardBootstrapping,
    LabelSmoothing,
    SoftBootstrapping,
    SymmetricCrossEntropy,
)
from moa_jax.training.losses.sigmoid import BinaryCrossEntropy, RobustLoss, WeightedPositives
from moa_jax.training.losses.softmax import label_distribution_cross_entropy

# Name of `label_distribution_cross_entropy` in a configuration.
LABEL_DISTRIBUTION = "label_distribution"
# Name -> loss with a sigmoid per MoA, in the order in which tables list them.
SIGMOID_LOSSES: dict[str, type[RobustLoss]] = {
    loss.NAME: loss
    for loss in (
        BinaryCrossEntropy,
        Focal,
        Asymmetric,
        GeneralisedCrossEntropy,
        SymmetricCrossEntropy,
        LabelSmoothing,
        SoftBootstrapping,
        HardBootstrapping,
        FlipCorrection,
        TransitionCorrection,
    )
}
LOSSES = (LABEL_DISTRIBUTION, *SIGMOID_LOSSES, EarlyLearning.NAME)


def make_loss(config: ml_collections.ConfigDict) -> Loss | EarlyLearning:
    """The loss of a configuration's `training.loss`.

    Args:
      config: `name`, one of `LOSSES`, and settings of that loss that differ from their defaults;
        a loss with a sigmoid per MoA also has `positive_weight`, see `WeightedPositives`.

    Raises:
      InputError: the loss or a setting does not exist, or a value is out of range.
    """
    frozen = ml_collections.FrozenConfigDict(config)
    settings = {key: _floats(value) for key, value in frozen.items()}
    name = settings.pop("name", None)
    if name not in LOSSES:
        raise InputError(
            f"config.training.loss.name is {name!r}, expected one of {', '.join(LOSSES)}."
        )
    kind = EarlyLearning if name == EarlyLearning.NAME else SIGMOID_LOSSES.get(name)
    known = set()
    if kind is not None:
        known = {field.name for field in dataclasses.fields(kind)} - {"loss"} | {"positive_weight"}
    if unknown := sorted(set(settings) - known):
        raise InputError(
            f"config.training.loss has {unknown[0]}, but the loss {name} has "
            f"{'the settings ' + ', '.join(sorted(known)) if known else 'no settings'}."
        )
    if kind is None:
        return label_distribution_cross_entropy
    weight = {"weight": settings.pop("positive_weight")} if "positive_weight" in settings else {}
    if kind is EarlyLearning:
        return EarlyLearning(WeightedPositives(BinaryCrossEntropy(), **weight), **settings)
    return WeightedPositives(kind(**settings), **weight)


def make_objective(config: ml_collections.FrozenConfigDict) -> Objective:
    """The training objective of a configuration.

    Args:
      config: `training` of a configuration; see `configs/networks.py`: `loss`, `co_teaching`,
        `curriculum`, `mix_up_alpha` and `num_steps`.

    Raises:
      InputError: there is no such loss, a setting is out of its range, or two settings exclude
        each other.
    """
    loss, teaching, curriculum = make_loss(config.loss), config.co_teaching, config.curriculum
    for key, share in (
        ("co_teaching.forget_rate", teaching.forget_rate),
        ("co_teaching.gradual_fraction", teaching.gradual_fraction),
        ("curriculum.first_share", curriculum.first_share),
        ("curriculum.gradual_fraction", curriculum.gradual_fraction),
    ):
        if not 0.0 <= share <= 1.0:
            raise InputError(f"config.training.{key} is {share}, expected a number from 0 to 1.")
    if config.mix_up_alpha < 0:
        raise InputError(
            f"config.training.mix_up_alpha is {config.mix_up_alpha}, expected 0 or more."
        )
    _refuse_two_at_once(
        {
            "co_teaching.enabled": teaching.enabled,
            "curriculum.first_share below 1": curriculum.first_share < 1.0,
            f"loss.name={EarlyLearning.NAME}": isinstance(loss, EarlyLearning),
            "mix_up_alpha above 0": config.mix_up_alpha > 0,
        }
    )
    if isinstance(loss, EarlyLearning):
        return EarlyLearningObjective(loss)
    if teaching.enabled:
        num_gradual = round(teaching.gradual_fraction * config.num_steps)
        return CoTeachingObjective(
            loss, CoTeaching(teaching.forget_rate, num_gradual, teaching.on_disagreement)
        )
    if curriculum.first_share < 1.0:
        num_gradual = round(curriculum.gradual_fraction * config.num_steps)
        return PlainObjective(loss, SelfPaced(curriculum.first_share, num_gradual))
    return PlainObjective(loss)


def _refuse_two_at_once(used: Mapping[str, bool]) -> None:
    chosen = [name for name, is_used in used.items() if is_used]
    if len(chosen) > 1:
        raise InputError(f"config.training has {' and '.join(chosen)}, which cannot be combined.")


def _floats(value: Any) -> Any:
    """The value with floats in place of integers, also inside tuples."""
    if isinstance(value, tuple):
        return tuple(map(_floats, value))
    return float(value) if isinstance(value, int) else value
