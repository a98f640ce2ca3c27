"""The section of a compound's page about mechanisms that a user described."""

from __future__ import annotations

from collections.abc import Iterator

from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.report.parts import Estimate, Note, Section, Table

# Rows that a page shows; the files have all.
NUM_DESCRIBED = 20


def described_section(found: CompoundExplanation) -> Iterator[Section]:
    """Described mechanisms, the most probable first; nothing where none were described."""
    table = found.tables.get("described_mechanisms")
    if table is None:
        return
    text = (
        "Mechanisms that you described by proteins and by what is done to them. Each is scored by "
        "what the model says that the compound does to these proteins, so it need not have seen "
        "the mechanism. These probabilities are calibrated on known mechanisms that were left out "
        "when the model was trained; most mechanisms are rare, so most probabilities are small. "
        "They are not part of the answer above."
    )
    if not len(table):
        yield Section("Described mechanisms", text, [Note("This compound cannot be scored.")])
        return
    rows = [
        (row.mechanism, Estimate(row.probability), row.basis, float(row.score))
        for row in table.head(NUM_DESCRIBED).itertuples()
    ]
    shown = "All" if len(rows) == len(table) else f"The {len(rows)} most probable of"
    caption = (
        f"{shown} {len(table)} described mechanisms. Scores are in standard deviations of those of "
        "training compounds."
    )
    columns = ("mechanism", "probability", "basis", "score")
    yield Section("Described mechanisms", text, [Table(columns, rows, caption=caption)])
