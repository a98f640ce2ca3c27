"""Which MoA labels look wrong: confident learning from out-of-fold predictions.

Confident learning (Northcutt 2021, JAIR 70) is written for one label per example. In its
multi-label form every MoA is a problem of two classes, `does not have it` (0) with probability
1 - p and `has it` (1) with probability p, as in Thyagarajan (2022). A label is (compound, MoA);
`label doubted` says that a compound may not have an MoA that it carries, `label missing` that it
may have one that it does not carry.

All functions take `probs`, which no model may have made for a compound that it was trained on,
and `labels`, with one row per compound and one column per MoA.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.evaluation.metrics import Labels, Probs, micro_auprc
from moa_jax.schemas import InputError

DOUBTED, MISSING = "label doubted", "label missing"
SCORES = ("normalised_margin", "self_confidence")
# What `believed` says where the model is confident of neither value.
UNDECIDED = -1

# The mean of equal numbers may be larger than they are by a rounding error.
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


def believed(probs: Probs, labels: Labels) -> Int[np.ndarray, "example moa"]:
    """The value of each label that the model is confident of: 0, 1 or `UNDECIDED`.

    It is confident of a value whose probability reaches the threshold; of two such values it
    believes the more probable one.
    """
    absent, present = confident_thresholds(probs, labels).T - _ROUNDING
    probs = probs.astype(np.float64)
    could_be_absent, could_be_present = 1 - probs >= absent, probs >= present
    both = could_be_absent & could_be_present
    values = np.where(could_be_present, 1, np.where(could_be_absent, 0, UNDECIDED))
    return np.where(both, probs > 0.5, values)


def is_contradicted(probs: Probs, labels: Labels) -> Bool[np.ndarray, "example moa"]:
    """The model is confident of the value that was not given.

    Such labels are counted off the diagonal of the confident joint.
    """
    belief = believed(probs, labels)
    return (belief != UNDECIDED) & (belief != (labels > 0))


def confident_joint(probs: Probs, labels: Labels) -> Int[np.ndarray, "moa given value"]:
    """For each MoA the number of labels by given and by believed value.

    C of Northcutt 2021, section 3.1. Labels of which the model is confident of neither value are
    not counted.
    """
    belief, carries = believed(probs, labels), labels > 0
    counts = [
        [((carries == given) & (belief == value)).sum(axis=0) for value in (False, True)]
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
    """How much each label looks wrong; the larger, the more.

    Args:
      probs: out-of-fold probabilities.
      labels: given labels.
      score: one of `SCORES`.
        `self_confidence`: 1 - probability of the given value. With two classes, Northcutt's
          normalised margin orders labels in the same way.
        `normalised_margin`: of an MoA that is carried, how much more probable the most probable
          MoA is that the compound does not carry; of another, how much more probable it is than
          the most probable one carried. For one label per compound the first is the negated
          normalised margin of Northcutt (2021). A compound whose MoA is merely hard to see is
          taken for nothing else, and stays low.

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
    """The labels with which the model disagrees, the most suspicious first.

    It disagrees where it is confident of the other value, and where the normalised margin is
    positive. Ties keep the order of compounds and MoAs.

    Args:
      probs: out-of-fold probabilities.
      labels: given labels.
      compounds: name of each row.
      moas: name of each column.
      score: what ranks the labels, one of `SCORES`.
      of: rows whose labels are returned; None for all. The thresholds are those of all rows.

    Returns:
      One row per label: `compound`, `labels` (the compound's own, separated by `|`), `moa`,
      `kind` (`DOUBTED` or `MISSING`), `score`, `confident` (see `is_contradicted`), `prob` of
      the MoA, and `instead`, what the model says in place of the label, with `instead_prob`: for a
      missing label the MoA itself, for a doubted one the most probable MoA that the compound does
      not carry (None where it carries all).

    Raises:
      InputError: there is no such score.
    """
    carries = labels > 0
    scores = suspicion(probs, labels, score)
    confident = is_contradicted(probs, labels)
    disagrees = confident | (suspicion(probs, labels, "normalised_margin") > 0)
    if of is not None:
        disagrees &= of[:, None]
    rows, columns = np.nonzero(disagrees)
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


def planted_ranking_quality(
    scores: Float[np.ndarray, "example moa"],
    planted: Bool[np.ndarray, "example moa"],
    audited: Bool[np.ndarray, "example moa"],
    num_read: int,
) -> dict[str, float]:
    """How early a ranking of labels brings those that are known to be wrong.

    Args:
      scores: see `suspicion`.
      planted: the label is wrong.
      audited: the label takes part in the ranking, such as the carried ones alone.
      num_read: number of labels that are read from the top, all where there are fewer; of tied
        ones the first in the order of compounds and MoAs are read.

    Returns:
      `num_audited`, `num_planted`, `chance` (share of wrong labels, which a random order has as
      its expected precision), `average_precision`, and `precision` and `recall` of the labels
      read; NaN where something is not defined.
    """
    ranked, wrong = scores[audited], planted[audited]
    hits = wrong[np.argsort(-ranked, kind="stable")[:num_read]]
    return {
        "num_audited": float(len(wrong)),
        "num_planted": float(wrong.sum()),
        "chance": _share(wrong.sum(), len(wrong)),
        "average_precision": micro_auprc(ranked[:, None], wrong[:, None]),
        "precision": _share(hits.sum(), len(hits)),
        "recall": _share(hits.sum(), wrong.sum()),
    }


def planted_choice_quality(
    chosen: Bool[np.ndarray, "example moa"],
    planted: Bool[np.ndarray, "example moa"],
    audited: Bool[np.ndarray, "example moa"],
) -> dict[str, float]:
    """What a choice of labels, such as `is_contradicted`, finds of those known to be wrong.

    Returns:
      `num_chosen`, and `precision` and `recall` of the choice among the labels `audited`; NaN
      where nothing is chosen or wrong.
    """
    chosen, wrong = chosen & audited, planted & audited
    found = (chosen & wrong).sum()
    return {
        "num_chosen": float(chosen.sum()),
        "precision": _share(found, chosen.sum()),
        "recall": _share(found, wrong.sum()),
    }


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part / whole) if whole else float("nan")
