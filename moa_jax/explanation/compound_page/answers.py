"""The answers that are explained: the examples each rests on, its MoA and runner-up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from moa_jax.calibration.calibrator import CalibratedAnswers, Calibrator
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.predictions.answered_examples import AnsweredExamples
from moa_jax.predictions.known_compounds import training_counts
from moa_jax.schemas import Examples


@dataclasses.dataclass(frozen=True)
class CompoundAnswer:
    """The model's answer for one compound.

    Attributes:
      group: its compound group.
      rows: the examples that are explained.
      probs: pooled probabilities, uncalibrated.
      labels: 1 where the compound has the MoA.
      of_signatures: probabilities of each example.
      weights: weight of each example in the answer.
      view: the view of the answer.
      calibrator: the calibration of that view.
      calibrated: the calibrated prediction; None if there is nothing to answer from.
      num_compounds: training compounds that have each MoA.
      row: the row of `Answers.table`.
      moa: the MoA that is explained.
      runner_up: the second MoA; the same as `moa` if the model knows no other.
    """

    group: str
    rows: Int[np.ndarray, " signature"]
    probs: Float[np.ndarray, " moa"]
    labels: Float[np.ndarray, " moa"]
    of_signatures: Float[np.ndarray, "signature moa"]
    weights: Float[np.ndarray, " signature"]
    view: str
    calibrator: Calibrator
    calibrated: CalibratedAnswers | None
    num_compounds: Int[np.ndarray, " moa"]
    row: pd.Series
    moa: int
    runner_up: int

    @property
    def has_runner_up(self) -> bool:
        """Whether the model knows another MoA."""
        return self.runner_up != self.moa


def compound_answers(
    answered: AnsweredExamples,
) -> tuple[Examples, EncodedExamples, list[CompoundAnswer]]:
    """The answer for every compound with the examples that explain it.

    Args:
      answered: signatures, or structures without expression, and their answers.

    Returns:
      The examples that the answers rest on, the same encoded, and one answer per compound group, in
      their order. A compound that is answered from its structure alone has one example without
      expression; one that cannot be answered has all its signatures.
    """
    examples, basis = answered.examples, answered.answers.basis
    probs = answered.views["fusion"].astype(np.float64)
    raw, labels, _ = pool_by_compound(probs, examples.labels, examples.groups)
    # Without an answer, the mean over all signatures is explained.
    pooled = np.where(np.isnan(basis.pooled), raw, basis.pooled)
    rows, shown, encoded = _answered_from(answered)
    groups = np.array(shown.groups)
    counts = training_counts(answered.mechanisms)
    found = []
    for number, (group, view) in enumerate(zip(basis.groups, basis.views, strict=True)):
        own = np.flatnonzero(groups == group)
        row = answered.answers.table.iloc[number]
        moa, runner_up = _first_two(pooled[number], row, examples.moas)
        calibrator = answered.calibrators[view or "expression"]
        found.append(
            CompoundAnswer(
                group=group,
                rows=own,
                probs=pooled[number],
                labels=labels[number],
                of_signatures=probs[rows[own]],
                weights=basis.weights[rows[own]],
                view=view or "expression",
                calibrator=calibrator,
                calibrated=None if view is None else calibrator.calibrate(pooled[[number]]),
                num_compounds=counts,
                row=row,
                moa=moa,
                runner_up=runner_up,
            )
        )
    return shown, encoded, found


def _answered_from(
    answered: AnsweredExamples,
) -> tuple[Int[np.ndarray, " row"], Examples, EncodedExamples]:
    """The rows that are explained, their examples, and these encoded."""
    examples, basis = answered.examples, answered.answers.basis
    unit = np.searchsorted(np.array(basis.groups), np.array(examples.groups))
    views = np.array(basis.views, object)[unit]
    of_structure = (views == "structure") & examples.has_structure
    _, first = np.unique(np.where(of_structure, unit, -1), return_index=True)
    is_first = np.isin(np.arange(len(unit)), first)
    of_nothing = np.array([view is None for view in views], bool)
    rows = np.flatnonzero(basis.used | (of_structure & is_first) | of_nothing)
    has_expression = (examples.has_expression & ~of_structure)[rows]
    shown = dataclasses.replace(examples.take(rows), has_expression=has_expression)
    encoded = answered.encoded.take(rows)
    expression = np.where(has_expression[:, None], encoded.expression, np.float32(0))
    return (
        rows,
        shown,
        dataclasses.replace(encoded, expression=expression, has_expression=has_expression),
    )


def _first_two(
    pooled: Float[np.ndarray, " moa"], row: pd.Series, moas: tuple[str, ...]
) -> tuple[int, int]:
    """The first two MoAs of an answer, or of the model if there is no answer."""
    order = np.argsort(-pooled, kind="stable")
    first, second = int(order[0]), int(order[min(1, len(order) - 1)])
    if not pd.isna(row["moa_1"]):
        first = moas.index(row["moa_1"])
        second = first if pd.isna(row["moa_2"]) else moas.index(row["moa_2"])
    return first, second
