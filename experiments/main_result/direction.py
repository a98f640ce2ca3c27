"""Whether answers have the right direction: agonist or antagonist, activator or inhibitor.

    python -m experiments.main_result.direction --data=data/lincs2020 --out=runs/open

reads the runs of `open_vocabulary` in OUT (trained if they do not exist), prints Markdown tables
and writes them to OUT/direction.md. `--everything=RUN` adds the leave-one-compound-out answers of a
run that was trained on everything, including structure-only compounds, and those for some public
drugs by name (`--drugs`).
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.main_result.confidence_tables import Row, mean_with_interval
from experiments.main_result.held_out_answers import UnseenCompounds, left_out_answers
from experiments.main_result.open_vocabulary import arguments, print_and_write, runs_of
from moa_jax.calibration.calibrator import CANNOT_TELL
from moa_jax.data.examples.labels import OPEN
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.schemas import InputError

# Last words of mechanisms that raise the activity of a target, and of those that lower it. Two
# names that are otherwise equal are opposites. (A partial agonist is neither.)
RAISING = (
    "agonist",
    "activator",
    "opener",
    "stimulant",
    "inducer",
    "enhancer",
    "positive allosteric modulator",
)
LOWERING = (
    "antagonist",
    "inverse agonist",
    "inhibitor",
    "blocker",
    "negative allosteric modulator",
)
# Bins of confidence; the last includes 1.
STATED = ((0.0, 0.5), (0.5, 0.8), (0.8, 1.0))
# Wrong directions with at least this confidence are listed.
SURE = 0.8
SUREST = 1 / 3
# Public drugs of known direction.
DRUGS = (
    "fulvestrant",
    "toremifene",
    "raloxifene",
    "dopamine",
    "ropinirole",
    "fenoldopam",
    "mifepristone",
    "haloperidol",
    "propranolol",
    "naloxone",
    "estradiol",
)


def opposites(moas: Sequence[str]) -> list[tuple[int, int]]:
    """Columns of mechanisms whose names differ only by their `RAISING` or `LOWERING` last words."""
    raising, lowering = _stems(moas, RAISING), _stems(moas, LOWERING)
    return sorted(
        (up, down)
        for stem in raising.keys() & lowering.keys()
        for up in raising[stem]
        for down in lowering[stem]
    )


def _stems(moas: Sequence[str], endings: Sequence[str]) -> dict[str, list[int]]:
    """Name without the longest matching ending, in lower case -> columns."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for place, moa in enumerate(moas):
        name = moa.casefold()
        for ending in sorted((*RAISING, *LOWERING), key=len, reverse=True):
            if name.endswith(f" {ending}"):
                stem = name.removesuffix(f" {ending}")
                if ending in endings and not stem.endswith(" partial"):
                    found[stem].append(place)
                break
    return found


@dataclasses.dataclass(frozen=True)
class Cases:
    """Compounds with one of two opposite mechanisms and not the other.

    Attributes:
      row: row of the compound; it may be in several cases.
      own: column of its mechanism.
      other: column of the opposite one.
    """

    row: Int[np.ndarray, " case"]
    own: Int[np.ndarray, " case"]
    other: Int[np.ndarray, " case"]

    def take(self, which: Bool[np.ndarray, " case"]) -> Cases:
        """Some of the cases."""
        return Cases(self.row[which], self.own[which], self.other[which])

    def preference(self, probs: Float[np.ndarray, "compound moa"]) -> Float[np.ndarray, " case"]:
        """Log odds of the own mechanism against the opposite one."""
        tiny = np.finfo(np.float64).tiny
        own, other = probs[self.row, self.own], probs[self.row, self.other]
        return np.log(np.maximum(own, tiny)) - np.log(np.maximum(other, tiny))


def cases_of(labels: Bool[np.ndarray, "compound moa"], pairs: Sequence[tuple[int, int]]) -> Cases:
    """All compounds with exactly one mechanism of a pair."""
    found: list[tuple[int, int, int]] = []
    for pair in pairs:
        for own, other in (pair, pair[::-1]):
            rows = np.flatnonzero(labels[:, own] & ~labels[:, other])
            found += [(int(row), own, other) for row in rows]
    row, own, other = np.array(found, int).reshape(-1, 3).T
    return Cases(row, own, other)


def is_preferred(preference: Float[np.ndarray, " case"]) -> Float[np.ndarray, " case"]:
    """1 where the own mechanism scores higher, 1/2 where both score the same."""
    return (np.sign(preference) + 1) / 2


def direction_row(answers: UnseenCompounds, *, both_learned: bool = False) -> Row:
    """How often the right one of two opposite mechanisms scores higher.

    Args:
      answers: answers of one view.
      both_learned: only cases where other compounds with both mechanisms were trained on.
    """
    cases = cases_of(answers.labels, opposites(answers.moas))
    if both_learned:
        support = answers.support
        cases = cases.take(
            (support[cases.row, cases.own] > 0) & (support[cases.row, cases.other] > 0)
        )
    preference = cases.preference(answers.probs)
    right = is_preferred(preference)
    stated = answers.calibrated.confidence[cases.row]
    surest = np.argsort(-np.abs(preference), kind="stable")[: round(SUREST * len(right))]
    groups = tuple(answers.groups[row] for row in cases.row)
    pairs = {frozenset(pair) for pair in zip(cases.own.tolist(), cases.other.tolist(), strict=True)}
    row = {
        "cases": len(right),
        "compounds": len(set(groups)),
        "pairs": len(pairs),
        "right one higher": mean_with_interval(right, groups),
        "in the third with the largest preference": mean_with_interval(
            right[surest], tuple(groups[place] for place in surest)
        ),
    }
    for low, high in STATED:
        inside = (stated >= low) & (stated < high if high < 1 else stated <= 1)
        share = f"{right[inside].mean():.3f} of {inside.sum()}" if inside.any() else "none"
        row[f"where {low:g}-{high:g} is stated"] = share
    return row


