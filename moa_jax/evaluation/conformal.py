"""Sets of MoAs that hold all of a compound's true ones with a stated frequency.

Split conformal prediction (Vovk 2005; Papadopoulos 2002) over crepes. The unit is the compound
and it has one nonconformity score, that of its least probable true MoA: a set that admits this
score holds all of the compound's MoAs. Validity needs validation and test compounds to be
exchangeable, which `compound` splits give and `scaffold`, `phase` and `unseen_moa` do not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from crepes import ConformalClassifier
from jaxtyping import Bool, Float

from moa_jax.evaluation.metrics import ExampleMask, Labels, Probs
from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class LabelSets:
    """A calibrated predictor of label sets.

    Attributes:
      classifier: nonconformity scores of the calibration compounds, by stratum if there is one.
      by_stratum: each stratum has its own threshold (Mondrian; Vovk 2005, section 4.5).
    """

    classifier: ConformalClassifier
    by_stratum: bool

    def p_values(
        self, probs: Probs, strata: Sequence[str] | None = None
    ) -> Float[np.ndarray, "example moa"]:
        """For each MoA the share of calibration compounds that are no more at ease with theirs.

        Args:
          probs: probabilities of compounds.
          strata: stratum of each compound, if the calibration had strata; one that it has never
            seen gets p-values of 1, which rule nothing out.

        Raises:
          InputError: strata are given to a calibration without, or the reverse.
        """
        if (strata is not None) != self.by_stratum:
            needs = "needs the stratum of" if self.by_stratum else "knows no strata, found one for"
            raise InputError(f"the calibration of the label sets {needs} each compound.")
        scores = 1 - probs.astype(np.float64)
        # Without smoothing nothing is random, and sets are never too small.
        if strata is not None:
            bins = np.asarray(strata, dtype=str)
            return self.classifier.predict_p(scores, bins=bins, smoothing=False)
        # Scores between the same two of the calibration have the same p-value.
        steps = np.append(np.sort(self.classifier.alphas), np.inf)
        p_of_step = self.classifier.predict_p(steps[:, None], smoothing=False)[:, 0]
        return p_of_step[np.searchsorted(steps, scores)]

    def predict(
        self, probs: Probs, error_rate: float, strata: Sequence[str] | None = None
    ) -> Bool[np.ndarray, "example moa"]:
        """The MoAs that cannot be ruled out: a set misses a true MoA in `error_rate` of compounds.

        Where too few compounds calibrate for so small an error rate, every set is full.

        Raises:
          InputError: see `p_values`, or the error rate is not between 0 and 1.
        """
        if not 0 < error_rate < 1:
            raise InputError(f"the error rate is {error_rate}; expected a number between 0 and 1.")
        return self.p_values(probs, strata) > error_rate


def calibrate_label_sets(
    probs: Probs,
    labels: Labels,
    strata: Sequence[str] | None = None,
    *,
    example_mask: ExampleMask | None = None,
) -> LabelSets:
    """Calibrates label sets on labelled validation compounds, which no model learnt from.

    Args:
      probs: probabilities of compounds; any scores that rank MoAs across compounds will do.
      labels: labels of the same compounds; unlabelled ones are left out.
      strata: stratum of each compound, for a threshold each.
      example_mask: false for padding.

    Raises:
      InputError: no compound is labelled.
    """
    positive = labels > 0
    counted = positive.any(axis=1) if example_mask is None else positive.any(axis=1) & example_mask
    if not counted.any():
        raise InputError(
            f"the label sets found no labelled compound among {len(labels)} to calibrate on; "
            "they need at least one."
        )
    scores = np.where(positive, 1 - probs.astype(np.float64), -np.inf)[counted].max(axis=1)
    bins = None if strata is None else np.asarray(strata, dtype=str)[counted]
    return LabelSets(ConformalClassifier().fit(scores, bins=bins), by_stratum=strata is not None)


def set_quality(
    sets: Bool[np.ndarray, "example moa"], labels: Labels, example_mask: ExampleMask | None = None
) -> dict[str, float]:
    """What label sets keep of their promise, and what they are worth.

    Returns:
      `coverage`: share of labelled compounds whose set holds all of their MoAs; `label_coverage`:
      share of true MoAs in their sets; `mean_size` and `median_size` of the sets; `single`: share
      of sets with one MoA; `empty`: share without any.
    """
    labelled = (labels > 0).any(axis=1)
    counted = labelled if example_mask is None else labelled & example_mask
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
