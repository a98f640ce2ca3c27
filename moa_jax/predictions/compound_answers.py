"""One answer per compound, or "cannot tell" with reasons and advice."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from moa_jax.calibration.broader_classes import BroaderClasses
from moa_jax.calibration.calibrator import (
    CANNOT_TELL,
    MIN_ACCURACY,
    MIN_CONFIDENCE,
    NONE_OF_THESE,
    CalibratedAnswers,
    Calibrator,
)
from moa_jax.calibration.quality_gates import SignatureQuality, advice, joined_sentences
from moa_jax.compounds.identity import normalise_name
from moa_jax.data.examples.measured_conditions import MEASURED_COLUMNS, carried_by, measured
from moa_jax.predictions.answer_basis import (
    MODALITIES_OF,
    AnswerBasis,
    answer_basis,
    training_basis,
)
from moa_jax.predictions.known_compounds import KNOWN, KNOWN_COLUMNS, NEW
from moa_jax.schemas import Examples

# Ranked mechanisms in an answer.
NUM_RANKED = 5
# Mechanisms of a label set that are named; of a larger set, the others are only counted.
NUM_IN_SET = 20

_NO_VALIDATION = "the run has no out-of-fold answers, so its confidence cannot be calibrated"


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers for compounds.

    Attributes:
      table: one row per compound, in the order of the groups: `pert_id` (the group: the ids of
        one drug, joined by `|`), `compound`, `KNOWN_COLUMNS`, `answer`, `confidence`,
        `none_of_these` (probability that its mechanism was not trained on, which is the answer
        from `MIN_CONFIDENCE` on), `answered_from`, `basis` (how many training compounds have
        `moa_1`); `broader_mechanism`, `broader_probability` (see `BroaderClasses`; missing where
        `moa_1` is sure itself, or no class of it is); `moa_1`, `probability_1` (calibrated),
        `compounds_1` (training compounds that have it) and so on; `label_set` (conformal, joined
        by `|`, the `NUM_IN_SET` most probable of a larger one), `label_set_size`, `n_signatures`,
        `n_signatures_used`, `MEASURED_COLUMNS`, `carried_by`, `reasons`, `notes`. Unknown values
        are missing.
      basis: what the answers are based on.
    """

    table: pd.DataFrame
    basis: AnswerBasis

    @property
    def is_answered(self) -> Bool[np.ndarray, " compound"]:
        """Compounds whose answer is a mechanism."""
        return (~self.table["answer"].isin([CANNOT_TELL, NONE_OF_THESE])).to_numpy(bool)

    def of_compounds(self, groups: Collection[str], rows: Int[np.ndarray, " row"]) -> Answers:
        """The answers for some compound groups, whose examples are in the given rows."""
        places = np.flatnonzero(np.isin(self.basis.groups, list(groups)))
        return Answers(
            self.table.iloc[places].reset_index(drop=True), self.basis.take(places, rows)
        )

    def to_explain(self, count: int) -> list[str]:
        """Groups to explain first: new before known compounds, then by confidence, then by name."""
        answered = self.table[self.is_answered]
        answered = answered.assign(is_known=answered["known"] == KNOWN)
        order = ["is_known", "confidence", "pert_id"]
        return (
            answered.sort_values(order, ascending=[True, False, True])["pert_id"]
            .head(count)
            .tolist()
        )


