import numpy as np
import pandas as pd
import pytest

from moa_jax.data.expression import well_signatures
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.preparation.row_filter import RowFilter
from moa_jax.lincs.plates import robust_zscore
from moa_jax.schemas import InputError
from tests.matrices import read_matrix
from tests.tiny_release import compounds_of, config_of, edit_gctx, edit_tsv, read_tsv


@pytest.mark.parametrize("level", [3, 4])
def test_levels_3_and_4_make_the_published_level_5(release, level5, level):
    made = prepare(config_of(release, level))
    order = np.argsort(level5.signatures.table["sig_id"].to_numpy(str))
    np.testing.assert_allclose(
        made.signatures.expression, level5.signatures.expression[order], atol=1e-5
    )
    expected = level5.signatures.table.iloc[order].reset_index(drop=True)
    # The release's table is rounded to six digits.
    pd.testing.assert_frame_equal(made.signatures.table, expected, rtol=1e-5, check_dtype=False)
    assert made.manifest["profiles"]["kept"] == 192


@pytest.mark.parametrize("level", [3, 4])
def test_memory_bounds_change_nothing(release, monkeypatch, level):
    whole = prepare(config_of(release, level)).signatures
    monkeypatch.setattr(well_signatures, "_VALUES_IN_MEMORY", 60 * 7)
    parts = prepare(config_of(release, level)).signatures
    np.testing.assert_array_equal(parts.expression, whole.expression)
    pd.testing.assert_frame_equal(parts.table, whole.table)


def test_vehicle_wells_as_reference(raw):
    # One replicate each: it passes through, clipped.
    edit_tsv(
        raw / "siginfo.txt",
        lambda t: t.assign(distil_ids=t["distil_ids"].str.split("|").str[0]),
    )
    made = prepare(config_of(raw, 3, zscore_reference="vehicle")).signatures
    wells = read_tsv(raw / "instinfo.txt")
    genes = made.genes["entrez_id"].tolist()
    values = read_matrix(raw / "level3.gctx", gene_ids=genes).values
    is_vehicle = (wells["pert_type"] == "ctl_vehicle").to_numpy()
    z = robust_zscore(values, plate=wells["det_plate"], control=is_vehicle)
    first = dict(
        zip(*read_tsv(raw / "siginfo.txt")[["sig_id", "distil_ids"]].T.values, strict=True)
    )
    row_of = {name: row for row, name in enumerate(wells["sample_id"])}
    rows = [row_of[first[sig_id]] for sig_id in made.table["sig_id"]]
    np.testing.assert_allclose(made.expression, np.clip(z[rows], -10, 10), atol=1e-6)
    assert made.table["n_replicates"].unique().tolist() == [1.0]
    assert made.table["tas"].isna().all()


def test_without_siginfo_profiles_are_grouped_by_condition(release):
    made = prepare(config_of(release, 4, files_siginfo="")).signatures.table
    instinfo = read_tsv(release / "instinfo.txt").query("pert_type == 'trt_cp'")
    condition = ["pert_id", "cell_iname", "pert_dose", "pert_time"]
    batch = instinfo["det_plate"].str.split("_").str[0]
    assert len(made) == len(instinfo[condition].assign(batch=batch).drop_duplicates())
    assert made["n_replicates"].sum() == len(instinfo)


def test_wells_that_fail_quality_control_are_left_out(release):
    made = prepare(config_of(release, 3, filters_require_qc_pass=True))
    instinfo = read_tsv(release / "instinfo.txt")
    failed = int((instinfo["qc_pass"] == "0").sum())
    assert failed > 0
    assert made.manifest["profiles"]["dropped"]["qc_pass is false"] == failed
    passed = (instinfo["qc_pass"] == "1") & (instinfo["pert_type"] == "trt_cp")
    assert made.manifest["profiles"]["kept"] == passed.sum()


@pytest.mark.parametrize(
    ("column", "setting", "limit"), [("tas", "min_tas", 0.2), ("cc_q75", "min_cc_q75", 0.25)]
)
def test_quality_filters_and_what_is_missing(raw, column, setting, limit):
    def forget_two(table):
        rows = table.index[table["pert_type"] == "trt_cp"][:2]
        table.loc[rows, column] = "-666"
        return table

    edit_tsv(raw / "siginfo.txt", forget_two)
    good = pd.to_numeric(compounds_of(raw)[column])
    num_bad = int(((good < limit) & (good > -666)).sum())
    changes = {f"filters_{setting}": limit}
    kept = prepare(config_of(raw, **changes))
    assert kept.manifest["signatures"]["dropped"][f"{column} is below {limit}"] == num_bad
    assert len(kept.signatures.table) == 96 - num_bad
    strict = prepare(config_of(raw, filters_keep_missing=False, **changes))
    assert strict.manifest["signatures"]["dropped"][f"{column} is missing"] == 2
    assert len(strict.signatures.table) == 94 - num_bad


