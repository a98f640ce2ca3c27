"""Calibrated answers for compounds that a model was not trained on.

Two sources: a run's held-out compounds, fold after fold, and its leave-one-compound-out answers
(`kernels.leave_one_out`).
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from moa_jax.calibration.calibration_store import (
    CalibrationAnswers,
    read_calibration_store,
    read_held_out,
)
from moa_jax.calibration.calibrator import CalibratedAnswers, fit_calibrator
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.kernels.references import read_references
from moa_jax.schemas import InputError
from moa_jax.training.runs.predictor import Predictor
from moa_jax.training.runs.run_folder import open_run
from moa_jax.training.sharding import replicate

# Number of folds for the calibration of leave-one-compound-out answers.
NUM_PARTS = 5


@dataclasses.dataclass(frozen=True)
class UnseenCompounds:
    """Answers in one view for compounds that the model was not trained on.

    Attributes:
      moas: the vocabulary.
      groups: compound group of each row, once for each split.
      names: name of each compound.
      labels: whether the compound has the mechanism.
      support: number of training compounds with the mechanism.
      probs: uncalibrated probabilities.
      calibrated: calibrated answers.
    """

    moas: tuple[str, ...]
    groups: tuple[str, ...]
    names: tuple[str, ...]
    labels: Bool[np.ndarray, "compound moa"]
    support: Int[np.ndarray, "compound moa"]
    probs: Float[np.ndarray, "compound moa"]
    calibrated: CalibratedAnswers

    @property
    def is_learnable(self) -> Bool[np.ndarray, " compound"]:
        """Whether a training compound has one of the compound's mechanisms."""
        return (self.labels & (self.support > 0)).any(axis=1)

    @property
    def best_support(self) -> Int[np.ndarray, " compound"]:
        """Support of the compound's best-supported mechanism."""
        return np.where(self.labels, self.support, 0).max(axis=1)

    @functools.cached_property
    def first(self) -> Int[np.ndarray, " compound"]:
        """Column of the most probable mechanism."""
        return self.calibrated.probs.argmax(axis=1)

    @property
    def is_right(self) -> Bool[np.ndarray, " compound"]:
        """Whether the most probable mechanism is one of the compound's, and in training."""
        rows = np.arange(len(self.first))
        return self.labels[rows, self.first] & (self.support[rows, self.first] > 0)

    def take(
        self, rows: Int[np.ndarray, " row"] | Bool[np.ndarray, " compound"]
    ) -> UnseenCompounds:
        """Some of the compounds."""
        rows = np.arange(len(self.groups))[rows]
        return dataclasses.replace(
            self,
            groups=tuple(self.groups[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            labels=self.labels[rows],
            support=self.support[rows],
            probs=self.probs[rows],
            calibrated=CalibratedAnswers(
                **{name: own[rows] for name, own in vars(self.calibrated).items()}
            ),
        )


def joined(parts: Sequence[UnseenCompounds]) -> UnseenCompounds:
    """The compounds of several runs over one vocabulary, one run after the other."""
    arrays = ("labels", "support", "probs")
    return UnseenCompounds(
        moas=parts[0].moas,
        groups=sum((part.groups for part in parts), ()),
        names=sum((part.names for part in parts), ()),
        calibrated=CalibratedAnswers(
            **{
                field.name: np.concatenate([getattr(part.calibrated, field.name) for part in parts])
                for field in dataclasses.fields(CalibratedAnswers)
            }
        ),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
    )


def held_out_answers(
    folder: pathlib.Path, *, as_it_comes: bool = True, without: str | None = None
) -> dict[str, UnseenCompounds]:
    """View -> a run's answers for the compounds that it held out.

    Args:
      folder: of the run.
      without: an expert whose part is left out. The uncalibrated answers are then those of the
        model without it; calibration is not, because it is fitted to the answers with it.
      as_it_comes: calibrate on compounds of any mechanism, as `predict` does; otherwise on those
        with a mechanism of the vocabulary, which all these held-out compounds have.

    Raises:
      InputError: the calibration store has too few compounds.
    """
    predictor = open_run(folder, num_devices=1).predictor
    if without is not None:
        predictor = _without(predictor, without)
    moas = predictor.features.moas
    examples, kept = read_held_out(folder, moas), read_calibration_store(folder, moas)
    names = dict(zip(examples.groups, examples.table["compound"], strict=True))
    support = training_compounds(folder, moas)
    found = {}
    for view, probs in predictor.predict(examples).items():
        pooled, labels, groups = pool_by_compound(
            probs.astype(np.float64), examples.labels, examples.groups
        )
        own = kept[view]
        is_learnable = own.is_learnable if as_it_comes else None
        found[view] = UnseenCompounds(
            moas=moas,
            groups=groups,
            names=tuple(names[group] for group in groups),
            labels=labels > 0,
            support=np.tile(support, (len(groups), 1)),
            probs=pooled,
            calibrated=fit_calibrator(own.probs, own.labels, is_learnable).calibrate(pooled),
        )
    return found


def _without(predictor: Predictor, expert: str) -> Predictor:
    """The predictor with a scale of 0 for an expert.

    Raises:
      InputError: the model has no such expert.
    """
    experts = predictor.task.model.experts
    if expert not in experts:
        raise InputError(f"the model has no expert {expert}; it has {', '.join(experts)}.")
    scales = np.array(predictor.params["expert_scales"])
    scales[:, experts.index(expert)] = 0.0
    return dataclasses.replace(
        predictor, params={**predictor.params, "expert_scales": replicate(scales, predictor.mesh)}
    )


def left_out_answers(folder: pathlib.Path) -> dict[str, UnseenCompounds]:
    """View -> a run's leave-one-compound-out answers, calibrated on other compounds.

    Raises:
      InputError: the calibration store has too few compounds.
    """
    moas = open_run(folder, num_devices=1).predictor.features.moas
    table = read_references(folder)
    names = dict(zip(table["group"], table["compound"], strict=True))
    support = training_compounds(folder, moas)
    return {
        view: UnseenCompounds(
            moas=moas,
            groups=kept.groups,
            names=tuple(names.get(group, group) for group in kept.groups),
            labels=kept.labels > 0,
            support=np.maximum(support - (kept.labels > 0), 0),
            probs=kept.probs,
            calibrated=calibrated_by_others(kept),
        )
        for view, kept in read_calibration_store(folder, moas).items()
    }


def calibrated_by_others(
    kept: CalibrationAnswers, *, num_parts: int = NUM_PARTS, seed: int = 0
) -> CalibratedAnswers:
    """Calibrates the answers of each fold of a calibration store on the other folds.

    Raises:
      InputError: a fold's mechanisms are only those of its own compounds.
    """
    num_parts = min(num_parts, len(kept.groups))
    part = np.random.default_rng(seed).permutation(len(kept.groups)) % num_parts
    order, found = [], []
    for number in range(num_parts):
        others, own = part != number, np.flatnonzero(part == number)
        calibrator = fit_calibrator(
            kept.probs[others], kept.labels[others], kept.is_learnable[others]
        )
        order.append(own)
        found.append(calibrator.calibrate(kept.probs[own]))
    back = np.argsort(np.concatenate(order))
    return CalibratedAnswers(
        **{
            field.name: np.concatenate([getattr(own, field.name) for own in found])[back]
            for field in dataclasses.fields(CalibratedAnswers)
        }
    )


def training_compounds(folder: pathlib.Path, moas: tuple[str, ...]) -> Int[np.ndarray, " moa"]:
    """Number of reference compounds with each mechanism, in any modality."""
    table = read_references(folder)[["group", "moas"]].explode("moas").dropna()
    counts = table.groupby("moas")["group"].nunique()
    return counts.reindex(list(moas), fill_value=0).to_numpy(int)
