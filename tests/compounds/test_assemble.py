import collections
import time

import pandas as pd
import pytest

from moa_jax.compounds.assemble import assemble_compounds
from moa_jax.compounds.tables import (
    RAW_COLUMNS,
    ExclusionList,
    read_compound_table,
    read_exclusion_list,
)
from moa_jax.schemas import COMPOUND_COLUMNS, InputError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
ASPIRIN_KEY = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"


def raw_table(*rows, columns=RAW_COLUMNS):
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def rows_of_raw():
    return raw_table(
        ("P5", "x", "not a molecule", None, (), ()),
        ("P1", "aspirin", ASPIRIN, ASPIRIN_KEY, ("COX inhibitor",), ("PTGS1", "PTGS2")),
        ("P2", "aspirin sodium", f"[Na]{ASPIRIN[::-1][0]}C(=O)c1ccccc1OC(C)=O", None, (), ()),
        ("P3", "ASPIRIN", None, None, ("cox inhibitor",), ()),
        ("P4", "table salt", "[Na+].[Cl-]", "FAPWRFPIFSIZLT-UHFFFAOYSA-M", (), ()),
        ("P6", "hexylamine", "CCCCCCN", None, ("COX inhibitor",), ()),
    )


def test_salts_and_names_are_one_compound():
    compounds, counts = assemble_compounds(rows_of_raw(), None)
    table = compounds.table.set_index("pert_id")
    assert tuple(compounds.table.columns) == COMPOUND_COLUMNS
    assert list(table.index) == ["P1", "P2", "P3", "P4", "P5", "P6"]
    assert list(table["compound_group"]) == [
        *["BSYNRYMUTXBXSQ"] * 3,
        "FAPWRFPIFSIZLT",
        "x",
        "BMVXCPBXGZKUPN",
    ]
    assert table.loc["P2", "smiles"] == table.loc["P1", "smiles"] == ASPIRIN
    assert table.loc["P2", "inchi_key"] == ASPIRIN_KEY
    assert table.loc["P1", "targets"] == ("PTGS1", "PTGS2")
    assert table.loc["P3", "moas"] == ("COX inhibitor",)
    assert counts == {
        "compound is excluded": 0,
        "structure missing: invalid SMILES": 1,
        "structure missing: no structure": 1,
        "structure missing: only salt or solvent": 1,
    }


def test_what_is_missing_is_none_and_an_acyclic_scaffold_is_empty():
    compounds, _ = assemble_compounds(rows_of_raw(), None)
    table = compounds.table.set_index("pert_id")
    for pert_id in ("P3", "P4", "P5"):
        assert table.loc[pert_id, "smiles"] is None
        assert table.loc[pert_id, "scaffold"] is None
    assert table.loc["P5", "inchi_key"] is None
    assert table.loc["P6", "scaffold"] == ""
    assert table.loc["P6", "targets"] == ()


@pytest.mark.parametrize(
    "aside",
    [
        ExclusionList(groups=frozenset({"BSYNRYMUTXBXSQ"}), names=frozenset()),
        ExclusionList(groups=frozenset(), names=frozenset({"aspirin"})),
        ExclusionList(groups=frozenset(), names=frozenset({"aspirinsodium"})),
    ],
)
def test_a_kept_aside_compound_leaves_with_its_group(aside):
    compounds, counts = assemble_compounds(rows_of_raw(), aside)
    assert list(compounds.table["pert_id"]) == ["P4", "P5", "P6"]
    assert list(compounds.table.index) == [0, 1, 2]
    assert counts["compound is excluded"] == 3
    assert "structure missing: no structure" not in counts


def test_the_sources_key_excludes_where_the_structure_has_another():
    raw = raw_table(("P1", "salt of x", "CCCN.OC(=O)C(O)=O", ASPIRIN_KEY, (), ()))
    aside = ExclusionList(groups=frozenset({"BSYNRYMUTXBXSQ"}), names=frozenset())
    compounds, _ = assemble_compounds(raw, aside)
    assert len(compounds.table) == 0


def test_curated_groups_and_labels_are_taken_word_for_word():
    columns = (*RAW_COLUMNS, "compound_group")
    raw = raw_table(
        ("P1", "a", "CCN", None, ("Akt inhibitor",), (), "one"),
        ("P2", "a", "CCN", None, ("AKT inhibitor",), (), "two"),
        ("P3", "b", None, None, (), (), "three"),
        columns=columns,
    )
    compounds, _ = assemble_compounds(raw, None)
    assert list(compounds.table["compound_group"]) == ["one", "two", "three"]
    assert list(compounds.table["moas"])[:2] == [("Akt inhibitor",), ("AKT inhibitor",)]
    aside = ExclusionList(groups=frozenset({"three"}), names=frozenset())
    assert list(assemble_compounds(raw, aside)[0].table["pert_id"]) == ["P1", "P2"]
    raw.loc[1, "compound_group"] = None
    with pytest.raises(InputError, match="has no compound_group for P2"):
        assemble_compounds(raw, None)


def test_the_order_of_rows_does_not_matter():
    raw = rows_of_raw()
    expected, counts = assemble_compounds(raw, None)
    shuffled, shuffled_counts = assemble_compounds(raw.iloc[[3, 1, 5, 0, 4, 2]], None)
    pd.testing.assert_frame_equal(shuffled.table, expected.table)
    assert shuffled_counts == counts


def test_bad_tables_are_refused():
    with pytest.raises(InputError, match="the raw compound table lacks the column moas"):
        assemble_compounds(rows_of_raw().drop(columns="moas"), None)
    row = ("P1", "a", "CCN", None, (), ())
    with pytest.raises(InputError, match="repeats pert_id P1"):
        assemble_compounds(raw_table(row, row), None)


def test_no_rows():
    compounds, counts = assemble_compounds(raw_table(), None)
    assert tuple(compounds.table.columns) == COMPOUND_COLUMNS
    assert len(compounds.table) == 0
    assert counts == {"compound is excluded": 0}


def test_real_label_set(real_data):
    """The published counts of the LINCS 2020 file: 53 MoAs, 414 compounds, 1,707 signatures."""
    folder = real_data / "compounds"
    start = time.monotonic()
    compounds, counts = assemble_compounds(
        read_compound_table(folder / "compounds.tsv"),
        read_exclusion_list(folder / "kept_aside_compounds.tsv"),
    )
    assert time.monotonic() - start < 60
    assert counts == {"compound is excluded": 265, "structure missing: no structure": 255}
    siginfo = pd.read_csv(
        real_data / "expression" / "LINCS2020_level5_gold_24h_10uM_siginfo.txt", sep="\t"
    )
    table = compounds.table
    table = table[table["smiles"].notna() & table["pert_id"].isin(siginfo["pert_id"])]
    pairs = table[["compound_group", "moas"]].explode("moas").dropna().drop_duplicates()
    per_moa = collections.Counter(pairs["moas"])
    kept = {moa for moa, num_compounds in per_moa.items() if num_compounds >= 5}
    labelled = table[[not kept.isdisjoint(moas) for moas in table["moas"]]]
    assert len(kept) == 53
    assert labelled["compound_group"].nunique() == 414
    assert siginfo["pert_id"].isin(labelled["pert_id"]).sum() == 1707
