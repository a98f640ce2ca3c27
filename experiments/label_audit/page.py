r"""A page of all compounds whose labels the shipped model and its evidence contradict.

    python -m experiments.label_audit.page --data=data/lincs2020 --out=runs/label_audit

trains the shipped model on the five folds of the compound split (kept in RUNS and not trained
again), predicts the held-out compounds of each fold, and writes into OUT

    labels.html              the page, readable offline
    contradicted_labels.csv  its table

(names begin with `simulated_` for a simulated release). A compound is listed if the model
contradicts its label, none of the nearest training compounds by structure and by signature carries
that label, and some carry the model's answer. Compounds whose known targets support the label are
listed separately.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from experiments.explanation_audit.folds import trained_run
from experiments.label_audit.contradictions import (
    LABEL,
    UNKNOWN,
    Contradiction,
    HeldOut,
    SharedTargets,
    contradictions,
    held_out_of,
    joined,
)
from moa_jax.command_line import load_config
from moa_jax.data.storage.prepared_folder import read_prepared
from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.models.experts import EXPERTS
from moa_jax.predictions.result_tables import file_name, write_csv
from moa_jax.progress import say
from moa_jax.report.html import write_page
from moa_jax.report.molecule_drawing import structure_svg
from moa_jax.report.parts import (
    Cell,
    Estimate,
    Illustration,
    Note,
    Page,
    Part,
    Section,
    Table,
)
from moa_jax.schemas import InputError

NUM_FOLDS = 5
PAGE_FILE, TABLE_FILE = "labels.html", "contradicted_labels.csv"
_COLUMNS = (
    *("compound", "rank", "labels", "in doubt", "prediction"),
    *("confidence", "margin", "neighbours", "targets support"),
)
_INTRODUCTION = """
The shipped model, which was not trained on these compounds, contradicts their labels, and so do \
the nearest training compounds. The largest margin comes first. The structure and the evidence of \
each compound are shown below.
"""
_WARNING = (
    "No label was checked against the literature. A label on this page may be wrong, incomplete, "
    "a synonym of that of a neighbouring compound, or right: the model and the neighbours' labels "
    "may be wrong instead. Errors that many similar compounds have in common are not found, since "
    "the model has learned them."
)
_APART = """
The model and the nearest compounds contradict these labels as well, but more of the compounds \
with a common known target carry the label. The model is more likely to be wrong.
"""
_RULES = """
The model was trained five times, each time without a fifth of the compounds, which it then \
predicted. It contradicts a label if another mechanism is the most probable one and confident \
learning (Northcutt 2021) finds the label doubtful. The margin is the difference between the two \
probabilities.

The evidence contradicts a label if, of the five labelled training compounds nearest by structure \
and the five nearest by signature, none carries the label and at least one carries the model's \
answer; the table counts the latter as neighbours. A label is missing ("lacks") if more than half \
of them carry the model's answer and the compound does not.

Known targets are a third source of evidence: other labelled compounds with a common target, \
weighted by how many targets they have in common. They support whatever more of them carry.

