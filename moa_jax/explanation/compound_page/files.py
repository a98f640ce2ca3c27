"""Explanations as files: tables, figures, one page per compound and an index."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from moa_jax.calibration.calibrator import CANNOT_TELL, MIN_ACCURACY
from moa_jax.evaluation.label_audit import DOUBTED
from moa_jax.explanation.audit.checks import overall
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.compound_page.figures import pictures_of
from moa_jax.explanation.compound_page.page import compound_page
from moa_jax.files import atomic_path, write_json
from moa_jax.predictions.known_compounds import KNOWN
from moa_jax.predictions.result_tables import file_name, write_csv
from moa_jax.progress import track
from moa_jax.report.html import write_page
from moa_jax.report.parts import Cell, Estimate, Link, Page, Section, Table
from moa_jax.schemas import KnowledgeGraph

INDEX_FILE, MANIFEST_FILE = "index.html", "explanation_manifest.json"
REPORTS, FIGURES, TABLES = "reports", "figures", "tables"
# Contents of a folder of explanations.
NAMES = (INDEX_FILE, MANIFEST_FILE, REPORTS, FIGURES, TABLES)
# Longest part of a compound's name in file names.
_MAX_NAME_LENGTH = 40
# Largest number of rows per compound, for long tables.
_MAX_ROWS = {"nodes": 500, "evidence": 500}


def write_explanations(
    folder: pathlib.Path,
    explanations: Sequence[CompoundExplanation],
    graph: KnowledgeGraph,
    manifest: Mapping[str, Any],
) -> None:
    """Writes the folder of explanations, as a whole or not at all.

    Args:
      folder: the folder; an older one is replaced.
      explanations: one per compound.
      graph: the knowledge graph.
      manifest: `moa_jax` (version), `run` (`run_folder.run_identity`) and other entries.

    Raises:
      InputError: the folder cannot be written.
    """
    release = str(manifest["run"]["release"])
    names = [file_stem(number, found.name) for number, found in enumerate(explanations, start=1)]
    facts = {
        "model": f"{manifest['run']['num_moas']} mechanisms, trained on {release}",
        "parameters": manifest["run"]["params_sha256"][:12],
    }
    with atomic_path(folder) as temporary:
        for name in ("", REPORTS, FIGURES, TABLES):
            (temporary / name).mkdir()
        for name, found in track(list(zip(names, explanations, strict=True)), "reports"):
            drawn = pictures_of(found, graph)
            for picture, both in drawn.items():
                path = temporary / FIGURES / file_name(f"{name}_{picture}", release)
                path.with_suffix(".svg").write_text(both.svg, encoding="utf-8")
                path.with_suffix(".png").write_bytes(both.png)
            svgs = {picture: both.svg for picture, both in drawn.items()}
            page = compound_page(found, svgs, facts, f"../{INDEX_FILE}")
            write_page(temporary / REPORTS / f"{name}.html", page)
        for name, table in all_tables(explanations).items():
            path = temporary / TABLES / file_name(name, release)
            table.to_parquet(path.with_suffix(".parquet"), index=False)
            write_csv(path.with_suffix(".csv"), table)
        write_page(temporary / INDEX_FILE, index_page(explanations, names, facts))
        write_json(temporary / MANIFEST_FILE, dict(manifest))


def file_stem(number: int, name: str) -> str:
    """A portable file name that is unique to the compound."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_MAX_NAME_LENGTH].strip("-")
    return f"{number:03d}-{plain}" if plain else f"{number:03d}"


def all_tables(explanations: Sequence[CompoundExplanation]) -> dict[str, pd.DataFrame]:
    """Every table over all compounds, with `compound` and `compound_group` as first columns.

    Besides those of `CompoundExplanation`: `answers`, one row per compound, and `audit`, one row
    per compound and check. Lists are joined by `|`.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for found in explanations:
        own = {
            **found.tables,
            "answers": pd.DataFrame([_answer_row(found)]),
            "audit": pd.DataFrame(
                [
                    (check.name, check.light, check.word, check.value, check.text)
                    for check in found.checks
                ],
                columns=["check", "light", "word", "value", "text"],
            ),
        }
        for name, table in own.items():
            rows = _plain(table.head(_MAX_ROWS.get(name, len(table))))
            rows.insert(0, "compound", found.name)
            rows.insert(1, "compound_group", found.group)
            tables.setdefault(name, []).append(rows)
    return {name: _joined(parts) for name, parts in sorted(tables.items())}


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables with the same columns, one after the other."""
    # pandas warns if the type of a column depends on a part without any value.
    known = [part.dropna(axis=1, how="all") for part in parts if len(part)]
    joined = pd.concat(known, ignore_index=True) if known else parts[0]
    return joined.reindex(columns=parts[0].columns)


