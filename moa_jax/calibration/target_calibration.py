"""Calibrated probability that a protein is a target of a compound, and what is done to it.

Fitted to leave-one-compound-out answers (`training.target_answers`). A target counts only if it is
known, so the probability is that of a *known* target: a lower bound of that of a target.

Proteins with ligands: the probability rises with the score (`rising_curve`), fitted to all pairs of
a compound and a protein that another compound is known to act on. Proteins with few ligands have a
curve of their own, because equal scores mean less there.

Proteins without ligands are scored by the graph alone. Their curve is fitted to answers
that know none of the protein's ligands, for all proteins in turn. The share of targets
among such pairs is that of proteins with ligands, far too high for a protein that nobody has found
a ligand of. The odds are therefore multiplied by a constant (Saerens 2002) so that the expected
number of new proteins among the targets of a compound is that of Good and Turing (Good 1953): the
number of proteins with one ligand, divided by the number of compounds with known targets.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special
from sklearn.linear_model import LogisticRegression

from moa_jax.calibration.rising_curve import KNOTS, RisingCurve, fit_rising_curve
from moa_jax.files import read_json, write_json
from moa_jax.schemas import InputError
from moa_jax.training.target_answers import TargetAnswers

TARGET_CALIBRATION_FILE = "target_calibration.json"
FORMAT_VERSION = 1
# Least numbers of ligands of proteins that have a curve of their own, ascending.
LIGAND_STRATA = (1, 3, 10)


@dataclasses.dataclass(frozen=True)
class TargetCalibrator:
    """How scores of proteins in one view become probabilities.

    Attributes:
      with_ligands: a curve for each stratum of `LIGAND_STRATA`.
      by_graph: the curve of proteins without ligands; None if it could not be fitted.
      action_slope: rise of the log odds of `activates` per unit of the margin.
      action_shift: these log odds at a margin of 0; None if the actions could not be fitted.
      num_compounds: compounds that it was fitted to.
    """

    with_ligands: tuple[RisingCurve, ...]
    by_graph: RisingCurve | None
    action_slope: float
    action_shift: float | None
    num_compounds: int

    def probability(
        self, scores: Float[np.ndarray, "compound gene"], num_ligands: Int[np.ndarray, " gene"]
    ) -> Float[np.ndarray, "compound gene"]:
        """Probabilities that genes are known targets; 0 where they cannot be calibrated.

        Args:
          scores: of `target_scores`.
          num_ligands: training compounds that are known to act on each gene.
        """
        stratum, probs = _stratum(num_ligands), np.zeros(scores.shape)
        for number, curve in enumerate((self.by_graph, *self.with_ligands)):
            if curve is not None:
                probs[:, stratum == number] = curve(scores[:, stratum == number])
        return probs

    def activates(self, margins: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Probability of `activates`, given that the protein is a target; NaN if not fitted."""
        if self.action_shift is None:
            return np.full(margins.shape, np.nan)
        return special.expit(self.action_slope * margins + self.action_shift)


def fit_target_calibrator(answers: TargetAnswers, num_genes: int) -> TargetCalibrator | None:
    """Fits the calibrator of a view; None without pairs to fit it to.

    Args:
      answers: leave-one-compound-out answers of the view.
      num_genes: number of gene nodes, with ligands and without.
    """
    is_target = answers.is_target
    # Ligands of the protein other than the compound itself.
    stratum = _stratum(answers.num_ligands[None] - is_target)
    pooled = _fit(answers.scores, is_target, stratum > 0)
    if pooled is None:
        return None
    own = (
        _fit(answers.scores, is_target, stratum == number + 1)
        for number in range(len(LIGAND_STRATA))
    )
    slope, shift = _fit_action(answers, stratum > 0)
    return TargetCalibrator(
        with_ligands=tuple(curve or pooled for curve in own),
        by_graph=_fit_by_graph(answers, num_genes),
        action_slope=slope,
        action_shift=shift,
        num_compounds=len(answers.groups),
    )


