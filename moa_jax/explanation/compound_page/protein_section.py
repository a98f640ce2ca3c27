"""The section of a compound's page about the proteins behind its answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from moa_jax.evaluation.bootstrap import Difference
from moa_jax.explanation.audit.target_ranking import FREQUENCY, MODEL, REWIRED, TargetAudit
from moa_jax.explanation.compound_page.edge_parts import edges_parts
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.compound_page.sections import some
from moa_jax.explanation.evidence.protein_evidence import NUM_TOP
from moa_jax.report.parts import Estimate, Note, Part, Section, Table, Text

# Rows of the tables that a page shows; the files have more.
NUM_PROTEINS, NUM_CONTRIBUTIONS = 12, 8
# Neighbours of each protein that are named.
NUM_NEIGHBOURS = 3


def proteins_section(found: CompoundExplanation) -> Iterator[Section]:
    """Proteins that the compound may act on; nothing for a model that does not use them."""
    table = found.tables.get("proteins")
    if table is None:
        return
    parts: list[Part] = [
        Text(_through_proteins(table, found.moa)),
        _contributions(table, found.moa),
        _claim(found.target_audit),
    ]
    is_ranked = found.target_audit is None or found.target_audit.beats(FREQUENCY)
    if is_ranked:
        parts.append(_ranking(table, found))
    parts += edges_parts(found.tables["edge_sums"], found.tables["edges"], is_ranked=is_ranked)
    yield Section(
        "Proteins",
        "A compound that resembles the ligands of a protein may act on that protein. Part of the "
        "score is answered through proteins: it is the evidence that the compound inhibits or "
        f"activates each of the proteins that known compounds with {found.moa} act on. The known "
        "targets of this compound are never shown to the model.",
        parts,
    )


def _through_proteins(table: pd.DataFrame, moa: str) -> str:
    """What proteins add to the score, and what the protein network makes of them."""
    text = f"Through proteins, the score of {moa} changes by {table['contribution'].sum():+.2f}."
    if table["contribution_network"].any():
        text += (
            " The evidence for proteins that the protein network reads changes it by "
            f"{table['contribution_network'].sum():+.2f}."
        )
    return text


def _contributions(table: pd.DataFrame, moa: str) -> Part:
    """The proteins that add most to the score, or subtract most from it."""
    together = table["contribution"] + table["contribution_network"]
    own = table[(table["contribution"] != 0) | (table["contribution_network"] != 0)]
    if not len(own):
        return Text(f"The targets of training compounds with {moa} are not known.")
    order = np.argsort(-together[own.index].abs().to_numpy(), kind="stable")
    rows = [
        (
            row.symbol,
            Estimate(row.contribution),
            float(row.contribution_inhibits),
            float(row.contribution_activates),
            int(row.rank),
            float(row.contribution_network),
        )
        for row in own.iloc[order[:NUM_CONTRIBUTIONS]].itertuples()
    ]
    columns = ("protein", "contribution", "inhibits", "activates", "rank as a target", "network")
    caption = (
        f"The proteins with the largest contributions to the score of {moa}, of {len(own)}. The "
        "contributions are exact. If it is not known whether a ligand inhibits or activates its "
        "target, half of it counts for each."
    )
    if own["contribution_network"].any():
        caption += (
            " Network: what the protein network adds because of the evidence for the protein, by "
            "integrated gradients from no evidence."
        )
    else:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(columns, rows, caption=caption)


def _claim(audit: TargetAudit | None) -> Part:
    """How often such a ranking finds the targets of held-out compounds."""
    if audit is None:
        return Note(
            "Whether the proteins that rank first are targets could not be tested for this model: "
            "it has no held-out compounds with known targets."
        )
    precision, gain = audit.average_precision, audit.gain
    tested = (
        f"Tested on {audit.num_compounds} held-out compounds with known targets, among "
        f"{audit.num_proteins} proteins: mean average precision {precision[MODEL]:.2f}, with the "
        f"proteins that have the most ligands first {precision[FREQUENCY]:.2f}, a difference of "
        f"{_interval(gain[FREQUENCY])}."
    )
    if not audit.beats(FREQUENCY):
        return Note(
            f"{tested} The proteins that rank first are not shown, because they are not known "
            "targets more often than the proteins with the most ligands.",
            kind="warning",
        )
    what = (
        "STRING and the Gene Ontology add to this"
        if audit.beats(REWIRED)
        else "STRING and the Gene Ontology do not measurably add to this"
    )
    return Text(
        f"{tested} {what}: with rewired interactions and shuffled terms it is "
        f"{precision[REWIRED]:.2f}, a difference of {_interval(gain[REWIRED])}."
    )


def _ranking(table: pd.DataFrame, found: CompoundExplanation) -> Table:
    """The proteins with the largest scores as targets."""
    rows = [
        (
            row.symbol,
            row.action or "not known",
            Estimate(row.score),
            float(row.from_signature),
            float(row.from_structure),
            bool(row.is_target_of_mechanism),
            int(row.num_ligands),
            some(row.neighbours.split("|"), NUM_NEIGHBOURS),
            bool(row.is_known_target),
        )
        for row in table.head(NUM_PROTEINS).itertuples()
    ]
    columns = (
        "protein",
        "action",
        "score",
        "signature",
        "structure",
        "mechanism",
        "ligands",
        "STRING neighbours",
        "known target",
    )
    width = len(columns) if found.targets else len(columns) - 1
    return Table(
        columns[:width],
        [row[:width] for row in rows],
        caption=(
            f"The proteins that rank first, of {len(table)} with training ligands. The score is a "
            "logit, the sum of the evidence from signature and structure; the action is the one "
            f"with more evidence. Mechanism: whether a training compound with {found.moa} acts on "
            "the protein. Ligands: training compounds that act on it. Neighbours are those among "
            f"the {NUM_TOP} first proteins."
        ),
    )


def _interval(difference: Difference) -> str:
    return f"{difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
