import gzip

import numpy as np
import pandas as pd
import pytest

from moa_jax.lincs.metadata.releases import (
    harmonise_cellinfo,
    harmonise_geneinfo,
    harmonise_instinfo,
    harmonise_siginfo,
    is_missing,
    read_table,
    signature_instances,
)
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

SIGINFO_2017 = """sig_id\tpert_id\tpert_iname\tpert_type\tcell_id\tpert_dose\tpert_dose_unit\t\
pert_idose\tpert_time\tpert_time_unit\tpert_itime\tdistil_id\tdistil_cc_q75\ttas
P_A375_6H:BRD-1:0.5\tBRD-1\tvorinostat\ttrt_cp\tA375\t500\tnM\t\
500 nM\t6\th\t6 h\tp1|p2|p3\t0.4\t0.3
P_A375_6H:BRD-2:10\tBRD-2\tsirolimus\ttrt_cp\tA375\t-666\t-666\t\
10 uM\t-666.0\t\t24 h\tp4\t-666\t-666.00
P_A375_6H:DMSO\tDMSO\tDMSO\tctl_vehicle\tA375\t0.1\t%\t0.1 %\t6\th\t6 h\tp5|p6\tnan\tNA
"""
SIGINFO_2020 = """bead_batch\tpert_dose\tpert_dose_unit\tpert_time\tpert_time_unit\tnsample\t\
cc_q75\tss_ngene\ttas\tis_hiq\tqc_pass\tpert_id\tsig_id\tpert_type\tcell_iname\tdet_plates\tcmap_name
b17\t10\tuM\t24\th\t3\t0.6\t120\t0.4\t1\t1.0\tBRD-1\tS1\ttrt_cp\tMCF7\tP_X1|P_X2\tvorinostat
b17\t\tuM\t\th\t2\t0.1\t20\t0.1\t0\t\tBRD-2\tS2\ttrt_cp\tCONSENSUS\t\t""
"""


def write(tmp_path, text, name="table.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_sentinels_of_the_field():
    assert all(map(is_missing, ["-666", "-666.0", "-666.00", "", " ", "nan", "NaN", "NA"]))
    assert not any(map(is_missing, ["0", "-6660", "NAT1", "666", "-666 h"]))


def test_2017_siginfo(tmp_path):
    table = harmonise_siginfo(read_table(write(tmp_path, SIGINFO_2017)), "sig_info")
    kinds = ["pert_type", "is_hiq", "qc_pass", "dose_text", "time_text"]
    assert [*table.columns] == [*SIGNATURE_COLUMNS, *kinds]
    assert [*table["compound"]] == ["vorinostat", "sirolimus", "DMSO"]
    np.testing.assert_array_equal(table["dose_um"], [0.5, 10, np.nan])
    assert table["dose_text"].tolist() == [None, None, "0.1 %"]
    np.testing.assert_array_equal(table["time_h"], [6, 24, 6])
    np.testing.assert_array_equal(table["n_replicates"], [3, 1, 2])
    np.testing.assert_array_equal(table["cc_q75"], [0.4, np.nan, np.nan])
    np.testing.assert_array_equal(table["tas"], [0.3, np.nan, np.nan])
    assert table["plate"].tolist() == [None] * 3
    assert table["is_hiq"].isna().all()


def test_2020_siginfo(tmp_path):
    table = harmonise_siginfo(read_table(write(tmp_path, SIGINFO_2020)), "siginfo_beta")
    assert table["cell_line"].tolist() == ["MCF7", None]
    assert table["compound"].tolist() == ["vorinostat", None]
    assert table["plate"].tolist() == ["P_X1|P_X2", None]
    np.testing.assert_array_equal(table["dose_um"], [10, np.nan])
    np.testing.assert_array_equal(table["time_h"], [24, np.nan])
    assert table["is_hiq"].tolist() == [True, False]
    assert table["qc_pass"][0] is np.True_
    assert table["qc_pass"][1] is pd.NA


def test_canonical_tables_are_read_back_as_they_are(tmp_path):
    once = harmonise_siginfo(read_table(write(tmp_path, SIGINFO_2017)), "first")
    pd.testing.assert_frame_equal(harmonise_siginfo(once, "second"), once)


def test_a_number_without_unit_is_micromolar_only_where_no_row_has_a_unit():
    table = pd.DataFrame({"sig_id": ["a", "b"], "pert_id": ["x", "y"], "pert_dose": [5, 7.0]})
    assert harmonise_siginfo(table, "t")["dose_um"].tolist() == [5, 7]
    table["pert_dose_unit"] = ["nM", ""]
    np.testing.assert_array_equal(harmonise_siginfo(table, "t")["dose_um"], [0.005, np.nan])


@pytest.mark.parametrize("column", ["sig_id", "pert_id"])
def test_a_siginfo_without_its_ids_is_refused(tmp_path, column):
    table = read_table(write(tmp_path, SIGINFO_2017)).drop(columns=column)
    with pytest.raises(InputError, match=f"sig_info.txt lacks the column {column}"):
        harmonise_siginfo(table, "sig_info.txt")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("sig_id", "P_A375_6H:BRD-1:0.5", "repeats the sig_id P_A375_6H:BRD-1:0.5"),
        ("sig_id", "-666", "row 2 of sig_info.txt has no sig_id"),
        ("tas", "high", "sig_info.txt has 'high' as tas of P_A375_6H:BRD-2:10"),
        ("tas", "inf", "has 'inf' as tas"),
        ("pert_idose", "ten", "has 'ten' as pert_idose of P_A375_6H:BRD-2:10"),
    ],
)
def test_a_bad_cell_of_a_siginfo_is_named(tmp_path, column, value, message):
    table = read_table(write(tmp_path, SIGINFO_2017))
    table.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        harmonise_siginfo(table, "sig_info.txt")


