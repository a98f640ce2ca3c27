"""How often a broader class of mechanisms is stated where the mechanism is not sure, and right.

    python -m experiments.main_result.broader_mechanisms --data=data/lincs2020 --out=runs/open

reads the runs of `open_vocabulary` in OUT (trained if they do not exist), prints Markdown tables
and writes them to OUT/broader_mechanisms.md.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from experiments.main_result.confidence_tables import (
    Row,
    calibration_z,
    mean_with_interval,
    reliability_rows,
)
from experiments.main_result.held_out_answers import UnseenCompounds, held_out_answers
from experiments.main_result.open_vocabulary import arguments, print_and_write, trained_folds
from moa_jax.calibration.broader_classes import (
    MIN_BROADER_PROBABILITY,
    BroaderClasses,
    fit_broader_classes,
)
from moa_jax.calibration.calibration_store import read_calibration_store
from moa_jax.calibration.calibrator import fit_calibrator
from moa_jax.data.examples.labels import OPEN
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.knowledge.mechanism_hierarchy import mechanism_classes
from moa_jax.models.experts import VIEWS
from moa_jax.predictions.result_tables import markdown_table
from moa_jax.schemas import InputError

# Classes that are listed by name.
_NUM_NAMED = 15


@dataclasses.dataclass(frozen=True)
class StatedClasses:
    """What is stated about compounds that a model was not trained on.

    Attributes:
      groups: compound group of each.
      names: class that is stated; None where none is.
      probability: of the class; NaN where none is stated.
      is_right: whether the compound has a mechanism of the class.
      first_is_right: whether the first mechanism is right.
      is_unsure: whether the first mechanism has less than `MIN_BROADER_PROBABILITY`.
      is_answered: whether the answer is a mechanism.
    """

    groups: tuple[str, ...]
    names: tuple[str | None, ...]
    probability: Float[np.ndarray, " compound"]
    is_right: Bool[np.ndarray, " compound"]
    first_is_right: Bool[np.ndarray, " compound"]
    is_unsure: Bool[np.ndarray, " compound"]
    is_answered: Bool[np.ndarray, " compound"]


def stated_classes(answers: UnseenCompounds, broader: BroaderClasses) -> StatedClasses:
    """The classes that are stated for the compounds of one run in one view."""
    found = broader(answers.calibrated.probs)
    stated, names = found.is_stated, broader.classes.names
    members = np.zeros(answers.labels.shape, bool)
    members[stated] = broader.classes.members[found.place[stated]]
    return StatedClasses(
        groups=answers.groups,
        names=tuple(names[place] if place >= 0 else None for place in found.place),
        probability=found.probability,
        is_right=(answers.labels & members).any(axis=1),
        first_is_right=answers.is_right,
        is_unsure=answers.calibrated.probs.max(axis=1) < MIN_BROADER_PROBABILITY,
        is_answered=answers.calibrated.is_answered,
    )


def fold_classes(folder: pathlib.Path) -> dict[str, StatedClasses]:
    """View -> what a run states about the compounds that it held out.

    Raises:
      InputError: the calibration store has too few compounds.
    """
    by_view = held_out_answers(folder)
    moas = by_view["fusion"].moas
    classes, found = mechanism_classes(moas), {}
    for view, kept in read_calibration_store(folder, moas).items():
        calibrator = fit_calibrator(kept.probs, kept.labels, kept.is_learnable)
        probs = calibrator.calibrate(kept.probs).probs
        broader = fit_broader_classes(probs, kept.labels, classes)
        found[view] = stated_classes(by_view[view], broader)
    return found


def joined_classes(parts: Sequence[StatedClasses]) -> StatedClasses:
    """What several runs state, one run after the other."""
    joined = {}
    for field in dataclasses.fields(StatedClasses):
        values = [getattr(part, field.name) for part in parts]
        is_array = isinstance(values[0], np.ndarray)
        joined[field.name] = np.concatenate(values) if is_array else sum(values, ())
    return StatedClasses(**joined)


def stated_rows(found: StatedClasses) -> list[Row]:
    """How often a class is stated and right, for all unsure compounds and those unanswered."""
    stated = ~np.isnan(found.probability)
    among = {
        f"first below {MIN_BROADER_PROBABILITY:g}": found.is_unsure,
        "of these not answered": found.is_unsure & ~found.is_answered,
    }
    rows = []
    for name, inside in among.items():
        own = inside & stated
        groups = tuple(np.asarray(found.groups, object)[own])
        rows.append(
            {
                "compounds with": name,
                "number": int(inside.sum()),
                "class stated": int(own.sum()),
                "mean stated": float(found.probability[own].mean()) if own.any() else np.nan,
                "class right": mean_with_interval(found.is_right[own].astype(float), groups),
                "first mechanism right": mean_with_interval(
                    found.first_is_right[own].astype(float), groups
                ),
            }
        )
    return rows


def class_rows(found: StatedClasses) -> list[Row]:
    """The classes that are stated most often, and how often they are right."""
    counts = collections.Counter(name for name in found.names if name is not None)
    names = np.asarray(found.names, object)
    rows = []
    for name in sorted(counts, key=lambda each: (-counts[each], each))[:_NUM_NAMED]:
        own = names == name
        rows.append(
            {
                "class": name,
                "stated": counts[name],
                "mean stated": float(found.probability[own].mean()),
                "right": int(found.is_right[own].sum()),
                "first mechanism right": int(found.first_is_right[own].sum()),
            }
        )
    return rows


def section(by_view: Mapping[str, StatedClasses]) -> str:
    """Tables of all views."""
    rows = [{"view": view} | row for view in VIEWS for row in stated_rows(by_view[view])]
    tables = [f"### Broader mechanisms\n\n{markdown_table(rows)}"]
    for view in VIEWS:
        own = by_view[view]
        stated = ~np.isnan(own.probability)
        probability, right = own.probability[stated], own.is_right[stated]
        z, p_value = calibration_z(probability, right)
        tables.append(
            f"### {view}\n\n{markdown_table(reliability_rows(probability, right))}\n\n"
            f"Spiegelhalter's z of all {len(right)}: {z:.2f} (p = {p_value:.3f}).\n\n"
            f"{markdown_table(class_rows(own))}"
        )
    return "\n\n".join(tables)


def main(argv: Sequence[str] | None = None) -> None:
    """Trains where needed, fits, prints and writes."""
    parser = arguments(__doc__.splitlines()[0])
    settings = parser.parse_args(argv)
    try:
        release = read_prepared(settings.data).manifest["release"]
        folds = [
            fold_classes(folder)
            for folder in trained_folds(OPEN, settings, pathlib.Path(settings.out))
        ]
        by_view = {view: joined_classes([fold[view] for fold in folds]) for view in VIEWS}
        print_and_write(
            [f"Release: {release}", section(by_view)], settings, "broader_mechanisms.md"
        )
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
