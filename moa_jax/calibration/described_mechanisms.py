"""Standardised scores and probabilities of mechanisms that are described by their targets.

A run's folder keeps what they need: scores of left-out mechanisms (`unseen_scores.parquet`), and
evidence for proteins of some training compounds (`unseen_evidence.parquet`).
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import optimize, special

from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.schemas import InputError
from moa_jax.training.unseen_mechanisms import SCORE_COLUMNS, UnseenAnswers

SCORES_FILE, EVIDENCE_FILE = "unseen_scores.parquet", "unseen_evidence.parquet"
_EVIDENCE_COLUMNS = ("view", "pairs")


def write_unseen(workdir: pathlib.Path, answers: UnseenAnswers) -> None:
    """Writes what described mechanisms are calibrated on into a run's folder."""
    evidence = [
        {"view": view, "pairs": row} for view, rows in answers.evidence.items() for row in rows
    ]
    table = pd.DataFrame(evidence, columns=list(_EVIDENCE_COLUMNS))
    with atomic_path(workdir / EVIDENCE_FILE) as temporary:
        write_table(temporary, table, _EVIDENCE_COLUMNS)
    with atomic_path(workdir / SCORES_FILE) as temporary:
        write_table(temporary, answers.scores, SCORE_COLUMNS)


def read_unseen(workdir: pathlib.Path) -> UnseenAnswers:
    """Reads what `write_unseen` wrote.

    Raises:
      InputError: the run has none, or a file is damaged.
    """
    if not (workdir / SCORES_FILE).exists():
        raise InputError(
            f"{workdir} has no scores of left-out mechanisms, so described mechanisms cannot be "
            "answered; train it again with signature_proteins or structure_proteins among "
            "config.model.experts and no networks."
        )
    table = read_table(workdir / EVIDENCE_FILE, _EVIDENCE_COLUMNS)
    evidence = {
        str(view): np.array(rows["pairs"].tolist(), np.float32)
        for view, rows in table.groupby("view", sort=False)
    }
    return UnseenAnswers(read_table(workdir / SCORES_FILE, SCORE_COLUMNS), evidence)


@dataclasses.dataclass(frozen=True)
class ScoreCalibration:
    """The probability of a score: logistic regression (Platt 1999) on its inverse hyperbolic sine.

    Scores of left-out mechanisms reach 60 standard deviations, and regression on the scores
    themselves would state too much for such. The inverse hyperbolic sine is linear for small scores
    and logarithmic for large ones.

    Attributes:
      slope: not negative, so that the order stays.
      shift: its prevalence is that of the compounds that it was fitted to.
    """

    slope: float
    shift: float

    def __call__(self, scores: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Probabilities of standardised scores."""
        return special.expit(self.slope * np.arcsinh(scores) + self.shift)


def fit_score_calibration(
    scores: Float[np.ndarray, " pair"],
    is_right: Float[np.ndarray, " pair"],
    weight: Float[np.ndarray, " pair"],
) -> ScoreCalibration | None:
    """The calibration of greatest likelihood over pairs of compound and mechanism.

    Args:
      scores: standardised scores.
      is_right: 1 where the compound has the mechanism, else 0.
      weight: number of pairs that each stands for.

    Returns:
      None where no pair is right, or none is wrong.
    """
    share = float(np.average(is_right, weights=weight)) if len(weight) else 0.0
    if not 0 < share < 1:
        return None

    inputs = np.arcsinh(scores)

    def loss(params: Float[np.ndarray, " 2"]) -> tuple[float, Float[np.ndarray, " 2"]]:
        logits = params[0] * inputs + params[1]
        value = np.average(np.logaddexp(0, logits) - is_right * logits, weights=weight)
        error = (special.expit(logits) - is_right) * weight / weight.sum()
        return float(value), np.array([error @ inputs, error.sum()])

    start = np.array([0.5, special.logit(share)])
    fitted = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return ScoreCalibration(*map(float, fitted.x))


def fit_by_view(
    scores: pd.DataFrame,
) -> dict[tuple[str, str], ScoreCalibration]:
    """(View, protocol) -> its calibration, for those that have right and wrong pairs.

    Args:
      scores: `UnseenAnswers.scores`.
    """
    fitted = {}
    for (view, protocol), rows in scores.groupby(["view", "protocol"], sort=False):
        columns = (rows[name].to_numpy(np.float64) for name in ("score", "is_right", "weight"))
        if (calibration := fit_score_calibration(*columns)) is not None:
            fitted[str(view), str(protocol)] = calibration
    return fitted
