"""The section about proteins: what it shows, and what it does not show without a test."""

import pandas as pd
import pytest

from moa_jax.evaluation.bootstrap import Difference
from moa_jax.explanation.audit.target_ranking import FREQUENCY, MODEL, REWIRED, TargetAudit
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.explanation.compound_page.protein_section import proteins_section
from moa_jax.explanation.evidence.carrying_edges import (
    EDGE_COLUMNS,
    GO,
    MECHANISM,
    PROTEIN,
    STRING,
    SUM_COLUMNS,
)
from moa_jax.report.html import render_page
from moa_jax.report.parts import Page
from tests.report.pages import cells_of, parse

BETTER, SAME = Difference(0.4, 0.3, 0.5, 0.001), Difference(0.01, -0.02, 0.03, 0.4)
TABLE = pd.DataFrame(
    {
        "rank": [1, 2],
        "entrez_id": ["3717", "3716"],
        "symbol": ["JAK2", "JAK1"],
        "action": ["inhibits", ""],
        "score": [3.0, 2.0],
        "from_signature": [1.0, 2.0],
        "from_structure": [2.0, 0.0],
        "contribution_inhibits": [0.25, -0.5],
        "contribution_activates": [0.0, -1.0],
        "contribution": [0.25, -1.5],
        "contribution_network": [0.0, 0.0],
        "is_target_of_mechanism": [True, False],
        "num_ligands": [6, 4],
        "neighbours": ["JAK1|<b>TYK2|A|B|C", ""],
        "is_known_target": [False, True],
    }
)

SUMS = pd.DataFrame(
    [
        ("JAK inhibitor", MECHANISM, 0.75, 0.74, 0.03, -0.02, ""),
        ("JAK2", PROTEIN, 3.0, 0.75, 0.25, 2.0, "JAK1 +2.00|TYK2 +0.25"),
    ],
    columns=list(SUM_COLUMNS),
)
EDGES = pd.DataFrame(
    [
        ("JAK inhibitor", MECHANISM, "JAK1", "IL6", STRING, "", 0.03, 0.6),
        ("JAK2", PROTEIN, "JAK2", "JAK1", GO, "kinase|<i>signalling</i>", 2.0, 0.8),
        *(("JAK2", PROTEIN, "JAK2", f"IL{row}", STRING, "", 0.03, 0.01) for row in range(7)),
    ],
    columns=list(EDGE_COLUMNS),
)


def audit_of(over_frequency, over_rewired):
    precision = {MODEL: 0.52, FREQUENCY: 0.12, REWIRED: 0.49}
    gain = {FREQUENCY: over_frequency, REWIRED: over_rewired}
    return TargetAudit(700, 1258, precision, gain)


def shown(audit=None, table=TABLE, targets=(), edges=False):
    """Text and tables of the section."""
    found = object.__new__(CompoundExplanation)
    own = {"edge_sums": SUMS, "edges": EDGES}
    tables = {
        "proteins": table,
        **(own if edges else {name: t.iloc[:0] for name, t in own.items()}),
    }
    values = {"moa": "JAK inhibitor", "tables": tables, "target_audit": audit}
    for name, value in (values | {"targets": targets}).items():
        object.__setattr__(found, name, value)
    page = parse(render_page(Page("title", sections=list(proteins_section(found)))))
    return next(page.all("main")).text, [cells_of(table) for table in page.all("table")]


def test_contributions_come_first_by_their_size_and_add_up():
    text, tables = shown(audit_of(BETTER, BETTER))
    assert "Through proteins, the score of JAK inhibitor changes by -1.25." in text
    assert [row[0] for row in tables[0]] == ["protein", "JAK1", "JAK2"]
    assert [row[-1] for row in tables[0]] == ["rank as a target", "2", "1"]


def test_a_ranking_that_was_tested_is_shown_with_its_test():
    text, tables = shown(audit_of(BETTER, BETTER))
    assert "Tested on 700 held-out compounds with known targets, among 1258 proteins" in text
    assert "precision 0.52, with the proteins that have the most ligands first 0.12" in text
    assert "STRING and the Gene Ontology add to this" in text
    assert "it is 0.49, a difference of +0.400 [+0.300, +0.500]" in text
    head, *rows = tables[1]
    assert head[-1] == "STRING neighbours"
    assert rows[0][:2] == ["JAK2", "inhibits"]
    assert rows[0][5:8] == ["yes", "6", "JAK1, <b>TYK2, A and 2 more"]
    assert rows[1][:2] == ["JAK1", "not known"]
    assert rows[1][-1] == ""


def test_known_targets_are_marked():
    _, tables = shown(audit_of(BETTER, SAME), targets=("JAK1",))
    assert [row[-1] for row in tables[1]] == ["known target", "no", "yes"]


def test_a_graph_that_adds_nothing_is_called_so():
    text, _ = shown(audit_of(BETTER, SAME))
    assert "STRING and the Gene Ontology do not measurably add to this" in text


def test_a_ranking_that_is_no_better_than_frequency_is_not_shown():
    text, tables = shown(audit_of(SAME, BETTER))
    assert len(tables) == 1
    assert "are not shown" in text


def test_a_ranking_without_a_test_says_so():
    text, tables = shown()
    assert len(tables) == 2
    assert "could not be tested for this model" in text


def test_a_mechanism_without_known_targets():
    text, tables = shown(table=TABLE.assign(contribution=0.0))
    assert "The targets of training compounds with JAK inhibitor are not known." in text
    assert len(tables) == 1


def test_a_model_without_proteins_has_no_section():
    found = object.__new__(CompoundExplanation)
    object.__setattr__(found, "tables", {})
    assert list(proteins_section(found)) == []


@pytest.mark.parametrize("over", [BETTER, SAME])
def test_an_audit_beats_a_control_if_the_whole_interval_is_above_zero(over):
    assert audit_of(over, over).beats(FREQUENCY) == (over is BETTER)


def test_edges_are_shown_where_they_matter_and_named_negligible_where_not():
    text, tables = shown(audit_of(BETTER, BETTER), edges=True)
    assert (
        "The protein network adds +0.75 to the score of JAK inhibitor; of this, +0.01 is due to "
        "edges, which is negligible." in text
    )
    assert (
        "The score of JAK2 as a target is 3.00; +2.25 of it is due to edges. Ligands that speak "
        "most for it: those of JAK1 +2.00, TYK2 +0.25." in text
    )
    assert "STRING +0.25, GO +2.00 in all." in text
    assert len(tables) == 3
    assert tables[2][0] == ["protein A", "protein B", "source", "contribution", "share"]
    assert tables[2][1][:3] == ["JAK2", "JAK1", "GO: kinase, <i>signalling</i>"]
    # Five of STRING's seven.
    assert [row[1] for row in tables[2][2:]] == ["IL0", "IL1", "IL2", "IL3", "IL4"]


def test_edges_to_proteins_are_not_shown_where_their_ranking_is_not():
    text, tables = shown(audit_of(SAME, SAME), edges=True)
    assert "due to edges, which is negligible" in text
    assert "JAK2 as a target" not in text
    assert len(tables) == 1


def test_what_the_network_makes_of_proteins_counts_in_their_order():
    text, tables = shown(table=TABLE.assign(contribution_network=[2.5, 0.5]))
    assert "that the protein network reads changes it by +3.00." in text
    assert [row[0] for row in tables[0]] == ["protein", "JAK2", "JAK1"]
    assert [row[-1] for row in tables[0]] == ["network", "2.500", ".500"]
