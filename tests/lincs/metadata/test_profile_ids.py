"""Ids of wells and signatures, and names of fields."""

import pandas as pd
import pytest

from moa_jax.lincs.metadata.field_names import fold_name, is_field_name
from moa_jax.lincs.metadata.profile_ids import (
    identity_columns,
    is_plate_of_wells,
    is_signature_id,
    is_well_id,
    match_ids,
)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("pert_dose", "pert_dose"),
        (" Pert Dose ", "pert_dose"),
        ("PERT-DOSE", "pert_dose"),
        ('"exp_pert_dose"', "pert_dose"),
        ("Metadata_Plate", "plate"),
        ("Concentration [\u00b5M]", "concentration_um"),
        ("Time (h)", "time_h"),
    ],
)
def test_names_of_fields_fold(name, folded):
    assert fold_name(name) == folded
    assert is_field_name(name)


def test_a_unit_in_the_name_of_a_field():
    assert is_field_name("dose_nM")
    assert is_field_name("exp_pert_time_days")
    assert not any(map(is_field_name, ["GENE1", "780", "dose_of_hope", "TP53"]))


def test_wells_and_signatures_differ_by_the_replicate():
    wells = ["LJP005_A375_24H_X1_B19:A03", "P1:H12", "A03", "CPC020_A375_6H_X1_F1B4_DUO52:P24"]
    signatures = ["REP.A001_A375_24H:A03", "CPC006_A549_6H:BRD-U88459701-000-01-8:10"]
    assert all(map(is_well_id, wells))
    assert not any(map(is_well_id, [*signatures, "S1", "Q03", "A25", "a"]))
    assert all(map(is_signature_id, signatures))
    assert not any(map(is_signature_id, [*wells, "S1", "DBCONS:DB00014"]))
    assert is_plate_of_wells("LJP005_A375_24H_X1_B19")
    assert not any(map(is_plate_of_wells, ["LJP005_A375_24H", "P1|P2", None]))


def test_ids_match_without_case_and_blanks_where_that_is_safe():
    profiles = pd.Index(["w1", "W2", "w3 "], dtype=object)
    assert match_ids(pd.Series(["W1", " w2", "w3", "w4"]), profiles).tolist() == [0, 1, 2, -1]
    both = pd.Index(["w1", "W1"], dtype=object)
    assert match_ids(pd.Series(["W1", "w1 "]), both).tolist() == [1, -1]


def test_columns_that_may_hold_ids():
    table = pd.DataFrame(columns=["Sig ID", "pert_id", "Sample_ID", "cid"])
    assert identity_columns(table) == [("Sample_ID", "inst_id"), ("Sig ID", "sig_id"), ("cid", "")]