@pytest.mark.parametrize(
    ("changes", "column"),
    [({"filters_require_hiq": True}, "is_hiq"), ({"filters_require_qc_pass": True}, "qc_pass")],
)
def test_marks_of_quality(release, changes, column):
    num_bad = int((compounds_of(release)[column] == "0").sum())
    assert num_bad > 0
    prepared = prepare(config_of(release, **changes))
    assert prepared.manifest["signatures"]["dropped"][f"{column} is false"] == num_bad
    assert len(prepared.signatures.table) == 96 - num_bad


def test_replicates_and_clip(release, level5):
    with pytest.raises(InputError, match="is left: 96 dropped because n_replicates is below 3"):
        prepare(config_of(release, filters_min_replicates=3, filters_pert_types=("trt_cp",)))
    clipped = prepare(config_of(release, clip=2.0))
    num_beyond = int((np.abs(level5.signatures.expression) > 2).sum())
    assert clipped.manifest["values_clipped"] == num_beyond
    np.testing.assert_array_equal(
        clipped.signatures.expression, np.clip(level5.signatures.expression, -2, 2)
    )


def test_a_filter_that_leaves_nothing_says_why(release):
    for level in (4, 5):
        with pytest.raises(InputError, match=r"is left: .*dropped because pert_type is trt_cp"):
            prepare(config_of(release, level, filters_pert_types=("trt_sh",)))


def test_vehicle_and_compounds_together(release):
    both = prepare(config_of(release, filters_pert_types=("trt_cp", "ctl_vehicle")))
    assert len(both.signatures.table) == 120


def spoil_a_landmark(values):
    values[3, :] = np.nan
    values[8, :] = np.inf
    return values


@pytest.mark.parametrize("level", [3, 4, 5])
def test_values_that_are_not_finite_are_dropped_and_counted(raw, level):
    edit_gctx(raw / f"level{level}.gctx", values=spoil_a_landmark)
    with pytest.raises(InputError, match=f"level{level}.gctx has nan for profile SIM001"):
        prepare(config_of(raw, level))
    made = prepare(config_of(raw, level, drop_nonfinite=True))
    stage = made.manifest["signatures" if level == 5 else "profiles"]
    assert stage["dropped"]["a value is not finite"] == 2
    assert np.isfinite(made.signatures.expression).all()


def test_a_matrix_that_is_not_finite_at_all(raw):
    edit_gctx(raw / "level4.gctx", values=lambda values: values * np.nan)
    with pytest.raises(InputError, match="192 dropped because a value is not finite"):
        prepare(config_of(raw, 4, drop_nonfinite=True))


def test_metadata_beyond_the_matrix_are_counted(raw):
    edit_tsv(
        raw / "siginfo.txt",
        lambda t: pd.concat([t, t.iloc[:2].assign(sig_id=["X1", "X2"])]),
    )
    counts = prepare(config_of(raw)).manifest["signatures"]
    assert counts["dropped"]["siginfo has it but the matrix does not"] == 2
    assert counts["kept"] == 96
    edit_tsv(raw / "siginfo.txt", lambda t: t.assign(sig_id="X" + t["sig_id"]))
    with pytest.raises(InputError, match=r"siginfo.txt has none of the profiles .* like XSIM"):
        prepare(config_of(raw))


def test_a_signature_without_metadata_is_counted(raw):
    edit_tsv(raw / "siginfo.txt", lambda table: table.iloc[5:])
    counts = prepare(config_of(raw)).manifest["signatures"]
    assert counts["dropped"]["the matrix has it but siginfo does not"] == 5
    assert counts["kept"] + sum(counts["dropped"].values()) == counts["found"] == 120


def test_replicates_that_the_files_lack_are_refused_or_left_out(raw):
    edit_tsv(raw / "siginfo.txt", lambda t: t.assign(distil_ids=t["distil_ids"] + "|lost:A01"))
    with pytest.raises(InputError, match=r"the signature SIM001.* has the profile lost:A01"):
        prepare(config_of(raw, 4))
    made = prepare(config_of(raw, 4, allow_missing_signatures=True))
    assert made.signatures.table["n_replicates"].unique().tolist() == [2.0]


