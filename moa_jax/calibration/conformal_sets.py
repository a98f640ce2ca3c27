"""Sets of MoAs that hold all of a compound's true ones with a stated frequency.

Split conformal prediction (Vovk 2005; Papadopoulos 2002) over crepes. The unit is the compound
and it has one nonconformity score, that of its least probable true MoA: a set that admits this
score holds all of the compound's MoAs. Validity needs validation and test compounds to be
exchangeable, which `compound` splits give and `scaffold`, `phase` and `unseen_moa` do not.
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
        """For each MoA the share of calibration compounds that are no more at ease with theirs."""
        scores = 1 - probs.astype(np.float64)
        # Scores between the same two of the calibration have the same p-value. Without smoothing
        # nothing is random, and sets are never too small.
        steps = np.append(np.sort(self.classifier.alphas), np.inf)
        p_of_step = self.classifier.predict_p(steps[:, None], smoothing=False)[:, 0]
        return p_of_step[np.searchsorted(steps, scores)]

    def predict(self, probs: Probs, error_rate: float) -> Bool[np.ndarray, "example moa"]:
        """The MoAs that cannot be ruled out: a set misses a true MoA in `error_rate` of compounds.

        Where too few compounds calibrate for so small an error rate, every set is full.

        Raises:
          InputError: the error rate is not between 0 and 1.
        """
        if not 0 < error_rate < 1:
            raise InputError(f"the error rate is {error_rate}; expected a number between 0 and 1.")
        return self.p_values(probs) > error_rate


def calibrate_label_sets(probs: Probs, labels: Labels) -> LabelSets:
    """Calibrates label sets on labelled validation compounds, which no model learnt from.

    Args:
      probs: probabilities of compounds; any scores that rank MoAs across compounds will do.
      labels: labels of the same compounds; unlabelled ones are left out.

    Raises:
      InputError: no compound is labelled.
    """
    positive = labels > 0
    counted = positive.any(axis=1)
    if not counted.any():
        raise InputError(
            f"the label sets found no labelled compound among {len(labels)} to calibrate on; "
            "they need at least one."
        )
    scores = np.where(positive, 1 - probs.astype(np.float64), -np.inf)[counted].max(axis=1)
    return LabelSets(ConformalClassifier().fit(scores))


def set_quality(sets: Bool[np.ndarray, "example moa"], labels: Labels) -> dict[str, float]:
    """What label sets keep of their promise, and what they are worth.

    Returns:
      `coverage`: share of labelled compounds whose set holds all of their MoAs; `label_coverage`:
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
