"""What was measured and what carried an answer, in words."""

import numpy as np
import pandas as pd

from moa_jax.data.examples.measured_conditions import carried_by, measured


def conditions(lines, doses, times):
    return pd.DataFrame({"cell_line": lines, "dose_um": doses, "time_h": times})


def test_conditions_are_listed_once_and_in_order():
    table = conditions(["MCF7", None, "A375"], [10.0, 0.1, 1.0], [24.0, np.nan, 24.0])
    assert measured(table) == {"cell_lines": "A375|MCF7", "doses_um": "0.1|1|10", "times_h": "24"}
    assert measured(table.iloc[:0]) == {"cell_lines": "", "doses_um": "", "times_h": ""}


def test_what_differs_names_the_condition():
    table = conditions("A375", [0.1, 3.333, 10.0], 24.0)
    said = "10 uM (0.58), 3.33 uM (0.31), 0.1 uM (0.11)"
    assert carried_by(table, np.array([0.11, 0.31, 0.58])) == said
    table = conditions(["A375", "MCF7", "MCF7"], 10.0, 24.0)
    assert carried_by(table, np.array([0.4, 0.3, 0.3])) == "MCF7 (0.60), A375 (0.40)"
    assert carried_by(table.iloc[:1], np.ones(1)) == "A375 10 uM 24 h (1.00)"
    nothing = conditions([None], np.nan, np.nan)
    assert carried_by(nothing, np.ones(1)) == "not given (1.00)"


def test_a_long_list_is_cut():
    table = conditions("A375", np.arange(1.0, 11.0), 24.0)
    shares = np.arange(10.0, 0.0, -1.0) / 55
    said = carried_by(table, shares)
    assert said.startswith("1 uM (0.18), 2 uM (0.16), ")
    assert said.endswith("6 uM (0.09), 4 more (0.18)")


def test_amounts_of_unknown_unit_stand_as_they_were_written():
    table = pd.DataFrame(
        {
            "cell_line": ["A375"] * 3,
            "dose_um": [np.nan, np.nan, 1.0],
            "dose_text": ["100 ng/mL", "1 ng/mL", None],
            "time_h": [24.0, np.nan, 24.0],
        }
    )
    found = measured(table)
    assert found == {"cell_lines": "A375", "doses_um": "1|1 ng/mL|100 ng/mL", "times_h": "24"}
    told = carried_by(table.iloc[:2].assign(time_h=24.0), np.array([0.7, 0.3]))
    assert told == "100 ng/mL (0.70), 1 ng/mL (0.30)"