def _stratum(num_ligands: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    """0 without ligands, else the number of the stratum of `LIGAND_STRATA`, from 1 on."""
    return np.searchsorted(LIGAND_STRATA, num_ligands, side="right")


def _fit(
    scores: Float[np.ndarray, "compound protein"],
    is_target: Bool[np.ndarray, "compound protein"],
    counted: Bool[np.ndarray, "compound protein"],
) -> RisingCurve | None:
    """The curve of the counted pairs; None if all of them are targets, or none."""
    right = is_target[counted]
    return fit_rising_curve(scores[counted], right) if 0 < right.sum() < len(right) else None


def _fit_action(
    answers: TargetAnswers, counted: Bool[np.ndarray, "compound protein"]
) -> tuple[float, float | None]:
    """Slope and shift of the log odds of `activates` among known actions."""
    told = counted & ~np.isnan(answers.activates)
    activates = answers.activates[told] > 0
    if not 0 < activates.sum() < len(activates):
        return 0.0, None
    fitted = LogisticRegression(C=1.0).fit(answers.margins[told][:, None], activates)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _fit_by_graph(answers: TargetAnswers, num_genes: int) -> RisingCurve | None:
    """Calibration of proteins without ligands; see the module's docstring."""
    is_target = answers.is_target
    num_others = num_genes - is_target.shape[1]
    num_new = (answers.num_ligands == 1).sum() / answers.num_known
    curve = _fit(answers.without_ligands, is_target, np.ones(is_target.shape, bool))
    if curve is None or not num_new or num_others <= 0:
        return None
    simulated = is_target.mean()
    expected = min(num_new / num_others, simulated)
    return curve.shifted(float(special.logit(expected) - special.logit(simulated)))


def write_target_calibration(
    workdir: pathlib.Path, answers: Mapping[str, TargetAnswers], num_genes: int
) -> None:
    """Fits the calibrator of each view and writes those that could be fitted into a run's folder.

    Args:
      workdir: folder of the run.
      answers: view -> leave-one-compound-out answers.
      num_genes: number of gene nodes.
    """
    fitted = {view: fit_target_calibrator(own, num_genes) for view, own in answers.items()}
    views = {view: dataclasses.asdict(own) for view, own in fitted.items() if own is not None}
    write_json(
        workdir / TARGET_CALIBRATION_FILE, {"format_version": FORMAT_VERSION, "views": views}
    )


def read_target_calibration(workdir: pathlib.Path) -> dict[str, TargetCalibrator]:
    """View -> what `write_target_calibration` fitted.

    Raises:
      InputError: there is no such file, it is damaged, or has another format version.
    """
    path = workdir / TARGET_CALIBRATION_FILE
    stored = read_json(path)
    version = stored.get("format_version") if isinstance(stored, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {version}, but this program reads version "
            f"{FORMAT_VERSION}; train the run again."
        )
    try:
        return {view: _calibrator(own) for view, own in stored["views"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: it lacks or misspells {error}.") from None


def _calibrator(stored: Mapping[str, Any]) -> TargetCalibrator:
    by_graph, shift = stored["by_graph"], stored["action_shift"]
    if len(stored["with_ligands"]) != len(LIGAND_STRATA):
        raise ValueError(f"with_ligands (expected {len(LIGAND_STRATA)} curves)")
    return TargetCalibrator(
        with_ligands=tuple(map(_curve, stored["with_ligands"])),
        by_graph=None if by_graph is None else _curve(by_graph),
        action_slope=_number(stored["action_slope"]),
        action_shift=None if shift is None else _number(shift),
        num_compounds=int(stored["num_compounds"]),
    )


def _curve(stored: Mapping[str, Any]) -> RisingCurve:
    log_odds = tuple(map(_number, stored["log_odds"]))
    if len(log_odds) != len(KNOTS):
        raise ValueError(f"log_odds (expected {len(KNOTS)} of them)")
    return RisingCurve(log_odds)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a number (found {value!r})")
    return float(value)
