"""The output files of a benchmark: report, Markdown tables, metrics, predictions.

Names of files about a simulated release begin with `simulated_`. Equal predictions give equal
bytes, except in `fit_seconds.csv`.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.pages import across_splits, benchmark_page, is_closed_set, sections_of
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.benchmark.sections.main_table import estimate, main_table
from moa_jax.evaluation.bootstrap import paired_difference
from moa_jax.evaluation.metrics import per_moa_table
from moa_jax.files import write_json, write_text
from moa_jax.predictions.result_tables import (
    file_name,
    json_number,
    markdown_table,
    prediction_table,
    write_csv,
)
from moa_jax.progress import track
from moa_jax.report.html import write_page
from moa_jax.report.parts import Cell, Estimate, Section, Table

# Columns of the main table that are printed.
HEADLINE_COLUMNS = (
    "method",
    "seeds",
    "macro AUPRC",
    "difference from comparator",
    "micro AUPRC",
    "macro AUROC",
    "top-1 accuracy",
    "top-5 accuracy",
    "log loss",
)


def write_outputs(
    workdir: pathlib.Path, scored: Sequence[ScoredSplit], benchmark_data: BenchmarkData
) -> str:
    """Writes all output files of a benchmark; returns its main tables as Markdown.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    release = benchmark_data.dataset.manifest["release"]
    by_split = {
        some.results.name: sections_of(some, benchmark_data) for some in track(scored, "sections")
    }
    across = across_splits(scored)
    sections = [*([across] if across else []), *(s for some in by_split.values() for s in some)]
    write_page(
        workdir / file_name("report.html", release),
        benchmark_page(scored, benchmark_data, sections),
    )
    for some in scored:
        folder = workdir / "tables" / some.results.name
        text = "\n\n".join(section_markdown(s) for s in by_split[some.results.name])
        write_text(folder / file_name("tables.md", release), f"# {release}\n\n{text}\n")
        _write_numbers(folder, some, release)
    main = main_markdown(scored, across, release)
    write_text(workdir / file_name("table.md", release), main + "\n")
    return main


def main_markdown(scored: Sequence[ScoredSplit], across: Section | None, release: str) -> str:
    """The comparison of splits, and the main table of each split."""
    texts = [] if across is None else [section_markdown(across)]
    for some in scored:
        if not is_closed_set(some):
            continue
        table = main_table(some)
        places = [table.columns.index(name) for name in HEADLINE_COLUMNS]
        rows = [[row[place] for place in places] for row in table.rows]
        texts.append(f"{release}: {table.caption}\n\n{_markdown(HEADLINE_COLUMNS, rows)}")
    return "\n\n".join(texts)


def section_markdown(section: Section) -> str:
    """Heading, text and tables of a section, without charts and heat maps."""
    parts = [f"## {section.title}", section.text]
    for part in section.parts:
        if isinstance(part, Table):
            parts += [part.caption, _markdown(part.columns, part.rows)]
    return "\n\n".join(part for part in parts if part)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    return markdown_table([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])


def _plain(cell: Cell) -> Cell:
    if not isinstance(cell, Estimate):
        return cell
    if math.isnan(cell.low):
        return cell.value
    return f"{cell.value:.3f} [{cell.low:.3f}, {cell.high:.3f}]"


def _write_numbers(folder: pathlib.Path, scored: ScoredSplit, release: str) -> None:
    results = scored.results
    write_json(folder / file_name("metrics.json", release), _metrics(scored))
    per_moa, predictions, seconds = [], [], []
    for line in scored.clean:
        for seed, probs in zip(results.lines[line], results.probs(line), strict=True):
            about = {"method": line.name, "seed": seed}
            per_moa.append(per_moa_table(probs, results.labels, results.moas).assign(**about))
            answers = prediction_table(probs, results.labels, results.compounds, results.moas)
            predictions.append(answers.assign(**about))
            seconds += [
                {**about, "fold": fold, "fit_s": answered.fit_s}
                for fold, answered in enumerate(results.lines[line][seed])
            ]
    for name, tables in (
        ("per_moa.csv", per_moa),
        ("compound_predictions.csv", predictions),
        ("fit_seconds.csv", [pd.DataFrame(seconds)]),
    ):
        table = pd.concat(tables, ignore_index=True)
        first = ["method", "seed"]
        rest = [column for column in table.columns if column not in first]
        write_csv(folder / file_name(name, release), table[first + rest])


def _metrics(scored: ScoredSplit) -> Mapping[str, Any]:
    """Method -> metric -> estimate and interval; null where undefined."""
    return {
        line.name: {
            "seeds": len(scored.results.lines[line]),
            "validation_macro_auprc": json_number(scored.validation[line]),
            "difference_in_macro_auprc": {
                name: json_number(value)
                for name, value in vars(
                    paired_difference(scores, scored.scores[scored.comparator], "macro_auprc")
                ).items()
            },
            **{
                metric: {
                    "estimate": json_number(found.value),
                    "low": json_number(found.low),
                    "high": json_number(found.high),
                }
                for metric in scores.estimate
                for found in [estimate(scored, line, metric)]
            },
        }
        for line, scores in scored.scores.items()
    }