def test_a_flag_is_0_or_1(tmp_path):
    table = read_table(write(tmp_path, SIGINFO_2020)).assign(is_hiq="maybe")
    with pytest.raises(InputError, match="'maybe' as is_hiq of S1; 0 or 1"):
        harmonise_siginfo(table, "siginfo")


def test_of_several_columns_the_first_with_a_value_counts():
    table = pd.DataFrame(
        {
            "Inst_ID": ["P1_X1:A01", "P1_X1:A02 "],
            "PERT_ID": ["brd-1", "BRD-1"],
            "cmap_name": ["-666", "b"],
            "pert_iname": ["a", "c"],
            "exp_pert_dose": ["nan", "5"],
            "exp_pert_dose_unit": ["", "nM"],
            "pert_idose": ["1 ng/mL", "7 uM"],
            "exp_pert_time": ["1", "-666"],
            "pert_time_units": ["weeks", ""],
            "pert_itime": ["", "2 passages"],
            "cell_iname": ["a375", "A375"],
            "QC Pass": ["Yes", "FAIL"],
            "Pert Type": ["TRT_CP", " Compound"],
        }
    )
    found = harmonise_instinfo(table, "wells")
    assert found["inst_id"].tolist() == ["P1_X1:A01", "P1_X1:A02"]
    assert found["compound"].tolist() == ["a", "b"]
    assert found["pert_id"].nunique() == found["cell_line"].nunique() == 1
    np.testing.assert_array_equal(found["dose_um"], [np.nan, 0.005])
    np.testing.assert_array_equal(found["time_h"], [168, np.nan])
    assert found["dose_text"].tolist() == ["1 ng/mL", None]
    assert found["time_text"].tolist() == [None, "2 passages"]
    assert found["qc_pass"].tolist() == [True, False]
    assert found["pert_type"].tolist() == ["trt_cp", "trt_cp"]
    assert found["plate"].tolist() == ["P1_X1", "P1_X1"]
    assert found["well"].tolist() == ["A01", "A02"]


def test_one_column_names_all_plates():
    """Scanner and lysate plates have different names: wells of one plate must not get both."""
    table = pd.DataFrame({"inst_id": ["a", "b", "c"], "pert_id": "x"})
    table["det_plate"] = ["P1_X1_B4", "nan", "-666"]
    table["rna_plate"] = ["P1_X1", "P1_X1", "p1_x1"]
    assert harmonise_instinfo(table, "wells")["plate"].tolist() == ["P1_X1"] * 3
    table["rna_plate"] = ["nan", "P1_X1", "P2_X1"]
    assert harmonise_instinfo(table, "wells")["plate"].tolist() == ["P1_X1_B4", "P1_X1", "P2_X1"]


def test_a_vehicles_dose_may_be_called_anything():
    table = pd.DataFrame({"inst_id": ["a", "b"], "pert_id": ["DMSO", "x"]})
    table["pert_idose"] = ["as the others", "1 uM"]
    found = harmonise_instinfo(table, "wells")
    np.testing.assert_array_equal(found["dose_um"], [np.nan, 1])
    with pytest.raises(InputError, match="has 'as the others' as pert_idose of b; an amount"):
        harmonise_instinfo(table.assign(inst_id=["b", "a"], pert_id="x"), "wells")


def test_signatures_know_their_instances(tmp_path):
    pairs = signature_instances(read_table(write(tmp_path, SIGINFO_2017)), "sig_info")
    assert pairs["inst_id"].tolist() == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert pairs["sig_id"].tolist()[:4] == ["P_A375_6H:BRD-1:0.5"] * 3 + ["P_A375_6H:BRD-2:10"]