def test_a_siginfo_that_lists_no_replicates(raw):
    edit_tsv(raw / "siginfo.txt", lambda table: table.drop(columns="distil_ids"))
    with pytest.raises(InputError, match="does not list the profiles of its signatures"):
        prepare(config_of(raw, 4))


def test_the_plate_of_a_well_is_told_by_any_column_or_by_its_id(raw, release):
    expected = prepare(config_of(release, 3)).signatures
    edit_tsv(raw / "instinfo.txt", lambda table: table.assign(det_plate="nan"))
    by_id = prepare(config_of(raw, 3)).signatures
    np.testing.assert_array_equal(by_id.expression, expected.expression)
    plates = read_tsv(release / "instinfo.txt")["det_plate"]
    edit_tsv(raw / "instinfo.txt", lambda table: table.assign(rna_plate=plates.str[:-3]))
    by_column = prepare(config_of(raw, 3)).signatures
    np.testing.assert_array_equal(by_column.expression, expected.expression)


def test_a_well_without_plate_cannot_be_normalised(raw):
    def forget(table):
        plates = table["det_plate"].where(table.index > 0, "-666")
        return table.assign(det_plate=plates)

    edit_tsv(raw / "instinfo.txt", forget)
    with pytest.raises(InputError, match=r"instinfo.txt has no plate .* for the well SIM001.*:A01"):
        prepare(config_of(raw, 3))


def test_level_and_scale_are_told_by_the_files(raw, release):
    expected = prepare(config_of(release, 3, zscore_reference="vehicle"))
    edit_gctx(raw / "level3.gctx", values=np.exp2)
    asked = {"zscore_reference": "vehicle", "files_expression": "level3.gctx"}
    made = prepare(config_of(raw, 0, **asked))
    np.testing.assert_allclose(
        made.signatures.expression, expected.signatures.expression, atol=1e-3
    )
    assert made.manifest["level"]["level"] == 3
    assert made.manifest["level"]["scale"] == "linear"
    for level in (4, 5):
        told = config_of(release, 0, files_expression=f"level{level}.gctx")
        if level == 5:
            told.files.instinfo = ""
        assert prepare(told).manifest["level"]["level"] == level
    with pytest.raises(InputError, match=r"--config.level is 5, z-scores, but .* --config.level=3"):
        prepare(config_of(raw, 5, files_expression="level3.gctx", files_siginfo="instinfo.txt"))
    with pytest.raises(InputError, match=r"--config.level is 3, log2 .* --config.level=4"):
        prepare(config_of(raw, 3, files_expression="level4.gctx"))
    with pytest.raises(InputError, match=r"config.scale is 'log'; it must be one of log2"):
        prepare(config_of(raw, 3, scale="log"))


def test_case_of_kinds_and_names_changes_nothing(raw, release):
    expected = prepare(config_of(release, 3, zscore_reference="vehicle")).signatures
    edit_tsv(
        raw / "instinfo.txt",
        lambda t: t.assign(
            pert_type=t["pert_type"].str.upper(), pert_id=t["pert_id"].str.lower() + " "
        ).rename(columns={"pert_dose": "Exp Pert_Dose", "det_plate": "DET_PLATE"}),
    )
    made = prepare(config_of(raw, 3, zscore_reference="vehicle")).signatures
    np.testing.assert_array_equal(made.expression, expected.expression)
    pd.testing.assert_frame_equal(made.table, expected.table)


def test_metadata_inside_the_matrix(raw, level5):
    info = read_tsv(raw / "siginfo.txt").set_index("sig_id").rename_axis("id")
    edit_gctx(raw / "level5.gctx", profile_table=info)
    inside = prepare(config_of(raw, files_siginfo="")).signatures
    pd.testing.assert_frame_equal(inside.table, level5.signatures.table)
    np.testing.assert_array_equal(inside.expression, level5.signatures.expression)


def test_the_sieve_counts_every_row_once():
    row_filter = RowFilter(pd.DataFrame({"tas": [0.1, 0.3, np.nan, 0.5]}))
    row_filter.keep_known("tas", lambda known: known >= 0.2, "weak", keep_missing=False)
    row_filter.keep([True, False], "other")
    row_filter.count(0, "never")
    assert row_filter.table["tas"].tolist() == [0.3]
    assert row_filter.report() == {
        "found": 4,
        "kept": 1,
        "dropped": {"other": 1, "tas is missing": 1, "weak": 1},
    }