def answer_compounds(
    examples: Examples,
    views: Mapping[str, Float[np.ndarray, "example moa"]],
    quality: SignatureQuality,
    calibrators: Mapping[str, Calibrator],
    *,
    known: pd.DataFrame | None = None,
    num_compounds: Mapping[str, int] | None = None,
    broader: Mapping[str, BroaderClasses] | None = None,
) -> Answers:
    """Answers each compound from its signatures that pass, or else from its structure alone.

    Args:
      examples: signatures, or structures without expression; the groups are the compounds.
      views: see `answer_basis`.
      quality: results of the quality gates.
      calibrators: view -> its calibrator; without one every answer is "cannot tell".
      known: `known_compounds` of the groups.
      num_compounds: mechanism -> training compounds that have it.
      broader: view -> broader classes of its mechanisms.
    """
    basis = answer_basis(examples, views, quality.passes)
    calibrated_of = _calibrate(basis, calibrators)
    groups = np.asarray(examples.groups, str)
    rows = []
    for place, group in enumerate(basis.groups):
        own = np.flatnonzero(groups == group)
        signatures = own[examples.has_expression[own]]
        described = signatures if len(signatures) else own
        row = {"pert_id": group, "compound": _name(examples.table["compound"].iloc[own])}
        if known is not None:
            row |= known.loc[group, list(KNOWN_COLUMNS)].to_dict()
        row |= measured(examples.table.iloc[signatures])
        row |= {"n_signatures": len(signatures), "n_signatures_used": int(basis.used[own].sum())}
        view = basis.views[place]
        failed = [] if basis.used[own].any() else _failed_gates(quality, described)
        notes = _of_signatures(quality.notes, described)
        if known is not None and _is_new_by_name(row, examples, own):
            notes.append(
                "without a structure, a training compound under another name counts as new"
            )
        if view is None:
            row["answer"] = CANNOT_TELL
            reasons = [*failed, "provide its structure with --compoundinfo for an answer from that"]
        else:
            row["answered_from"] = MODALITIES_OF[view]
            calibrator = calibrators.get(view)
            row |= _ranked(
                basis.pooled[place], calibrated_of.get(place), examples.moas, num_compounds
            )
            reasons = _doubts(row, calibrator, view, has_signatures=bool(len(signatures)))
            row["basis"] = training_basis(row.get("compounds_1", 0))
            row |= _broader((broader or {}).get(view), calibrated_of.get(place))
            row["answer"] = CANNOT_TELL if reasons else row["moa_1"]
            if row.get("none_of_these", 0.0) >= MIN_CONFIDENCE:
                row["answer"] = NONE_OF_THESE
            row["carried_by"] = _carried_by(examples, views, basis, own, row["moa_1"])
            if failed:
                notes = [f"answered from the structure alone: {' and '.join(failed)}", *notes]
        row |= {"reasons": joined_sentences(reasons), "notes": joined_sentences(notes)}
        rows.append(row)
    return Answers(pd.DataFrame(rows, columns=_columns()), basis)


def _columns() -> list[str]:
    ranked = [
        f"{what}_{rank}"
        for rank in range(1, NUM_RANKED + 1)
        for what in ("moa", "probability", "compounds")
    ]
    first = ["pert_id", "compound", *KNOWN_COLUMNS, "answer", "confidence", "none_of_these"]
    counts = ["n_signatures", "n_signatures_used"]
    last = [*MEASURED_COLUMNS, "carried_by", "reasons", "notes"]
    return [
        *first,
        "answered_from",
        "basis",
        "broader_mechanism",
        "broader_probability",
        *ranked,
        "label_set",
        "label_set_size",
        *counts,
        *last,
    ]


def _name(names: pd.Series) -> str | None:
    """Names of one drug, each in one spelling."""
    spelled: dict[str, str] = {}
    for name in sorted({str(name) for name in names.dropna()} - {""}):
        spelled.setdefault(normalise_name(name), name)
    return " / ".join(spelled.values()) or None


def _is_new_by_name(
    row: Mapping[str, Any], examples: Examples, own: Int[np.ndarray, " row"]
) -> bool:
    """Whether a compound counts as new only because of its name."""
    return row["known"] == NEW and not examples.has_structure[own].any()


def _calibrate(
    basis: AnswerBasis, calibrators: Mapping[str, Calibrator]
) -> dict[int, CalibratedAnswers]:
    """Place of a compound -> its calibrated answer, if its view has a calibrator."""
    calibrated_of = {}
    for view, calibrator in calibrators.items():
        places = [place for place, used in enumerate(basis.views) if used == view]
        if not places:
            continue
        calibrated = calibrator.calibrate(basis.pooled[places])
        for number, place in enumerate(places):
            calibrated_of[place] = CalibratedAnswers(
                **{name: values[number : number + 1] for name, values in vars(calibrated).items()}
            )
    return calibrated_of


def _ranked(
    pooled: Float[np.ndarray, " moa"],
    calibrated: CalibratedAnswers | None,
    moas: Sequence[str],
    num_compounds: Mapping[str, int] | None,
) -> dict[str, Any]:
    """Ranked mechanisms, with confidence and label set if the answer is calibrated."""
    probs = pooled if calibrated is None else calibrated.probs[0]
    row: dict[str, Any] = {}
    for rank, moa in enumerate(np.argsort(-probs, kind="stable")[:NUM_RANKED], start=1):
        row |= {f"moa_{rank}": moas[moa], f"probability_{rank}": float(probs[moa])}
        if num_compounds is not None:
            row[f"compounds_{rank}"] = int(num_compounds.get(moas[moa], 0))
    if calibrated is not None:
        row["confidence"] = float(calibrated.confidence[0])
        inside = label_set(calibrated)
        row["label_set"] = named_set(inside, calibrated.probs[0], moas)
        row["label_set_size"] = int(inside.sum())
        row["none_of_these"] = float(calibrated.none_of_these[0])
        row["is_sure"] = bool(calibrated.is_answered[0])
    return row


