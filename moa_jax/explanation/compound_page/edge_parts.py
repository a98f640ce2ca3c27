"""The edges of STRING and GO that carry an answer, on a compound's page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from moa_jax.explanation.evidence.carrying_edges import GO, MECHANISM, STRING
from moa_jax.report.parts import Estimate, Part, Table, Text

# Edges of each source that a page shows; the file has more.
NUM_SHOWN = 5
# Smallest change by edges that is shown, as a logit and as a share of the score.
MIN_CHANGE, MIN_SHARE = 0.05, 0.05


def edges_parts(sums: pd.DataFrame, edges: pd.DataFrame, *, is_ranked: bool) -> Iterator[Part]:
    """What the edges change, and the edges that matter.

    Args:
      sums: `edge_sums` of `edge_tables`.
      edges: its `edges`.
      is_ranked: whether the page ranks proteins as targets; answers for them are not shown else.
    """
    shown = [row for row in sums.itertuples() if row.kind == MECHANISM or is_ranked]
    if shown:
        yield Text(
            "Edges of STRING and the Gene Ontology carry evidence from the ligands of one protein "
            "to another. What they contribute is measured by integrated gradients from a graph "
            "without edges, and sums to what they change; two proteins that share GO terms count "
            "as an edge.\n\n" + "\n\n".join(map(_sentence, shown))
        )
    for row in shown:
        own = edges[(edges["answer"] == row.answer) & (edges["kind"] == row.kind)]
        if not _is_negligible(row) and len(own):
            yield _edge_table(row, own)


def _sentence(row: Any) -> str:
    """What an answer would be without edges."""
    small = ", which is negligible" if _is_negligible(row) else ""
    change = row.score - row.without_edges
    if row.kind == MECHANISM:
        return (
            f"The protein network adds {row.score:+.2f} to the score of {row.answer}; of this, "
            f"{change:+.2f} is due to edges{small}."
        )
    return (
        f"The score of {row.answer} as a target is {row.score:.2f}; {change:+.2f} of it is due to "
        f"edges{small}. Ligands that speak most for it: those of "
        f"{row.ligands_of.replace('|', ', ') or 'no protein'}."
    )


def _is_negligible(row: Any) -> bool:
    return abs(row.score - row.without_edges) < max(MIN_CHANGE, MIN_SHARE * abs(row.score))


def _edge_table(row: Any, own: pd.DataFrame) -> Table:
    """The edges with the largest contributions to one answer."""
    first = pd.concat([own[own["source"] == source].head(NUM_SHOWN) for source in (STRING, GO)])
    first = first.sort_values("share", ascending=False, kind="stable")
    rows = [
        (
            edge.protein_a,
            edge.protein_b,
            edge.source if not edge.terms else f"GO: {edge.terms.replace('|', ', ')}",
            Estimate(edge.contribution),
            float(edge.share),
        )
        for edge in first.itertuples()
    ]
    return Table(
        ("protein A", "protein B", "source", "contribution", "share"),
        rows,
        caption=(
            f"Edges of the network that carry the answer for {row.answer}: the largest of each "
            f"source. STRING {row.from_string:+.2f}, GO {row.from_go:+.2f} in all. The share is "
            "that of all contributions, whatever their sign."
        ),
        folded=True,
    )
