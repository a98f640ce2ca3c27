"""A user's signatures: what the files say arrives, whatever they call, order or lack."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.user_input.signatures import level_lines
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.schemas import InputError
from tests.data.user_input.signature_files import (
    ENTREZ,
    FEATURES,
    SIG_IDS,
    SIGINFO,
    VALUES,
    read,
    write_compoundinfo,
    write_matrix,
    write_table,
)


def test_what_the_files_say_arrives(tmp_path, siginfo):
    compounds = write_compoundinfo(tmp_path / "compounds.txt")
    new = read(write_matrix(tmp_path / "m.gctx"), siginfo, compounds)
    examples = new.examples
    np.testing.assert_array_equal(examples.expression, VALUES)
    assert examples.gene_mask.all()
    assert examples.has_expression.all()
    assert examples.moas == FEATURES.moas
    assert not examples.labels.any()
    assert examples.groups == ("A", "B", "A", "C")
    assert examples.smiles == ("CC(=O)Oc1ccccc1C(=O)O", None, "CC(=O)Oc1ccccc1C(=O)O", None)
    table = examples.table
    assert table["sig_id"].tolist() == SIG_IDS
    assert table["cell_line"].tolist() == ["A375", "MCF7", "HELA", None]
    np.testing.assert_array_equal(table["dose_um"], [10, 0.1, np.nan, np.nan])
    np.testing.assert_array_equal(table["time_h"], [24, 6, 24, np.nan])
    distance = np.abs(VALUES - FEATURES.mean) / FEATURES.scale
    assert new.report == {
        "signatures": {
            "predicted": 4,
            "left_out_because_siginfo_lacks_them": 0,
            "without_pert_id": 0,
        },
        "genes": {
            "expected": 5,
            "measured": 5,
            "missing": [],
            "others_not_used": 0,
            "found_by_name": 0,
            "read_from": "row ids",
            "repeated_alike": 0,
            "dates_taken_for_symbols": {},
            "dates_not_understood": 0,
        },
        "compounds": {
            "predicted": 3,
            "with_structure": 1,
            "without_structure": {"invalid SMILES": 1, "not in the compound table": 1},
            "found_by_name_or_other_spelling": 0,
            "told_by_metadata": 0,
            "table": {"ids": "pert_id", "structures": "canonical_smiles", "contradicting": []},
        },
        "context": {
            "unknown_cell_lines": {"HELA": 1},
            "without_cell_line": 1,
            "without_dose": 2,
            "without_time": 1,
        },
        "median_standardised_magnitude": pytest.approx(np.median(distance)),
    }


def test_siginfo_may_be_in_another_order_and_select(tmp_path):
    siginfo = write_table(tmp_path / "siginfo.txt", SIGINFO.iloc[[2, 1]])
    new = read(write_matrix(tmp_path / "m.gctx"), siginfo)
    assert new.examples.table["sig_id"].tolist() == ["S2", "S3"]
    assert new.examples.groups == ("B", "A")
    np.testing.assert_array_equal(new.examples.expression, VALUES[[1, 2]])
    assert new.report["signatures"]["left_out_because_siginfo_lacks_them"] == 2


def test_rows_of_siginfo_that_the_matrix_lacks_are_counted(tmp_path):
    more = SIGINFO.assign(sig_id=["S1", "X2", "S3", "X4"])
    new = read(write_matrix(tmp_path / "m.gctx"), write_table(tmp_path / "siginfo.txt", more))
    np.testing.assert_array_equal(new.examples.expression, VALUES[[0, 2]])
    assert new.level["rows_without_profile"] == 2
    assert "  2 rows of siginfo left out: not in the matrix" in list(level_lines(new.level))
    assert new.report["signatures"]["left_out_because_siginfo_lacks_them"] == 2


def test_case_and_blanks_of_names_and_ids_carry_no_meaning(tmp_path):
    untidy = SIGINFO.assign(
        sig_id=["s1", " S2 ", "S3", "s4"],
        pert_id=["A", "B", "a ", "C"],
        cell_iname=["a375", "MCF7 ", "Hela", "-666"],
    ).rename(columns={"sig_id": "Sig ID", "cell_iname": "CELL_INAME", "pert_id": " Pert_ID"})
    new = read(write_matrix(tmp_path / "m.gctx"), write_table(tmp_path / "siginfo.txt", untidy))
    np.testing.assert_array_equal(new.examples.expression, VALUES)
    assert new.examples.groups == ("A", "B", "A", "C")
    assert new.examples.table["sig_id"].tolist() == SIG_IDS
    # As the model writes them.
    assert new.examples.table["cell_line"].tolist() == ["A375", "MCF7", "Hela", None]


def test_signs_in_names_of_cell_lines_carry_no_meaning(tmp_path):
    table = SIGINFO.assign(cell_iname=["A-375", "mcf 7", "A375", "U-937"])
    new = read(write_matrix(tmp_path / "m.gctx"), write_table(tmp_path / "siginfo.txt", table))
    assert new.examples.table["cell_line"].tolist() == ["A375", "MCF7", "A375", "U-937"]
    assert new.report["context"]["unknown_cell_lines"] == {"U-937": 1}


def test_profiles_that_are_numbered_go_by_their_column_of_ids(tmp_path, siginfo):
    """R and pandas number rows; a column beside them names the signatures, siginfo those."""
    columns = [f"GENE{100 + gene}" for gene in range(5)]
    table = pd.DataFrame(VALUES, columns=columns)
    table.insert(0, "sig_id", SIG_IDS)
    table.to_csv(tmp_path / "m.csv")
    new = read(tmp_path / "m.csv", siginfo)
    assert new.examples.table["sig_id"].tolist() == SIG_IDS
    assert new.examples.table["pert_id"].tolist() == ["A", "B", "A", "C"]
    np.testing.assert_allclose(new.examples.expression, VALUES, rtol=1e-6)
    assert read(tmp_path / "m.csv").examples.table["sig_id"].tolist() == SIG_IDS
    # A column that repeats names no profile.
    table.assign(sig_id="S1").to_csv(tmp_path / "m.csv")
    assert read(tmp_path / "m.csv").examples.table["sig_id"].tolist() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("name", "level"), [("inst_id", 4), ("sig_id", 5)])
def test_what_a_table_calls_its_first_column_tells_wells(tmp_path, name, level):
    table = pd.DataFrame(VALUES, index=SIG_IDS, columns=ENTREZ).assign(pert_id=list("AABB"))
    table.rename_axis(name).to_csv(tmp_path / "m.csv")
    assert read(tmp_path / "m.csv").level["level"] == level


def test_vehicles_among_signatures_get_no_answer(tmp_path):
    table = SIGINFO.assign(
        pert_id=["A", "DMSO", "A", "C"], pert_type=["TRT_CP", "trt_cp", "Trt_cp", "CTL_Vehicle"]
    )
    new = read(write_matrix(tmp_path / "m.gctx"), write_table(tmp_path / "siginfo.txt", table))
    assert new.examples.groups == ("A", "A")
    assert new.level["controls_left_out"] == 2
    table["pert_type"] = "ctl_untrt"
    write_table(tmp_path / "siginfo.txt", table)
    with pytest.raises(InputError, match="no signature of a compound: all 4 are of vehicles"):
        read(tmp_path / "m.gctx", tmp_path / "siginfo.txt")


def test_a_bare_matrix_names_its_vehicles(tmp_path):
    ids = ["vorinostat", "DMSO", "dmso_2", "A375_DMSO_1", "x_vs_DMSO"]
    values = np.concatenate([VALUES, VALUES[:1]])
    genes = pd.DataFrame(index=pd.Index(ENTREZ))
    profiles = pd.DataFrame(index=ids)
    write_gctx(tmp_path / "m.gctx", profile_table=profiles, gene_table=genes, blocks=[values])
    new = read(tmp_path / "m.gctx")
    assert new.examples.groups == ("vorinostat", "x_vs_DMSO")
    assert new.level["made_of"]["vehicle_wells"] == 3


def test_doses_and_times_of_unknown_unit_keep_their_text(tmp_path):
    table = SIGINFO.assign(pert_idose=["1 ng/mL", "2 %", "0,1 uM", "1 umol/L"])
    table["pert_itime"] = ["2 weeks", "3 passages", "30 min", "24 h"]
    new = read(write_matrix(tmp_path / "m.gctx"), write_table(tmp_path / "siginfo.txt", table))
    found = new.examples.table
    np.testing.assert_array_equal(found["dose_um"], [np.nan, np.nan, 0.1, 1])
    np.testing.assert_array_equal(found["time_h"], [336, np.nan, 0.5, 24])
    assert found["dose_text"].tolist() == ["1 ng/mL", "2 %", None, None]
    assert found["time_text"].tolist() == [None, "3 passages", None, None]
    lines = list(level_lines(new.level))
    assert "  2 doses kept as written, of unknown unit: 1 ng/mL, 2 %" in lines
    assert "  1 time kept as written, of unknown unit: 3 passages" in lines


def test_the_matrix_file_may_tell_what_siginfo_would(tmp_path):
    # The metadata of one well each; their common sig_id is not what names the profiles.
    path = write_matrix(
        tmp_path / "m.gctx",
        pert_id=["A", "B", "-666", "C"],
        cell_id=["A375", "MCF7", "A375", "A375"],
        pert_idose=["10 uM"] * 4,
        sig_id=["S0"] * 4,
    )
    new = read(path)
    assert new.examples.table["sig_id"].tolist() == SIG_IDS
    assert new.examples.groups == ("A", "B", "S3", "C")
    assert new.examples.table["cell_line"].tolist() == ["A375", "MCF7", "A375", "A375"]
    assert new.examples.table["dose_um"].tolist() == [10] * 4
    assert new.report["signatures"]["without_pert_id"] == 1
    assert new.report["context"]["without_time"] == 4
    assert new.report["compounds"]["without_structure"] == {"no compound table": 4}


def test_a_bare_matrix_makes_each_signature_its_own_compound(tmp_path):
    new = read(write_matrix(tmp_path / "m.gctx"))
    assert new.examples.groups == tuple(SIG_IDS)
    assert new.examples.table["pert_id"].tolist() == SIG_IDS
    assert new.examples.table[["cell_line", "dose_um", "time_h"]].isna().all(axis=None)
    assert new.examples.smiles == (None,) * 4


def test_salts_and_empty_structures_are_counted(tmp_path, siginfo):
    compounds = [("A", "[Na+].[Cl-]"), ("B", ""), ("C", "[Na+].[O-]C(=O)Cc1ccccc1")]
    path = write_compoundinfo(tmp_path / "compounds.txt", compounds)
    new = read(write_matrix(tmp_path / "m.gctx"), siginfo, path)
    assert new.examples.smiles == (None, None, None, "O=C(O)Cc1ccccc1")
    assert new.report["compounds"]["without_structure"] == {
        "no structure": 1,
        "only salt or solvent": 1,
    }
