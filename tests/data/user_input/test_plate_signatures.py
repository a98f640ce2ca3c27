"""Wells made into signatures: against the same arithmetic written out with NumPy and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from moa_jax.data.examples.features import fit_features
from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.schemas import InputError
from tests.synthetic import make_gene_table, make_raw_examples

GENES = make_gene_table()
ENTREZ = list(GENES["entrez_id"])
FEATURES = fit_features(make_raw_examples(), GENES)


def make_plates(seed=4):
    """Two plates: four vehicle wells each, and two compounds with one well on each plate."""
    rng = np.random.default_rng(seed)
    rows = []
    for plate in ("P1", "P2"):
        rows += [(f"{plate}_v{well}", "DMSO", "ctl_vehicle", plate, "1") for well in range(4)]
        rows += [(f"{plate}_{name}", name, "trt_cp", plate, "1") for name in ("A", "B")]
    rows += [("P1_bad", "A", "trt_cp", "P1", "0"), ("P1_u", "U", "ctl_untrt", "P1", "1")]
    wells = pd.DataFrame(rows, columns=["inst_id", "pert_id", "pert_type", "det_plate", "qc_pass"])
    wells["cell_iname"], wells["pert_idose"], wells["pert_itime"] = "A375", "10 uM", "24 h"
    values = rng.normal(8, 1, (len(wells), len(ENTREZ))).astype(np.float32)
    values[wells["pert_id"] == "A"] += np.float32([3, -2, 0.5, 1, -1])
    return values, wells


VALUES, WELLS = make_plates()


def zscores(vehicle_only=True, values=VALUES):
    """Robust z-scores as Subramanian 2017 writes them."""
    scores = np.full(values.shape, np.nan)
    for plate in ("P1", "P2"):
        on_plate = ((WELLS["det_plate"] == plate) & (WELLS["qc_pass"] == "1")).to_numpy()
        reference = on_plate
        if vehicle_only:
            reference = on_plate & (WELLS["pert_type"] == "ctl_vehicle").to_numpy()
        middle = np.median(values[reference].astype(float), axis=0)
        spread = stats.median_abs_deviation(values[reference].astype(float), axis=0)
        scores[on_plate] = (values[on_plate] - middle) / (1.4826 * np.maximum(spread, 0.1))
    return scores


def collapsed(scores, name):
    """MODZ of two replicates: their weights are equal, so it is the mean of the clipped ones."""
    rows = ((WELLS["pert_id"] == name) & (WELLS["qc_pass"] == "1")).to_numpy()
    clipped = np.clip(scores[rows], -10, 10)
    correlation = max(stats.spearmanr(clipped[0], clipped[1]).statistic, 0)
    return clipped.mean(axis=0), correlation


def write_wells(folder, values=VALUES, wells=WELLS):
    table = pd.DataFrame(values, columns=ENTREZ)
    table.insert(0, "inst_id", wells["inst_id"].to_numpy())
    table.to_csv(folder / "plate.csv", index=False)
    wells.to_csv(folder / "wells.txt", sep="\t", index=False)
    return SignatureFiles(folder / "plate.csv", folder / "wells.txt")


def read(files, **settings):
    return read_new_signatures(files, GENES, FEATURES, PlateSettings(**settings))


def test_level_3_becomes_level_5(tmp_path):
    new = read(write_wells(tmp_path), level=3)
    assert new.examples.groups == ("A", "B")
    for row, name in enumerate("AB"):
        signature, correlation = collapsed(zscores(), name)
        np.testing.assert_allclose(new.examples.expression[row], signature, rtol=1e-5)
        assert new.examples.table["cc_q75"][row] == pytest.approx(correlation)
    assert new.examples.table["n_replicates"].tolist() == [2, 2]
    assert new.examples.table["plate"].tolist() == ["P1|P2"] * 2
    assert new.level["made_of"] == {
        "wells": 14,
        "failed_quality_control": 1,
        "vehicle_wells": 8,
        "control_wells": 9,
        "wells_used": 4,
        "plates": 2,
        "replicates_per_signature": {"2": 2},
    }
    assert new.level["zscore_reference"] == "vehicle"


def test_all_wells_may_be_the_reference(tmp_path):
    new = read(write_wells(tmp_path), level=3, zscore_reference="population")
    signature, _ = collapsed(zscores(vehicle_only=False), "A")
    np.testing.assert_allclose(new.examples.expression[0], signature, rtol=1e-5)


def test_level_4_is_collapsed_as_it_is(tmp_path):
    scores = np.nan_to_num(zscores()).astype(np.float32)
    new = read(write_wells(tmp_path, scores), level=4)
    np.testing.assert_allclose(new.examples.expression[1], collapsed(scores, "B")[0], rtol=1e-5)
    assert new.level["zscore_reference"] is None


@pytest.mark.parametrize(("level", "why"), [(3, "log2 expression"), (4, "around 0")])
def test_the_level_is_told_by_wells_and_values(tmp_path, level, why):
    values = VALUES if level == 3 else np.nan_to_num(zscores()).astype(np.float32)
    new = read(write_wells(tmp_path, values))
    assert new.level["level"] == level
    assert why in new.level["because"]


def test_a_table_of_signatures_is_level_5(tmp_path):
    files = write_wells(tmp_path, np.nan_to_num(zscores()).astype(np.float32))
    signatures = WELLS.rename(columns={"inst_id": "sig_id"}).assign(nsample=3)
    signatures.to_csv(files.siginfo, sep="\t", index=False)
    new = read(files)
    assert new.level["level"] == 5
    assert new.level["because"] == "the metadata are those of signatures (n_replicates is given)"
    assert new.level["controls_left_out"] == 9
    assert new.examples.groups == ("A", "B", "A", "B", "A")


def test_a_well_without_pert_id_is_a_compound_of_its_own(tmp_path):
    wells = WELLS.assign(pert_id=WELLS["pert_id"].where(WELLS["inst_id"] != "P1_B", "-666"))
    new = read(write_wells(tmp_path, wells=wells), level=3)
    assert set(new.examples.groups) == {"A", "B", "P1_B"}
    assert new.report["signatures"]["without_pert_id"] == 1


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            {"pert_type": "trt_cp", "pert_id": "A"},
            {"level": 3},
            "marks no vehicle well .* --zscore_reference=pop",
        ),
        ({"det_plate": "-666"}, {"level": 3}, r"no plate .* for the well P1_v0; level 3"),
        (
            {"pert_type": "ctl_vehicle"},
            {"level": 3},
            "no well of a compound: of 14",
        ),
        (
            {"inst_id": [f"x{row}" for row in range(14)]},
            {"level": 4},
            "has none of the profiles .* like x0",
        ),
        ({}, {"level": 2}, "the level is 2; it must be one of 3, 4 and 5"),
        ({}, {"level": 3, "zscore_reference": "plate"}, "it must be vehicle or population"),
    ],
)
def test_what_cannot_be_made_into_signatures_is_refused(tmp_path, change, settings, message):
    files = write_wells(tmp_path)
    WELLS.assign(**change).to_csv(tmp_path / "wells.txt", sep="\t", index=False)
    with pytest.raises(InputError, match=message):
        read(files, **settings)


def test_zscores_are_no_level_3(tmp_path):
    files = write_wells(tmp_path, np.nan_to_num(zscores()).astype(np.float32))
    with pytest.raises(InputError, match=r"--level is 3.* the values are around 0; give --level=4"):
        read(files, level=3)
