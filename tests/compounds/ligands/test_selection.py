"""Cut-offs, duplicates, conflicts and the cap, on activities that can be computed by hand."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.compounds.ligands.activities import Activities
from moa_jax.compounds.ligands.selection import (
    LigandSettings,
    pairs_of,
    within_cap,
    within_pool,
)
from moa_jax.schemas import InputError

SETTINGS = LigandSettings(min_p_activity=6.0, min_kiba=12.0, max_spread=1.0)


def activities(*rows):
    """Rows are (key, gene, p, and other columns)."""
    parts = []
    for key, gene, p, more in rows:
        columns = {"p_activity": [p], **{name: [value] for name, value in more.items()}}
        part = Activities.of(columns, pd.RangeIndex(1), {}).table
        parts.append(part.assign(key=key, gene=gene))
    return pd.concat(parts, ignore_index=True)


def one_pair(*measurements, settings=SETTINGS):
    """Margin and action of one pair, or the reason why it is left out."""
    rows = [("L", "1", p, {"measure": "Ki", **more}) for p, more in measurements]
    pairs, dropped = pairs_of(activities(*rows), settings)
    if len(pairs):
        return pairs["margin"].item(), pairs["action"].item()
    return dropped


def test_the_median_of_duplicates_counts():
    assert one_pair((6.5, {}), (6.7, {}), (7.2, {})) == (pytest.approx(0.7), "")
    assert one_pair((6.0, {})) == (0.0, "")
    assert one_pair((5.9, {})) == {"weaker than the cut-off": 1}
    assert one_pair((5.8, {}), (6.1, {})) == {"weaker than the cut-off": 1}


def test_duplicates_that_are_too_far_apart_contradict_each_other():
    assert one_pair((6.5, {}), (7.5, {})) == (pytest.approx(1.0), "")
    assert one_pair((6.5, {}), (7.6, {})) == {"measurements disagree": 1}


def test_limits_contradict_only_what_lies_beyond_them():
    """`<` 10 nM is p above 8, `>` 10 uM is p below 5."""
    above, below = {"relation": "<"}, {"relation": ">"}
    assert one_pair((8.0, above)) == (2.0, "")
    assert one_pair((8.0, above), (9.8, {})) == (pytest.approx(2.9), "")
    assert one_pair((8.0, above), (6.5, {})) == {"measurements disagree": 1}
    assert one_pair((5.0, below), (7.0, {})) == {"measurements disagree": 1}
    assert one_pair((5.0, below)) == {"weaker than the cut-off": 1}
    # The cut-off lies beyond these limits, so that they say nothing.
    assert one_pair((7.0, below)) == {"limit that the cut-off lies beyond": 1}
    assert one_pair((5.0, above), (6.2, {})) == (pytest.approx(0.2), "")


def test_kiba_scores_have_their_own_cut_off_and_yield_to_activities():
    kiba = {"measure": "KIBA"}
    assert one_pair((12.4, kiba)) == (pytest.approx(0.4), "")
    assert one_pair((11.9, kiba)) == {"weaker than the cut-off": 1}
    assert one_pair((11.0, kiba), (7.0, {})) == (1.0, "")
    assert one_pair((np.nan, {"measure": ""})) == (0.0, "")
    assert one_pair((np.nan, {"measure": ""}), (5.0, {})) == {
        "KIBA score or missing activity of a pair with activities in mol/L": 1,
        "weaker than the cut-off": 1,
    }


def test_measures_that_are_not_wanted_are_left_out():
    settings = LigandSettings(measures=("Kd",), min_p_activity=6.0)
    reason = "measure is not in config.ligands.measures"
    assert one_pair((7.0, {}), settings=settings) == {reason: 1}
    assert one_pair((7.0, {"measure": ""}), settings=settings) == (1.0, "")


def test_actions_are_stated_or_inferred_from_ec50_on_receptors():
    ec50 = {"measure": "EC50", "target_name": "Peroxisome proliferator-activated receptor gamma"}
    assert one_pair((7.0, ec50)) == (1.0, "activates")
    assert one_pair((7.0, {**ec50, "measure": "Ki"})) == (1.0, "")
    assert one_pair((7.0, {**ec50, "target_name": "Thrombin"})) == (1.0, "")
    growth_factor = {**ec50, "target_name": "Epidermal growth factor receptor"}
    assert one_pair((7.0, growth_factor)) == (1.0, "")
    stated = {**ec50, "action": "inhibits"}
    assert one_pair((7.0, stated)) == (1.0, "inhibits")
    assert one_pair((7.0, stated), (7.0, {"action": "activates"})) == (1.0, "")
    off = LigandSettings(min_p_activity=6.0, ec50_activates=False)
    assert one_pair((7.0, ec50), settings=off) == (1.0, "")


def test_pairs_do_not_depend_on_the_order_of_rows():
    rows = activities(
        ("A", "1", 7.0, {"measure": "Ki", "source": "two"}),
        ("A", "1", 7.4, {"measure": "Kd", "source": "one"}),
        ("A", "2", 8.0, {"measure": "Ki", "source": "one"}),
        ("B", "1", 9.0, {"measure": "Ki", "source": "two"}),
    )
    pairs, _ = pairs_of(rows, SETTINGS)
    assert pairs["key"].tolist() == ["A", "A", "B"]
    assert pairs["source"].tolist() == ["one|two", "one", "two"]
    np.testing.assert_allclose(pairs["margin"], [1.2, 2.0, 3.0])
    again, _ = pairs_of(rows.iloc[[3, 1, 0, 2]], SETTINGS)
    pd.testing.assert_frame_equal(pairs, again)


def pairs(*rows):
    return pd.DataFrame(rows, columns=["key", "gene", "margin"])


def test_the_cap_takes_the_most_potent_ligand_of_each_scaffold_first():
    table = pairs(
        ("A", "1", 3.0), ("B", "1", 2.5), ("C", "1", 2.0), ("D", "1", 1.0), ("A", "2", 0.1)
    )
    scaffolds = pd.Series(["ring", "ring", "ring", "chain", "ring"])
    assert within_cap(table, scaffolds, 2).tolist() == [True, False, False, True, True]
    assert within_cap(table, scaffolds, 3).tolist() == [True, True, False, True, True]
    assert within_cap(table, scaffolds, 0).all()
    assert within_pool(table, 2).tolist() == [True, True, False, False, True]
    assert within_pool(table, 0).all()


def test_ties_are_broken_by_key():
    table = pairs(("B", "1", 1.0), ("A", "1", 1.0))
    assert within_cap(table, pd.Series(["x", "y"]), 1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"measures": ("Ki", "AC50")}, r"config.ligands.measures has 'AC50'; expected \('Ki'"),
        ({"max_spread": -1.0}, "config.ligands.max_spread is -1.0; expected 0 or more"),
        ({"max_per_target": -1}, r"config.ligands.max_per_target is -1; expected 0 \(all\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        LigandSettings(**values)