def _broader(
    broader: BroaderClasses | None, calibrated: CalibratedAnswers | None
) -> dict[str, Any]:
    """The broader mechanism of one compound and its probability, where one is stated."""
    if broader is None or calibrated is None:
        return {}
    answer = broader(calibrated.probs)
    if not answer.is_stated[0]:
        return {}
    return {
        "broader_mechanism": broader.classes.names[answer.place[0]],
        "broader_probability": float(answer.probability[0]),
    }


def label_set(calibrated: CalibratedAnswers) -> Bool[np.ndarray, " moa"]:
    """The conformal set of one compound, with two mechanisms or more if it is not answered.

    A set of one would look like an answer. A superset keeps the coverage.
    """
    in_set = calibrated.in_set[0].copy()
    if not calibrated.is_answered[0] and in_set.sum() < 2:
        in_set[np.argsort(-calibrated.probs[0], kind="stable")[:2]] = True
    return in_set


def named_set(
    inside: Bool[np.ndarray, " moa"], probs: Float[np.ndarray, " moa"], moas: Sequence[str]
) -> str:
    """The mechanisms of a label set, joined by `|`; of a large one the most probable."""
    members = np.flatnonzero(inside)
    if len(members) <= NUM_IN_SET:
        return "|".join(moas[moa] for moa in members)
    first = members[np.argsort(-probs[members], kind="stable")[:NUM_IN_SET]]
    return "|".join(moas[moa] for moa in first) + f"|and {len(members) - NUM_IN_SET} more"


def _doubts(
    row: Mapping[str, Any], calibrator: Calibrator | None, view: str, *, has_signatures: bool
) -> list[str]:
    """Reasons for "cannot tell", with advice; empty for an answer."""
    if calibrator is None:
        return [_NO_VALIDATION]
    if row["is_sure"]:
        return []
    if math.isinf(calibrator.threshold):
        return [
            f"the confidence is {row['confidence']:.2f}, and no threshold gives "
            f"{MIN_ACCURACY:.0%} accuracy on held-out compounds, so use a model trained on more "
            "compounds"
        ]
    doubt = (
        f"the confidence is {row['confidence']:.2f}, below the threshold of "
        f"{calibrator.threshold:.2f} that gives {MIN_ACCURACY:.0%} accuracy on held-out compounds"
    )
    if row.get("none_of_these", 0.0) > row["confidence"]:
        doubt += (
            f", and with a probability of {row['none_of_these']:.2f} the mechanism is not among "
            "those the model was trained on"
        )
    return [f"{doubt}, so {_better(view, has_signatures=has_signatures)}"]


def _better(view: str, *, has_signatures: bool) -> str:
    """What would make an answer more confident."""
    if view == "structure":
        return "measure it again" if has_signatures else "measure its expression"
    more = "measure more replicates, cell lines or doses"
    return more if view == "fusion" else f"provide the structure with --compoundinfo or {more}"


def _carried_by(
    examples: Examples,
    views: Mapping[str, Float[np.ndarray, "example moa"]],
    basis: AnswerBasis,
    own: Int[np.ndarray, " row"],
    moa: str,
) -> str:
    """The conditions that contribute most to the probability of a mechanism."""
    rows = own[basis.used[own]]
    if not len(rows):
        return ""
    parts = basis.weights[rows] * views["fusion"][rows, examples.moas.index(moa)]
    shares = parts / parts.sum() if parts.sum() > 0 else basis.weights[rows]
    return carried_by(examples.table.iloc[rows], shares)


def _failed_gates(quality: SignatureQuality, rows: Int[np.ndarray, " row"]) -> list[str]:
    """The gates that a compound's signatures failed, with advice."""
    if len(rows) == 1:
        return list(quality.reasons[rows[0]])
    texts = _of_signatures(quality.reasons, rows)
    remedy = {text.partition(":")[0]: advice(text) for row in rows for text in quality.reasons[row]}
    return [text + remedy[text.rpartition(" (")[0]] for text in texts]


def _of_signatures(texts: tuple[tuple[str, ...], ...], rows: Int[np.ndarray, " row"]) -> list[str]:
    """Reasons or notes on a compound's signatures; of several signatures, titles with counts."""
    if len(rows) == 1:
        return list(texts[rows[0]])
    counts = collections.Counter(text.partition(":")[0] for row in rows for text in texts[row])
    return [f"{text} ({count} of {len(rows)} signatures)" for text, count in counts.items()]
