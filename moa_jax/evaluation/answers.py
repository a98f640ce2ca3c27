"""One answer per compound, or "cannot tell" with the reason."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.data.examples import Examples
from moa_jax.evaluation.answer_trust import CANNOT_TELL, LEAST_ACCURACY, Trust
from moa_jax.evaluation.pooling import pool_by_compound
from moa_jax.evaluation.signature_gates import SignatureQuality, joined_sentences

# Mechanisms that are listed beside an answer.
NUM_RANKED = 3

_NO_VALIDATION = (
    "the run keeps no answers for validation compounds, so nothing says how far it can be trusted"
)


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers for compounds.

    Attributes:
      table: one row per compound, in the order of its name: `pert_id`, `compound`, `answer`,
        `confidence`, `moa_1`, `probability_1` and so on (calibrated), `label_set` (conformal,
        separated by `|`), `n_signatures`, `n_signatures_used`, `reasons`, `notes`. What the run
        does not tell is missing.
      used: which signatures the answers rest on.
    """

    table: pd.DataFrame
    used: Bool[np.ndarray, " example"]

    @property
    def is_answered(self) -> Bool[np.ndarray, " compound"]:
        """Compounds with an answer."""
        return (self.table["answer"] != CANNOT_TELL).to_numpy(bool)

    def most_confident(self, count: int) -> list[str]:
        """`pert_id` of the compounds whose answers are most confident, ties by name."""
        answered = self.table[self.is_answered]
        order = answered.sort_values(["confidence", "pert_id"], ascending=[False, True])
        return order["pert_id"].tolist()[:count]


def answer_compounds(
    examples: Examples,
    probs: Float[np.ndarray, "example moa"],
    quality: SignatureQuality,
    trusts: Mapping[str, Trust],
) -> Answers:
    """Answers each compound from those of its signatures that pass the gates.

    Args:
      examples: signatures; the groups are the `pert_id`.
      probs: what the model says of each, from all that it has.
      quality: what the gates say.
      trusts: `fusion`, of answers from signatures and structure, `expression` and `structure`, of
        those from one alone; empty where the run kept no validation answers: then no answer is
        given.
    """
    groups = np.asarray(examples.groups, str)
    # A compound without any good signature is shown with what its poor ones say.
    hopeless = ~pd.Series(quality.passes).groupby(groups).transform("any").to_numpy(bool)
    used = quality.passes | hopeless
    kept = examples.take(np.flatnonzero(used))
    pooled, _, names = pool_by_compound(probs[used].astype(np.float64), kept.labels, kept.groups)
    rows_of = pd.Series(range(len(groups))).groupby(groups).agg(list)
    views = [_view(examples, rows_of[name]) for name in names]
    # Of a compound of which nothing is known nothing is told; the gates say why.
    rows: list[dict] = [{"reasons": []} for _ in names]
    for view in sorted(set(filter(None, views))):
        places = [place for place, own in enumerate(views) if own == view]
        told = _of_view(pooled[places], trusts.get(view), examples.moas)
        for place, row in zip(places, told, strict=True):
            rows[place] = row
    for name, row in zip(names, rows, strict=True):
        own = rows_of[name]
        if not quality.passes[own].any():
            row["reasons"] = _of_signatures(quality.reasons, own) + row["reasons"]
        row["answer"] = CANNOT_TELL if row["reasons"] else row["moa_1"]
        row["notes"] = joined_sentences(_of_signatures(quality.notes, own))
        row["reasons"] = joined_sentences(row["reasons"])
        row |= {"pert_id": name, "compound": examples.table["compound"].iloc[own[0]]}
        signatures = examples.has_expression[own]
        passed = int((quality.passes[own] & signatures).sum())
        row |= {"n_signatures": int(signatures.sum()), "n_signatures_used": passed}
    return Answers(pd.DataFrame(rows, columns=_columns()), quality.passes)


def _view(examples: Examples, rows: list[int]) -> str | None:
    """The view of the model that a compound is answered in, by what it has; None for nothing."""
    if not examples.has_expression[rows].any():
        return "structure" if examples.has_structure[rows].any() else None
    return "fusion" if examples.has_structure[rows].any() else "expression"


def _columns() -> list[str]:
    ranked = [f"{what}_{rank}" for rank in _ranks() for what in ("moa", "probability")]
    counts = ["n_signatures", "n_signatures_used"]
    first = ["pert_id", "compound", "answer", "confidence"]
    return [*first, *ranked, "label_set", *counts, "reasons", "notes"]


def _ranks() -> range:
    return range(1, NUM_RANKED + 1)


def _of_view(
    pooled: Float[np.ndarray, "compound moa"],
    trust: Trust | None,
    moas: tuple[str, ...],
) -> list[dict]:
    """Confidence, ranked mechanisms and reasons of compounds that are judged alike."""
    judged = None if trust is None else trust.judge(pooled)
    probs = pooled if judged is None else judged.probs
    order = np.argsort(-probs, axis=1, kind="stable")[:, :NUM_RANKED]
    rows = []
    for place, best in enumerate(order):
        row: dict = {}
        for rank, moa in enumerate(best, start=1):
            row |= {f"moa_{rank}": moas[moa], f"probability_{rank}": float(probs[place, moa])}
        if judged is None or trust is None:
            row["reasons"] = [_NO_VALIDATION]
        else:
            row["confidence"] = float(judged.confidence[place])
            in_set = np.flatnonzero(judged.in_set[place])
            row["label_set"] = "|".join(moas[moa] for moa in in_set)
            answered = bool(judged.is_answered[place])
            row["reasons"] = [] if answered else [_doubt(row["confidence"], trust)]
        rows.append(row)
    return rows


def _doubt(confidence: float, trust: Trust) -> str:
    if math.isinf(trust.threshold):
        return (
            f"the confidence is {confidence:.2f}, and on validation no confidence was high enough "
            f"for {LEAST_ACCURACY:.0%} right answers"
        )
    return (
        f"the confidence is {confidence:.2f}, below the {trust.threshold:.2f} from which "
        f"{LEAST_ACCURACY:.0%} of the answers on validation were right"
    )


def _of_signatures(texts: tuple[tuple[str, ...], ...], rows: list[int]) -> list[str]:
    """What is said of a compound's signatures; of several, what it is about and of how many."""
    if len(rows) == 1:
        return list(texts[rows[0]])
    counts = collections.Counter(text.partition(":")[0] for row in rows for text in texts[row])
    return [f"{text} ({count} of {len(rows)} signatures)" for text, count in counts.items()]
