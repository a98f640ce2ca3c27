"""The report of a benchmark: sections per split, and what can be seen across splits only."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import moa_jax
from moa_jax.benchmark.abstaining import UNSEEN_MOA, abstention_section, rejection_section
from moa_jax.benchmark.breakdown import breakdown_section
from moa_jax.benchmark.confidence import confidence_section
from moa_jax.benchmark.headline import estimate, headline_section, moa_section
from moa_jax.benchmark.material import Material
from moa_jax.benchmark.robustness import (
    contribution_section,
    degradation_section,
    learning_section,
)
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.benchmark.tuning_section import tuning_section
from moa_jax.report.parts import Cell, Page, Section, Table

# Packages that decide the numbers.
_PACKAGES = ("jax", "flax", "scikit-learn", "xgboost-cpu", "lightgbm", "rdkit", "numpy")


def is_closed_set(scored: ScoredSplit) -> bool:
    """The MoAs of the test compounds are among those that were learned."""
    return not scored.results.name.startswith(UNSEEN_MOA)


def sections_of(scored: ScoredSplit, material: Material) -> tuple[Section, ...]:
    """Everything that is said about one split."""
    if not is_closed_set(scored):
        return (rejection_section(scored, material),)
    sections = (
        headline_section(scored),
        moa_section(scored),
        confidence_section(scored),
        abstention_section(scored, material),
        breakdown_section(scored, material),
        contribution_section(scored),
        degradation_section(scored),
        learning_section(scored),
        tuning_section(scored),
    )
    return tuple(section for section in sections if section is not None)


def across_splits(scored: Sequence[ScoredSplit]) -> Section | None:
    """The same methods under every rule: what a leaking or an easier split pretends."""
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
    first = closed[0].results.name
    table = Table(
        ("method", *(some.results.name for some in closed)),
        rows,
        caption="Macro AUPRC with 95 % intervals over compounds.",
        sort_by=first,
    )
    return Section(
        title="All splits",
        text=(
            "random_signature puts signatures of one compound on both sides of the split. It "
            "leaks, and stands here only to show by how much."
        ),
        parts=(table,),
    )


def benchmark_page(
    scored: Sequence[ScoredSplit], material: Material, sections: Sequence[Section]
) -> Page:
    """The page of a benchmark.

    Args:
      scored: the splits, in their order.
      material: the data.
      sections: what is said about them.
    """
    release = material.dataset.manifest["release"]
    examples = material.examples
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
            "Mechanisms of action of compounds that no method has learned from, scored per "
            "compound."
        ),
        facts=facts,
        sections=tuple(sections),
    )