def flips(answers: UnseenCompounds) -> Bool[np.ndarray, " compound"]:
    """Whether the first answer is wrong and the opposite of a known mechanism."""
    opposite = np.zeros((len(answers.moas), len(answers.moas)), bool)
    for one, other in opposites(answers.moas):
        opposite[one, other] = opposite[other, one] = True
    contradicts = (answers.labels & opposite[answers.first]).any(axis=1)
    return contradicts & ~answers.labels[np.arange(len(answers.first)), answers.first]


def flip_rows(answers: UnseenCompounds) -> list[Row]:
    """First answers of the wrong direction, by confidence."""
    flipped, stated = flips(answers), answers.calibrated.confidence
    rows = []
    for low, high in STATED:
        inside = (stated >= low) & (stated < high if high < 1 else stated <= 1)
        rows.append(
            {
                "stated": f"{low:g}-{high:g}",
                "compounds": int(inside.sum()),
                "right": int((answers.is_right & inside).sum()),
                "wrong": int((~answers.is_right & inside).sum()),
                "wrong direction": int((flipped & inside).sum()),
                "of these answered": int((flipped & inside & answers.calibrated.is_answered).sum()),
            }
        )
    return rows


def sure_flips(answers: UnseenCompounds) -> list[Row]:
    """Compounds with a confident answer of the wrong direction, the most confident first."""
    stated = answers.calibrated.confidence
    rows = np.flatnonzero(flips(answers) & (stated >= SURE))
    return [
        {
            "compound": answers.names[row],
            "known": "; ".join(np.asarray(answers.moas, object)[answers.labels[row]]),
            "answered": answers.moas[answers.first[row]],
            "stated": float(stated[row]),
        }
        for row in rows[np.argsort(-stated[rows], kind="stable")]
    ]


def pairs_line(answers: UnseenCompounds) -> str:
    """The pairs of opposite mechanisms, with their number of cases."""
    cases = cases_of(answers.labels, opposites(answers.moas))
    count = collections.Counter(
        tuple(sorted(pair)) for pair in zip(cases.own.tolist(), cases.other.tolist(), strict=True)
    )
    named = (
        f"{answers.moas[one]} / {answers.moas[other]} ({number})"
        for (one, other), number in count.most_common()
    )
    return "; ".join(named)


def direction_section(title: str, by_view: Mapping[str, UnseenCompounds]) -> str:
    """All tables of direction for one source of answers."""
    rows = [
        {"view": view, "both learned": "yes" if both else "or not"}
        | direction_row(by_view[view], both_learned=both)
        for view in VIEWS
        for both in (False, True)
    ]
    flipped = [{"view": view} | row for view in VIEWS for row in flip_rows(by_view[view])]
    sure = [{"view": view} | row for view in VIEWS for row in sure_flips(by_view[view])]
    return "\n\n".join(
        [
            f"### Direction, {title}",
            markdown_table(rows),
            f"Pairs: {pairs_line(by_view['structure'])}.",
            markdown_table(flipped),
            f"Wrong directions stated with {SURE} or more:",
            markdown_table(sure) if sure else "none.",
        ]
    )


def drugs_section(answers: UnseenCompounds, drugs: Sequence[str]) -> str:
    """Leave-one-compound-out answers for some drugs from structure alone.

    Args:
      answers: leave-one-compound-out answers.
      drugs: names of drugs; those that are not among the compounds are left out.
    """
    place = {
        part.strip().casefold(): row
        for row, name in enumerate(answers.names)
        for part in str(name).split("/")
    }
    rows = [
        {
            "drug": drug,
            "known": ", ".join(answers.moas[moa] for moa in np.flatnonzero(answers.labels[row])),
            "first answer": answers.moas[answers.first[row]],
            "stated": float(answers.calibrated.confidence[row]),
            "": "answered" if answers.calibrated.is_answered[row] else CANNOT_TELL,
        }
        for drug in drugs
        if (row := place.get(drug.casefold())) is not None
    ]
    return f"### Some drugs, structure alone, left out\n\n{markdown_table(rows)}"


def main(argv: Sequence[str] | None = None) -> None:
    """Trains where needed, calibrates, prints and writes."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--drugs", nargs="*", default=DRUGS, help="drugs to list with --everything")
    settings = parser.parse_args(argv)
    out = pathlib.Path(settings.out)
    try:
        release = read_prepared(settings.data).manifest["release"]
        sections = [
            f"Release: {release}",
            direction_section("compounds held out", runs_of(OPEN, settings, out)),
        ]
        if settings.everything:
            out_of_fold = left_out_answers(pathlib.Path(settings.everything))
            sections.append(direction_section("compounds left out one by one", out_of_fold))
            sections.append(drugs_section(out_of_fold["structure"], settings.drugs))
        print_and_write(sections, settings, "direction.md")
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
