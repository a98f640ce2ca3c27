"""A user's signatures: whatever the file calls, orders or lacks, the examples are the same."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.examples.features import fit_features
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import level_lines, read_new_signatures
from moa_jax.lincs.files.gctx_writer import write_gctx
from moa_jax.schemas import InputError
from tests.synthetic import make_gene_table, make_raw_examples

GENES = make_gene_table()
ENTREZ = list(GENES["entrez_id"])
FEATURES = fit_features(make_raw_examples(), GENES)
SIG_IDS = ["S1", "S2", "S3", "S4"]
VALUES = np.random.default_rng(7).normal(size=(4, 5)).astype(np.float32)
SIGINFO = pd.DataFrame(
    {
        "sig_id": SIG_IDS,
        "pert_id": ["A", "B", "A", "C"],
        "cmap_name": ["aspirin", "b", "aspirin", "c"],
        "cell_iname": ["A375", "MCF7", "HELA", "-666"],
        "pert_idose": ["10 uM", "100 nM", "", "-666"],
        "pert_itime": ["24 h", "6 h", "24 h", ""],
    }
)
# Files of a folder of real data.
LYMPHOMA = "doses/lymphoma/L1000_lymphoma"
COMPOUNDS = [
    ("A", "CC(=O)Oc1ccccc1C(O)=O"),
    ("B", "not a molecule"),
    ("UNUSED", "CCO"),
]


def write_matrix(path, values=VALUES, gene_ids=ENTREZ, **profile_fields):
    """A GCTX file of the signatures `SIG_IDS`."""
    profiles = pd.DataFrame(profile_fields, index=SIG_IDS[: len(values)])
    genes = pd.DataFrame(index=pd.Index(gene_ids))
    write_gctx(path, profile_table=profiles, gene_table=genes, blocks=[values])
    return path


def write_table(path, table):
    table.to_csv(path, sep="\t", index=False)
    return path


def write_compoundinfo(path, compounds=COMPOUNDS):
    rows = [(pert_id, pert_id.lower(), "", "", smiles, "") for pert_id, smiles in compounds]
    columns = ["pert_id", "cmap_name", "target", "moa", "canonical_smiles", "inchi_key"]
    return write_table(path, pd.DataFrame(rows, columns=columns))


def read(matrix, siginfo=None, compoundinfo=None):
    return read_new_signatures(SignatureFiles(matrix, siginfo, compoundinfo), GENES, FEATURES)


@pytest.fixture
def siginfo(tmp_path):
    return write_table(tmp_path / "siginfo.txt", SIGINFO)


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


@pytest.mark.parametrize(
    "gene_ids",
    [
        ENTREZ,
        ["GENE100", "GENE101", "GENE102", "GENE103", "GENE104"],
        # Two aliases and the names that are left, in any case.
        ["gene100", "OLD1", "102", "alias3", "Gene104"],
    ],
)
def test_names_order_and_other_genes_change_nothing(tmp_path, siginfo, gene_ids):
    order = np.array([3, 0, 4, 1, 2])
    values = np.concatenate([VALUES[:, order], np.full((4, 2), np.nan)], axis=1)
    names = [gene_ids[place] for place in order] + ["7157", "TP53"]
    new = read(write_matrix(tmp_path / "m.gctx", values, names), siginfo)
    np.testing.assert_array_equal(new.examples.expression, VALUES)
    assert new.examples.gene_mask.all()
    assert new.report["genes"]["others_not_used"] == 2
    assert new.report["genes"]["found_by_name"] == len(set(gene_ids) - set(ENTREZ))


def test_a_missing_gene_is_masked_and_named(tmp_path, siginfo):
    kept = [4, 0, 2]
    path = write_matrix(tmp_path / "m.gctx", VALUES[:, kept], [ENTREZ[place] for place in kept])
    new = read(path, siginfo)
    assert new.examples.gene_mask.tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(
        new.examples.expression, np.where(new.examples.gene_mask, VALUES, 0)
    )
    assert new.report["genes"]["missing"] == ["101 GENE101", "103 GENE103"]
    assert new.report["genes"]["measured"] == 3


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


def gct(fields, rows, num_values=2):
    """A GCT file with gene fields `fields` and rows of (id, field..., value...)."""
    sizes = [len(rows), num_values, len(fields), 0]
    header = ["id", *fields, *SIG_IDS[:num_values]]
    lines = [["#1.3"], sizes, header, *rows]
    return "\n".join("\t".join(map(str, line)) for line in lines) + "\n"


def test_probes_are_read_by_the_gene_ids_beside_them(tmp_path):
    rows = [
        ("200_at", 104, "x", 1.5, -1),
        ("201_s_at", 100, "x", 2, -2),
        ("202_at", 9999, "x", 3, -3),
        ("203_at", 9999, "x", 3, -3),
    ]
    path = tmp_path / "m.gct"
    path.write_text(gct(["pr_gene_id", "pr_gene_symbol"], rows))
    new = read(path)
    np.testing.assert_array_equal(new.examples.expression, [[2, 0, 0, 0, 1.5], [-2, 0, 0, 0, -1]])
    assert new.examples.gene_mask.tolist() == [True, False, False, False, True]
    rows[2] = ("202_at", 100, "x", 3, -3)
    path.write_text(gct(["pr_gene_id", "pr_gene_symbol"], rows))
    with pytest.raises(InputError, match=r"m.gct has the landmark 100 twice .* 201_s_at .* 202_at"):
        read(path)


def test_a_gct_file_equals_the_gctx_file(tmp_path, siginfo):
    rows = [(gene, *VALUES[:, column].tolist()) for column, gene in enumerate(ENTREZ)]
    (tmp_path / "m.gct").write_text(gct([], rows, num_values=4))
    text = read(tmp_path / "m.gct", siginfo)
    binary = read(write_matrix(tmp_path / "m.gctx"), siginfo)
    np.testing.assert_array_equal(text.examples.expression, binary.examples.expression)
    pd.testing.assert_frame_equal(text.examples.table, binary.examples.table)
    assert text.report == binary.report


def test_salts_and_empty_structures_are_counted(tmp_path, siginfo):
    compounds = [("A", "[Na+].[Cl-]"), ("B", ""), ("C", "[Na+].[O-]C(=O)Cc1ccccc1")]
    path = write_compoundinfo(tmp_path / "compounds.txt", compounds)
    new = read(write_matrix(tmp_path / "m.gctx"), siginfo, path)
    assert new.examples.smiles == (None, None, None, "O=C(O)Cc1ccccc1")
    assert new.report["compounds"]["without_structure"] == {
        "no structure": 1,
        "only salt or solvent": 1,
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, siginfo, value):
    values = VALUES.copy()
    values[2, 1] = value
    path = write_matrix(tmp_path / "m.gctx", values)
    message = rf"m.gctx has {value} for profile S3 and gene 101, one of 1 values"
    with pytest.raises(InputError, match=message):
        read(path, siginfo)


def test_a_truncated_matrix_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"m.gctx is a truncated or corrupt GCTX file"):
        read(path)


def test_files_that_are_not_there_are_refused(tmp_path, siginfo):
    with pytest.raises(InputError, match=r"there is no file .*absent.gctx"):
        read(tmp_path / "absent.gctx")
    path = write_matrix(tmp_path / "m.gctx")
    with pytest.raises(InputError, match=r"absent.txt"):
        read(path, tmp_path / "absent.txt")
    with pytest.raises(InputError, match=r"absent.txt"):
        read(path, siginfo, tmp_path / "absent.txt")


def test_a_matrix_without_any_of_the_genes_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx", gene_ids=["P1", "P2", "P3", "P4", "P5"])
    with pytest.raises(InputError, match="has none of the 5 landmark genes; neither of its axes"):
        read(path)


def test_a_gene_under_two_names_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx", gene_ids=["100", "GENE100", "102", "103", "104"])
    with pytest.raises(InputError, match=r"has the landmark 100 twice .* as 100 .* and as GENE100"):
        read(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            SIGINFO.drop(columns=["pert_id", "cmap_name"]),
            r"siginfo.txt lacks the column pert_id",
        ),
        (SIGINFO.drop(columns="sig_id"), r"siginfo.txt lacks the column sig_id"),
        (SIGINFO.assign(sig_id=["S1", "S2", "S1", "S4"]), r"siginfo.txt repeats the sig_id S1"),
        (
            SIGINFO.assign(sig_id=["T1", "T2", "T3", "T4"]),
            r"siginfo.txt has none of the profiles of .*m.gctx: its sig_id are like T1, T2, "
            r"T3, the ids of the matrix like S1, S2, S3",
        ),
        (SIGINFO.iloc[:0], r"siginfo.txt has no row"),
    ],
)
def test_a_siginfo_that_does_not_fit_is_refused(tmp_path, table, message):
    siginfo = write_table(tmp_path / "siginfo.txt", table)
    with pytest.raises(InputError, match=message):
        read(write_matrix(tmp_path / "m.gctx"), siginfo)


def test_a_compound_table_without_structures_is_refused(tmp_path, siginfo):
    path = write_table(tmp_path / "compounds.txt", pd.DataFrame({"pert_id": ["A"]}))
    with pytest.raises(
        InputError, match=r"compounds.txt has no column of structures: it has pert_id;"
    ):
        read(write_matrix(tmp_path / "m.gctx"), siginfo, path)


def test_gene_ids_of_no_signatures_are_refused(tmp_path):
    files = SignatureFiles(None, None, write_compoundinfo(tmp_path / "compounds.txt"))
    with pytest.raises(InputError, match="--gene_ids cannot be used without --signatures"):
        read_new_signatures(files, GENES, FEATURES, gene_ids="symbol")


def landmarks_of(real_data):
    """`GENE_COLUMNS` of the landmarks, and features that leave their values as they are."""
    raw = pd.read_csv(real_data / "genes" / "geneinfo_beta.txt", sep="\t", dtype=str)
    raw = raw[raw["feature_space"] == "landmark"]
    genes = pd.DataFrame(
        {"entrez_id": raw["gene_id"], "symbol": raw["gene_symbol"], "aliases": "", "bead": ""}
    ).reset_index(drop=True)
    num_genes = len(genes)
    features = dataclasses.replace(
        FEATURES,
        genes=tuple(genes["entrez_id"]),
        mean=np.zeros(num_genes, np.float32),
        scale=np.ones(num_genes, np.float32),
    )
    return genes, features


def test_real_files_of_three_kinds_are_read(real_data):
    folder: pathlib.Path = real_data / "expression"
    genes, features = landmarks_of(real_data)
    release = "LINCS2020_level5_gold_24h_10uM"
    compounds = real_data / "compounds" / "compoundinfo_beta.subset.txt"
    gctx = SignatureFiles(
        folder / f"{release}_n3366x978.gctx", folder / f"{release}_siginfo.txt", compounds
    )
    found = read_new_signatures(gctx, genes, features)
    assert found.report["genes"]["measured"] == 978
    assert found.examples.num_examples == 3366
    assert found.report["compounds"]["with_structure"] > 700
    assert found.report["median_standardised_magnitude"] < 1.5

    # Probes as row ids, metadata of the 2017 release in the file.
    level5 = read_new_signatures(SignatureFiles(folder / "modzs_n272x978.gct"), genes, features)
    assert level5.report["genes"]["measured"] == 978
    assert level5.report["signatures"]["predicted"] == 272
    assert level5.report["compounds"]["predicted"] == 6
    assert level5.report["context"]["without_cell_line"] == 0

    # One plate of log2 intensities, whatever its name says: far from any z-score, until they
    # are taken for what they are.
    plate = SignatureFiles(folder / "LJP005_A375_24H_X1_B19_ZSPC_n377x978.gct")
    with pytest.raises(InputError, match=r"--level is 5, z-scores, but .* --scale=zscore"):
        read_new_signatures(plate, genes, features, PlateSettings(level=5))
    asked = PlateSettings(level=5, scale="zscore")
    taken = read_new_signatures(plate, genes, features, asked)
    assert taken.report["genes"]["measured"] == 978
    assert taken.report["median_standardised_magnitude"] > 5
    wells = read_new_signatures(plate, genes, features)
    assert wells.level["level"] == 3
    assert wells.report["median_standardised_magnitude"] < 1.5

    consensus = SignatureFiles(folder / "TCS_L1000_phase2_2017_n1518x960.gctx")
    counts = read_new_signatures(consensus, genes, features)
    assert len(counts.report["genes"]["missing"]) == 18


@pytest.mark.parametrize(
    ("matrix", "siginfo", "expected"),
    [
        ("expression/modzs_n272x978.gct", None, (5, "zscore", 272)),
        ("expression/LJP005_A375_24H_X1_B19_ZSPC_n377x978.gct", None, (3, "log2", 351)),
        ("plates/cmapM/TestDistil_distil_gct_n6x978.gctx", None, (4, "zscore", 3)),
        ("plates/cmapM/TestSigStat_modzs_gct_n3x978.gctx", None, (5, "zscore", 3)),
        ("plates/cmapM/test_build_level5_s2n_lm_n5x978.gct", None, (5, "zscore", 5)),
        (
            "doses/lymphoma/L1000_lymphoma_level5_thresholded_n1052x978.gctx",
            None,
            (5, "zscore", 982),
        ),
        (
            "doses/lymphoma/L1000_lymphoma_level5_thresholded_n1052x978.gctx",
            "doses/lymphoma/L1000_lymphoma_siginfo.txt",
            (5, "zscore", 982),
        ),
    ],
)
def test_levels_of_real_files(real_data, matrix, siginfo, expected):
    genes, features = landmarks_of(real_data)
    files = SignatureFiles(real_data / matrix, siginfo and real_data / siginfo)
    new = read_new_signatures(files, genes, features)
    found = (new.level["level"], new.level["scale"], new.examples.num_examples)
    assert found == expected
    assert not {"DMSO", "dmso"} & set(new.examples.groups)


def test_real_wells_at_level_3_need_vehicles_on_their_plates(real_data):
    folder = real_data / "plates" / "slinky"
    genes, features = landmarks_of(real_data)
    files = SignatureFiles(folder / "demo_n581x978.gctx", folder / "demo_n581_inst_info.txt")
    with pytest.raises(InputError, match="plate CPC004_A375_6H_X1 has 0 vehicle wells"):
        read_new_signatures(files, genes, features)
    settings = PlateSettings(zscore_reference="population")
    new = read_new_signatures(files, genes, features, settings)
    assert new.level["level"] == 3
    assert new.level["made_of"]["vehicle_wells"] == 288
    assert new.level["made_of"]["control_wells"] == 288 + 130
