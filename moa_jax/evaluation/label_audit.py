"""Which MoA labels look wrong: confident learning from out-of-fold predictions.

Confident learning (Northcutt 2021, JAIR 70) assumes one label per example. In its multi-label form
every MoA is a binary problem, absent (0) with probability 1 - p and present (1) with probability p
(Thyagarajan 2022). A label is a pair of compound and MoA: a `label doubted` is present but may be
wrong, a `label missing` is absent but may be right.

All functions take out-of-fold `probs` and `labels`, with one row per compound and one column per
MoA.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.evaluation.metrics import Labels, Probs
from moa_jax.schemas import InputError

DOUBTED, MISSING = "label doubted", "label missing"
SCORES = ("normalised_margin", "self_confidence")
# Neither value is confident.
UNDECIDED = -1

# The mean of equal numbers may exceed them by a rounding error.
_ROUNDING = 1e-9


def confident_thresholds(probs: Probs, labels: Labels) -> Float[np.ndarray, "moa value"]:
    """Mean self-confidence of each value of each MoA's labels (t_j of Northcutt 2021, section 3.1).

    Returns:
      For each MoA the mean of 1 - p over compounds without it, and of p over compounds with it;
      NaN where there is no such compound.
    """
    probs, carries = probs.astype(np.float64), labels > 0
    thresholds = np.full((probs.shape[1], 2), np.nan)
    for value, (confidence, given) in enumerate(((1 - probs, ~carries), (probs, carries))):
        count = given.sum(axis=0)
        total = np.where(given, confidence, 0.0).sum(axis=0)
        np.divide(total, count, out=thresholds[:, value], where=count > 0)
    return thresholds


def confident_values(probs: Probs, labels: Labels) -> Int[np.ndarray, "example moa"]:
    """The value of each label that the model is confident of: 0, 1 or `UNDECIDED`.

    A value is confident if its probability reaches the threshold; of two, the more probable one.
    """
    absent, present = confident_thresholds(probs, labels).T - _ROUNDING
    probs = probs.astype(np.float64)
    could_be_absent, could_be_present = 1 - probs >= absent, probs >= present
    both = could_be_absent & could_be_present
    values = np.where(could_be_present, 1, np.where(could_be_absent, 0, UNDECIDED))
    return np.where(both, probs > 0.5, values)


def is_contradicted(probs: Probs, labels: Labels) -> Bool[np.ndarray, "example moa"]:
    """Whether the model is confident of the other value (off-diagonal in the confident joint)."""
    values = confident_values(probs, labels)
    return (values != UNDECIDED) & (values != (labels > 0))


def confident_joint(probs: Probs, labels: Labels) -> Int[np.ndarray, "moa given value"]:
    """For each MoA the number of labels by given and by confident value.

    C of Northcutt 2021, section 3.1. Labels without a confident value are not counted.
    """
    values, carries = confident_values(probs, labels), labels > 0
    counts = [
        [((carries == given) & (values == value)).sum(axis=0) for value in (False, True)]
        for given in (False, True)
    ]
    return np.moveaxis(np.array(counts), 2, 0)


def estimated_errors(probs: Probs, labels: Labels) -> Float[np.ndarray, "moa kind"]:
    """Estimated number of wrong labels of each MoA: missing ones, and ones carried wrongly.

    The rows of the confident joint are scaled to the numbers of labels that were given
    (Northcutt 2021, section 3.1; counts instead of shares). A value of which no label is counted
    is taken to have no errors.
    """
    joint = confident_joint(probs, labels)
    off_diagonal = np.stack([joint[:, 0, 1], joint[:, 1, 0]], axis=1)
    counted = joint.sum(axis=2)
    num_carriers = (labels > 0).sum(axis=0)
    given = np.stack([len(labels) - num_carriers, num_carriers], axis=1)
    rate = np.divide(off_diagonal, counted, out=np.zeros(counted.shape), where=counted > 0)
    return given * rate


def suspicion(
    probs: Probs, labels: Labels, score: str = "normalised_margin"
) -> Float[np.ndarray, "example moa"]:
    """How suspicious each label is; higher values are more likely wrong.

    Args:
      probs: out-of-fold probabilities.
      labels: given labels.
      score: one of `SCORES`.
        `self_confidence`: 1 - probability of the given value. With two classes, Northcutt's
          normalised margin orders labels in the same way.
        `normalised_margin`: for a given MoA, the largest probability of an MoA that is not given
          minus its own; for one that is not given, its own minus the largest of a given one. For
          one label per compound the former is the negated normalised margin of Northcutt (2021).
          It stays low for a compound whose MoA is merely hard to predict.

    Raises:
      InputError: there is no such score.
    """
    if score not in SCORES:
        raise InputError(f"there is no score {score!r}; the scores are {', '.join(SCORES)}.")
    carries = labels > 0
    if score == "self_confidence":
        return np.where(carries, 1 - probs, probs)
    own = np.where(carries, probs, 0.0).max(axis=1, initial=0.0, keepdims=True)
    other = np.where(carries, 0.0, probs).max(axis=1, initial=0.0, keepdims=True)
    return np.where(carries, other - probs, probs - own)


def suspicious_labels(
    probs: Probs,
    labels: Labels,
    compounds: Sequence[str],
    moas: Sequence[str],
    *,
    score: str = "normalised_margin",
    of: Bool[np.ndarray, " example"] | None = None,
) -> pd.DataFrame:
    """The labels that the model contradicts, the most suspicious first.

    It contradicts a label if it is confident of the other value or the normalised margin is
    positive. Ties keep the order of compounds and MoAs.

    Args:
      probs: out-of-fold probabilities.
      labels: given labels.
      compounds: name of each row.
      moas: name of each column.
      score: the score that ranks the labels, one of `SCORES`.
      of: rows whose labels are returned; None for all. Thresholds are fitted to all rows.

    Returns:
      One row per label: `compound`, `labels` (of the compound, separated by `|`), `moa`, `kind`
      (`DOUBTED` or `MISSING`), `score`, `confident` (see `is_contradicted`), `prob` of the MoA,
      and `instead` with `instead_prob`: for a missing label the MoA itself, for a doubted one the
      most probable MoA that is not given (None if all are).

    Raises:
      InputError: there is no such score.
    """
    carries = labels > 0
    scores = suspicion(probs, labels, score)
    confident = is_contradicted(probs, labels)
    is_suspicious = confident | (suspicion(probs, labels, "normalised_margin") > 0)
    if of is not None:
        is_suspicious &= of[:, None]
    rows, columns = np.nonzero(is_suspicious)
    order = np.argsort(-scores[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    doubted = carries[rows, columns]
    replacement = np.where(carries, -np.inf, probs).argmax(axis=1)[rows]
    instead = np.where(doubted, replacement, columns)
    none_left = doubted & carries.all(axis=1)[rows]
    names = np.asarray(moas, dtype=object)
    return pd.DataFrame(
        {
            "compound": np.asarray(compounds, dtype=object)[rows],
            "labels": ["|".join(names[carries[row]]) for row in rows],
            "moa": names[columns],
            "kind": np.where(doubted, DOUBTED, MISSING).astype(object),
            "score": scores[rows, columns],
            "confident": confident[rows, columns],
            "prob": probs[rows, columns],
            "instead": np.where(none_left, None, names[instead]),
            "instead_prob": np.where(none_left, np.nan, probs[rows, instead]),
        }
    )
