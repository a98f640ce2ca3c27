"""The section about mechanisms that a user described."""

import numpy as np
import pandas as pd

from moa_jax.explanation.compound_page.described_section import NUM_DESCRIBED, described_section
from moa_jax.explanation.compound_page.explanation import CompoundExplanation
from moa_jax.report.html import render_page
from moa_jax.report.parts import Page
from tests.report.pages import cells_of, parse

TABLE = pd.DataFrame(
    {
        "mechanism": ["PIM <b>inhibitor</b>", "KRAS inhibitor"],
        "score": [3.5, -0.25],
        "probability": [0.25, np.nan],
        "basis": ["by its targets alone", "by its targets alone, of which no training compound"],
    }
)


def shown(tables):
    """Text and tables of the section."""
    found = object.__new__(CompoundExplanation)
    object.__setattr__(found, "tables", tables)
    page = parse(render_page(Page("title", sections=list(described_section(found)))))
    return next(page.all("main")).text, [cells_of(table) for table in page.all("table")]


def test_each_mechanism_has_its_probability_basis_and_score():
    text, (rows,) = shown({"described_mechanisms": TABLE})
    assert "All 2 described mechanisms." in text
    assert rows[0] == ["mechanism", "probability", "basis", "score"]
    assert rows[1] == ["PIM <b>inhibitor</b>", ".250", "by its targets alone", "3.500"]
    assert rows[2][2].startswith("by its targets alone, of which")
    assert rows[2][3] == "\N{MINUS SIGN}.250"


def test_of_many_mechanisms_the_first_are_shown():
    many = pd.concat([TABLE.iloc[:1]] * (NUM_DESCRIBED + 3), ignore_index=True)
    text, (rows,) = shown({"described_mechanisms": many})
    assert f"The {NUM_DESCRIBED} most probable of {NUM_DESCRIBED + 3} described" in text
    assert len(rows) == NUM_DESCRIBED + 1


def test_a_compound_without_scores_says_so_and_without_a_table_there_is_no_section():
    text, tables = shown({"described_mechanisms": TABLE.iloc[:0]})
    assert "This compound cannot be scored." in text
    assert not tables
    assert shown({})[0].strip() == ""