def _answer_row(found: CompoundExplanation) -> dict[str, Any]:
    moas = found.tables["moas"]
    return {
        "known": found.known,
        "answer": found.answer,
        "broader_mechanism": found.broader,
        "broader_probability": found.broader_probability,
        "reasons": found.reasons,
        "answered_from": found.answered_from,
        "most_probable": found.moa,
        "probability": moas["probability"].iloc[0],
        "confidence": found.confidence,
        "confidence_threshold": found.calibrator.threshold,
        "runner_up": found.runner_up,
        "label_set": tuple(moas.query("in_set")["moa"]),
        "labels": tuple(moas.query("is_label")["moa"]),
        "num_signatures": len(found.tables["signatures"]),
        "smiles": found.smiles,
        "targets": found.targets,
        "audit": overall(found.checks),
    }


def index_page(
    explanations: Sequence[CompoundExplanation], names: Sequence[str], facts: Mapping[str, str]
) -> Page:
    """The page with links to all compounds."""
    rows = [
        _index_row(found, f"{REPORTS}/{name}.html")
        for name, found in zip(names, explanations, strict=True)
    ]
    columns = ("compound", "known", "answer", "most probable", "confidence", "set size", "audit")
    if any(row[-2] for row in rows):
        columns += ("label", "note")
    rows = [row[: len(columns)] for row in rows]
    answered = sum(found.is_answered for found in explanations)
    num_known = sum(found.known == KNOWN for found in explanations)
    return Page(
        title="Mechanisms of action, explained",
        subtitle=(
            f"{len(explanations)} compounds: {answered} with an answer, "
            f"{num_known or 'none'} in the training data."
        ),
        facts=dict(facts),
        sections=[
            Section(
                "Compounds",
                "An answer is given where the confidence is high enough for at least "
                f"{MIN_ACCURACY:.0%} accuracy on held-out compounds. Otherwise it is "
                f'"{CANNOT_TELL}". The audit rates how faithful the explanation is to the model: '
                "green, amber or red.",
                [Table(columns, rows)],
            ),
            *_labels_section(explanations, names),
        ],
    )


def _labels_section(
    explanations: Sequence[CompoundExplanation], names: Sequence[str]
) -> Iterator[Section]:
    """Labels that the model and its evidence contradict; none if no compound has a label."""
    if not any(found.tables["moas"]["is_label"].any() for found in explanations):
        return
    rows = [
        (
            Link(found.name, f"{REPORTS}/{name}.html"),
            "; ".join(row.labels.split("|")),
            row.moa if row.kind == DOUBTED else f"lacks {row.moa}",
            float(row.prob),
            found.moa,
            Estimate(found.confidence),
            f"{row.num_carrying_answer} of {row.num_asked}",
            float(row.score),
        )
        for name, found in zip(names, explanations, strict=True)
        for row in found.tables["labels"].query("evidence_agrees").itertuples()
    ]
    columns = ("compound", "labels", "in doubt", "probability", "prediction", "confidence")
    columns += ("neighbours", "margin")
    yield Section(
        "Labels",
        "Labels that both the model and its evidence contradict: of the labelled training "
        "compounds nearest by structure and by signature, either none carries the label and some "
        "carry the predicted one (counted as neighbours), or most carry one that the compound "
        "lacks. The margin is the difference between the two probabilities. The label or the "
        "model may be wrong."
        + ("" if rows else "\n\nNo label of these compounds is contradicted in this way."),
        [Table(columns, rows, sort_by="margin")] if rows else [],
    )


def _index_row(found: CompoundExplanation, page: str) -> tuple[Cell, ...]:
    row = _answer_row(found)
    notes = found.tables["labels"]["evidence_agrees"].any()
    return (
        Link(found.name, page),
        found.known_sentence,
        row["answer"],
        found.moa,
        Estimate(found.confidence),
        len(row["label_set"]),
        row["audit"],
        "; ".join(row["labels"]),
        "check its label" if notes else "",
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """A table without lists and without a column `compound`."""
    lists = [column for column in table if table[column].map(type).isin((tuple, list)).any()]
    joined = {name: ["|".join(map(str, values)) for values in table[name]] for name in lists}
    return table.assign(**joined).rename(columns={"compound": "training_compound"})