The confidence is the probability that the answer is right for compounds that the model was not \
trained on; if it is too low, the answer is "cannot tell".
"""


def label_page(listed: Sequence[Contradiction], found: HeldOut, facts: Mapping[str, str]) -> Page:
    """The page.

    Args:
      listed: the contradicted compounds, in order.
      found: all held-out compounds.
      facts: facts about the data and the model.
    """
    first, second = parted(listed)
    right = f"{found.is_right.mean():.0%} of {len(found.table)}"
    return Page(
        title="Labels that the model and its evidence contradict",
        subtitle=f"{len(first)} of {len(found.table)} labelled compounds, and {len(second)} more "
        "whose known targets support the label.",
        facts={**facts, "top-1 accuracy": right},
        sections=[
            Section(
                "Contradicted",
                _INTRODUCTION if first else "No label is contradicted.",
                [Note(_WARNING, kind="warning"), *_tables(first)],
            ),
            Section(
                "Targets support the label",
                _APART if second else "There are none.",
                _tables(second),
            ),
            Section("How to read this", _RULES),
            *(_compound_section(one, rank) for rank, one in enumerate(first, start=1)),
        ],
    )


def _tables(listed: Sequence[Contradiction]) -> list[Part]:
    rows = [_row(one, rank) for rank, one in enumerate(listed, start=1)]
    return [Table(_COLUMNS, rows)] if rows else []


def parted(
    listed: Sequence[Contradiction],
) -> tuple[list[Contradiction], list[Contradiction]]:
    """Those whose known targets do not support the label, and those whose targets do."""
    apart = [one for one in listed if one.targets_support == LABEL]
    return [one for one in listed if one.targets_support != LABEL], apart


def _row(one: Contradiction, rank: int) -> tuple[Cell, ...]:
    first = one.notes.iloc[0]
    return (
        one.name,
        rank,
        "; ".join(one.labels),
        "; ".join(_doubts(one)),
        one.answer if one.is_answered else f"{one.answer} (cannot tell)",
        Estimate(one.confidence),
        one.score,
        f"{first['num_carrying_answer']} of {first['num_asked']}",
        one.targets_support,
    )


def _doubts(one: Contradiction) -> Iterator[str]:
    for note in one.notes.itertuples():
        yield note.moa if note.kind == DOUBTED else f"lacks {note.moa}"


def _compound_section(one: Contradiction, rank: int) -> Section:
    labels = "; ".join(one.labels)
    cannot = "" if one.is_answered else " That is too low for an answer: cannot tell."
    text = (
        f"Labelled {labels}. Prediction: {one.answer}, probability {one.prob:.2f}, confidence "
        f"{one.confidence:.2f}.{cannot} In doubt: "
        + "; ".join(
            f"{doubt} (probability {note.prob:.2f}, margin {note.score:.2f})"
            for doubt, note in zip(_doubts(one), one.notes.itertuples(), strict=True)
        )
        + f".\n\n{_targets_text(one)}"
    )
    parts: list[Part] = []
    if one.smiles is not None:
        parts.append(Illustration(structure_svg(one.smiles, title=f"Structure of {one.name}")))
    rows = [
        (
            near.compound,
            "; ".join(near.moas),
            EXPERTS[near.expert].title,
            float(near.similarity),
            _carries(near.moas, one),
        )
        for near in one.nearest.itertuples()
    ]
    columns = ("training compound", "mechanisms", "compared by", "similarity", "carries")
    caption = (
        "The nearest labelled training compounds: cosine of signatures, Tanimoto similarity of "
        "structures."
    )
    return Section(f"{rank}. {one.name}", text, [*parts, Table(columns, rows, caption=caption)])


def _targets_text(one: Contradiction) -> str:
    if not one.targets:
        return "No target is known."
    known = f"Known targets: {', '.join(one.targets)}."
    if one.targets_support == UNKNOWN:
        return f"{known} No other labelled compound has one of them."
    first = one.notes.iloc[0]
    label = first["moa"] if first["kind"] == DOUBTED else "the given label"
    others = "compound has" if one.num_sharing == 1 else "compounds have"
    return (
        f"{known} {one.num_sharing} other labelled {others} at least one of them; weighted by the "
        f"number, {one.answer_share:.0%} carry {one.answer} and {one.label_share:.0%} {label}: "
        f"they support {one.targets_support}."
    )


def _carries(moas: Sequence[str], one: Contradiction) -> str:
    what = ["the answer"] * (one.answer in moas) + ["a label"] * bool(set(moas) & set(one.labels))
    return " and ".join(what)


def contradiction_table(listed: Sequence[Contradiction]) -> pd.DataFrame:
    """One row per compound and contradicted label, lists separated by `|`."""
    rows = [
        {
            "compound": one.name,
            "compound_group": one.group,
            "labels": "|".join(one.labels),
            "kind": note.kind,
            "moa": note.moa,
            "probability": note.prob,
            "answer": one.answer,
            "answer_probability": one.prob,
            "confidence": one.confidence,
            "is_answered": one.is_answered,
            "margin": note.score,
            "confident": note.confident,
            "num_asked": note.num_asked,
            "num_carrying": note.num_carrying,
            "num_carrying_answer": note.num_carrying_answer,
            "targets": "|".join(one.targets),
            "targets_side_with": one.targets_support,
            "nearest": "|".join(one.nearest["compound"]),
            "smiles": one.smiles,
        }
        for one in listed
        for note in one.notes.itertuples()
    ]
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Trains where needed, predicts and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="prepared folder")
    parser.add_argument("--out", required=True, help="folder to write the page into")
    parser.add_argument("--config", default="configs/frequent.py")
    parser.add_argument("--runs", help="folder of the folds' runs; OUT/runs by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds")
    settings = parser.parse_args(argv)
    try:
        print(_written(settings))
    except InputError as error:
        parser.error(str(error))


def _written(settings: argparse.Namespace) -> str:
    config, out = load_config(settings.config), pathlib.Path(settings.out)
    config.data = settings.data
    runs = pathlib.Path(settings.runs) if settings.runs else out / "runs"
    folds = []
    for fold in range(NUM_FOLDS):
        folds.append(held_out_of(trained_run(config, runs, fold=fold, seed=settings.seed)))
        say(f"fold {fold}: {len(folds[-1].table)} held-out compounds")
    found = joined(folds)
    dataset = read_prepared(settings.data)
    listed = contradictions(found, SharedTargets.of(dataset.compounds.table, found.moas))
    release = str(dataset.manifest["release"])
    facts = {
        "release": release,
        "model": f"{pathlib.Path(settings.config).stem}, {len(found.moas)} mechanisms "
        f"({config.vocabulary} vocabulary)",
        "folds": f"{NUM_FOLDS} by compound, seed {settings.seed}",
    }
    path = out / file_name(PAGE_FILE, release)
    write_page(path, label_page(listed, found, facts))
    write_csv(out / file_name(TABLE_FILE, release), contradiction_table(listed))
    first, second = parted(listed)
    return (
        f"the labels of {len(first)} of {len(found.table)} compounds are contradicted, and of "
        f"{len(second)} more whose targets support the label; written to {path}"
    )


if __name__ == "__main__":
    main()
