"""Conformal prediction sets: sets of MoAs that contain all true ones at a stated rate.

Split conformal prediction (Vovk 2005; Papadopoulos 2002) with crepes. A compound has one
nonconformity score, that of its least probable true MoA: a set that admits this score contains all
of the compound's MoAs. Validity needs exchangeable validation and test compounds, as in `compound`
splits, but not in `scaffold`, `phase` and `unseen_moa`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from crepes import ConformalClassifier
from jaxtyping import Bool, Float

from moa_jax.evaluation.metrics import Labels, Probs
from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class LabelSets:
    """A calibrated predictor of label sets.

    Attributes:
      classifier: nonconformity scores of the calibration compounds.
    """

    classifier: ConformalClassifier

    def p_values(self, probs: Probs) -> Float[np.ndarray, "example moa"]:
        """Conformal p-value of each MoA: share of calibration compounds with no smaller score."""
        scores = 1 - probs.astype(np.float64)
        # p-values change only at calibration scores. Without smoothing they are deterministic and
        # sets are never too small.
        steps = np.append(np.sort(self.classifier.alphas), np.inf)
        p_of_step = self.classifier.predict_p(steps[:, None], smoothing=False)[:, 0]
        return p_of_step[np.searchsorted(steps, scores)]

    def predict(self, probs: Probs, error_rate: float) -> Bool[np.ndarray, "example moa"]:
        """Sets that miss a true MoA for at most `error_rate` of compounds.

        Sets are full if there are too few calibration compounds for the error rate.

        Raises:
          InputError: the error rate is not between 0 and 1.
        """
        if not 0 < error_rate < 1:
            raise InputError(f"the error rate is {error_rate}; expected a number between 0 and 1.")
        return self.p_values(probs) > error_rate


def calibrate_label_sets(probs: Probs, labels: Labels) -> LabelSets:
    """Calibrates label sets on labelled compounds that the model was not trained on.

    Args:
      probs: probabilities, or other scores that are comparable across compounds.
      labels: labels of the same compounds; unlabelled ones are ignored.

    Raises:
      InputError: no compound is labelled.
    """
    positive = labels > 0
    counted = positive.any(axis=1)
    if not counted.any():
        raise InputError(
            f"there is no labelled compound among {len(labels)} to calibrate label sets on."
        )
    scores = np.where(positive, 1 - probs.astype(np.float64), -np.inf)[counted].max(axis=1)
    return LabelSets(ConformalClassifier().fit(scores))


def set_quality(sets: Bool[np.ndarray, "example moa"], labels: Labels) -> dict[str, float]:
    """Coverage and size of label sets.

    Returns:
      `coverage`: share of labelled compounds whose set contains all their MoAs; `label_coverage`:
      share of true MoAs in their sets; `mean_size` and `median_size` of the sets; `single`: share
      of sets with one MoA; `empty`: share without any.
    """
    counted = (labels > 0).any(axis=1)
    names = ("coverage", "label_coverage", "mean_size", "median_size", "single", "empty")
    if not counted.any():
        return dict.fromkeys(names, float("nan"))
    sets, positive = sets[counted], labels[counted] > 0
    size = sets.sum(axis=1)
    values = (
        (sets | ~positive).all(axis=1).mean(),
        sets[positive].mean(),
        size.mean(),
        np.median(size),
        (size == 1).mean(),
        (size == 0).mean(),
    )
    return dict(zip(names, map(float, values), strict=True))