def test_instinfo_of_both_releases():
    common = {"pert_id": ["BRD-1"], "pert_type": ["trt_cp"], "pert_dose": ["10"]}
    common |= {"qc_pass": ["1"]}
    old = pd.DataFrame(
        {
            **common,
            "inst_id": ["P_X1:A03"],
            "rna_plate": ["P_X1"],
            "rna_well": ["A03"],
            "cell_id": ["PC3"],
            "pert_iname": ["a"],
        }
    )
    new = pd.DataFrame(
        {
            **common,
            "sample_id": ["P_X1:A03"],
            "det_plate": ["P_X1"],
            "det_well": ["A03"],
            "rna_plate": ["other"],
            "cell_iname": ["PC3"],
            "cmap_name": ["a"],
        }
    )
    table = harmonise_instinfo(old, "2017")
    assert table.iloc[0].to_dict() == {
        "inst_id": "P_X1:A03",
        "pert_id": "BRD-1",
        "compound": "a",
        "cell_line": "PC3",
        "dose_um": 10.0,
        "time_h": pytest.approx(np.nan, nan_ok=True),
        "pert_type": "trt_cp",
        "plate": "P_X1",
        "well": "A03",
        "sig_id": None,
        "qc_pass": True,
        "dose_text": None,
        "time_text": None,
    }
    pd.testing.assert_frame_equal(harmonise_instinfo(new, "2020"), table)
    with pytest.raises(InputError, match="2017 repeats the inst_id P_X1:A03"):
        harmonise_instinfo(pd.concat([old, old]), "2017")
    with pytest.raises(InputError, match="2017 lacks the column inst_id"):
        harmonise_instinfo(old.drop(columns="inst_id"), "2017")


def test_geneinfo_of_both_releases():
    old = pd.DataFrame({"pr_gene_id": [780.0], "pr_gene_symbol": ["DDR1"], "pr_is_lm": [1]})
    new = pd.DataFrame({"gene_id": ["780"], "gene_symbol": ["DDR1"], "feature_space": ["landmark"]})
    table = harmonise_geneinfo(old, "2017")
    assert table.iloc[0].to_dict() == {"entrez_id": "780", "symbol": "DDR1", "is_landmark": True}
    pd.testing.assert_frame_equal(harmonise_geneinfo(new, "2020"), table)
    assert not harmonise_geneinfo(new.assign(feature_space="inferred"), "g")["is_landmark"].any()
    assert harmonise_geneinfo(new[["gene_id"]], "g")["is_landmark"].isna().all()


def test_cellinfo_of_both_releases():
    old = pd.DataFrame({"cell_id": ["A375"], "primary_site": ["skin"], "subtype": ["-666"]})
    new = pd.DataFrame({"cell_iname": ["A375"], "cell_lineage": ["skin"], "subtype": [""]})
    table = harmonise_cellinfo(old, "2017")
    assert table.iloc[0].tolist() == ["A375", "skin", None, None]
    pd.testing.assert_frame_equal(harmonise_cellinfo(new, "2020"), table)


def test_tables_may_be_gzipped_commented_quoted_latin1_or_without_rows(tmp_path):
    text = '!Source\tx\n!More\n\na\tb\n"say ""no"""\t5 \u00b5M\r\n\nna\t"\n'
    expected = pd.DataFrame({"a": ['say "no"', np.nan], "b": ["5 \u00b5M", '"']})
    for content in (text.encode(), text.encode("latin-1"), gzip.compress(text.encode())):
        pd.testing.assert_frame_equal(read_table(write(tmp_path, content)), expected)
    assert read_table(write(tmp_path, "\ufeffa\tb\n")).columns.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"!only a comment\n", "is empty"),
        (b"a\tb\ta\n1\t2\t3\n", "names the column a twice"),
        (b"a\t\n1\t2\n", "column 2 of .* has no name"),
        (b"a\tb\n1\t2\n\n3\n", "line 4 of .* has 1 fields; the header names 2 columns"),
        (b"a\tb\n1\t2\t3\n1\t2\n", "line 2 of .* has 3 fields"),
        # Without a time, which pytest would make part of the name of the test.
        (gzip.compress(b"a\tb\n" * 99, mtime=0)[:-9], "is truncated or damaged"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path, text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.txt"):
        read_table(tmp_path / "none.txt")


def test_real_tables(real_data):
    for name in ("genes/GSE92742_Broad_LINCS_gene_info.txt", "genes/geneinfo_beta.txt"):
        genes = harmonise_geneinfo(read_table(real_data / name), name)
        assert (len(genes), genes["is_landmark"].sum()) == (12328, 978)
    name = "expression/LINCS2020_level5_gold_24h_10uM_siginfo.txt"
    signatures = harmonise_siginfo(read_table(real_data / name), name)
    assert signatures["cell_line"].nunique() == 18
    assert set(signatures["dose_um"]) == {10.0}
    name = "expression/TCS_L1000_phase2_2017_siginfo.txt"
    consensus = harmonise_siginfo(read_table(real_data / name), name)
    assert consensus[["cell_line", "dose_um", "time_h"]].isna().all(axis=None)
    name = "cells/GSE92742_Broad_LINCS_cell_info.txt"
    assert len(harmonise_cellinfo(read_table(real_data / name), name)) == 98
