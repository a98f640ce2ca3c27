"""The report of a benchmark: the sections of each split, and a comparison of the splits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import moa_jax
from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.benchmark.sections.abstention import abstention_section, rejection_section
from moa_jax.benchmark.sections.breakdown import breakdown_section
from moa_jax.benchmark.sections.calibration import confidence_section
from moa_jax.benchmark.sections.main_table import estimate, headline_section, moa_section
from moa_jax.benchmark.sections.robustness import (
    contribution_section,
    degradation_section,
    learning_section,
)
from moa_jax.benchmark.sections.tuning import tuning_section
from moa_jax.report.parts import Cell, Page, Section, Table

UNSEEN_MOA = "unseen_moa"
RANDOM_SIGNATURE = "random_signature"

# Packages whose version can change the numbers.
_PACKAGES = ("jax", "flax", "scikit-learn", "xgboost-cpu", "lightgbm", "rdkit", "numpy")


def is_closed_set(scored: ScoredSplit) -> bool:
    """The MoAs of the test compounds occur in training."""
    return not scored.results.name.startswith(UNSEEN_MOA)


def sections_of(scored: ScoredSplit, benchmark_data: BenchmarkData) -> tuple[Section, ...]:
    """The sections of one split."""
    if not is_closed_set(scored):
        return (rejection_section(scored, benchmark_data),)
    sections = (
        headline_section(scored),
        moa_section(scored),
        confidence_section(scored),
        abstention_section(scored, benchmark_data),
        breakdown_section(scored, benchmark_data),
        contribution_section(scored),
        degradation_section(scored),
        learning_section(scored),
        tuning_section(scored),
    )
    return tuple(section for section in sections if section is not None)


def across_splits(scored: Sequence[ScoredSplit]) -> Section | None:
    """Macro AUPRC of the same methods under every closed-set split."""
    closed = [some for some in scored if is_closed_set(some)]
    if len(closed) < 2:
        return None
    lines = dict.fromkeys(line for some in closed for line in some.clean)
    rows: list[tuple[Cell, ...]] = [
        (
            line.name,
            *(
                estimate(some, line, "macro_auprc") if line in some.scores else float("nan")
                for some in closed
            ),
        )
        for line in lines
    ]
    names = [some.results.name for some in closed]
    table = Table(
        ("method", *names),
        rows,
        caption="Macro AUPRC with 95 % confidence intervals over compounds.",
        sort_by=names[0],
    )
    leaks = any(name.startswith(RANDOM_SIGNATURE) for name in names)
    text = (
        f"{RANDOM_SIGNATURE} puts signatures of the same compound into training and test. It "
        "leaks, and is shown only to measure by how much."
    )
    return Section(title="Comparison of splits", text=text if leaks else "", parts=(table,))


def benchmark_page(
    scored: Sequence[ScoredSplit], benchmark_data: BenchmarkData, sections: Sequence[Section]
) -> Page:
    """The page of a benchmark.

    Args:
      scored: the splits, in order.
      benchmark_data: the data.
      sections: the sections of the page.
    """
    release = benchmark_data.dataset.manifest["release"]
    examples = benchmark_data.examples
    facts = {
        "release": release,
        "labelled signatures": str(examples.num_examples),
        "compounds": str(len(set(examples.groups))),
        "MoAs": str(len(examples.moas)),
        "splits": ", ".join(some.results.name for some in scored),
        "moa_jax": moa_jax.__version__,
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }
    return Page(
        title=f"Benchmark on {release}",
        subtitle=(
            "Prediction of the mechanisms of action of held-out compounds, scored per compound."
        ),
        facts=facts,
        sections=tuple(sections),
    )
