import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from moa_jax.lincs.metadata.releases import (
    harmonise_instinfo,
    harmonise_siginfo,
    signature_instances,
)
from moa_jax.lincs.replicates import (
    CLIP,
    cc_q75,
    collapse_replicates,
    modz_weights,
    replicate_correlation,
    tas,
)
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError
from tests.matrices import read_matrix


def replicates(size, num_genes=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, num_genes) + rng.normal(0, 2, (size, num_genes))


def moderated(z, landmark=slice(None)):
    """MODZ, weights, cc_q75 and TAS of the replicates of one signature."""
    clipped = np.clip(z.astype(np.float64), -CLIP, CLIP)
    rho = replicate_correlation(clipped[None, :, landmark])
    weights, quality = modz_weights(rho)[0], cc_q75(rho)
    signature = weights @ clipped
    return signature, weights, quality[0], tas(signature[None, landmark], quality, len(z))[0]


def instances(conditions, **columns):
    """Rows of (pert_id, cell_line, dose_um, time_h)."""
    table = pd.DataFrame(conditions, columns=["pert_id", "cell_line", "dose_um", "time_h"])
    table["dose_um"], table["time_h"] = (
        table["dose_um"].astype(float),
        table["time_h"].astype(float),
    )
    table.insert(0, "inst_id", [f"i{row}" for row in range(len(table))])
    defaults = {
        "compound": "c",
        "pert_type": "trt_cp",
        "plate": None,
        "well": "A01",
        "sig_id": None,
    }
    return table.assign(**(defaults | columns))


def test_golden_signatures(golden):
    level4 = read_matrix(golden / "distil_gct_n6x978.gctx")
    level5 = read_matrix(golden / "modzs_gct_n3x978.gctx")
    pairs = signature_instances(level5.profile_table, "modzs")
    table = harmonise_instinfo(level4.profile_table, "distil").drop(columns="sig_id")
    values, made = collapse_replicates(level4.values, table.merge(pairs, on="inst_id"))
    stored = harmonise_siginfo(level5.profile_table, "modzs").set_index("sig_id")
    made = made.set_index("sig_id")
    assert sorted(made.index) == sorted(stored.index)
    expected = level5.values[[level5.profile_ids.index(sig_id) for sig_id in made.index]]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1.2e-6)
    for column in ("pert_id", "compound", "cell_line", "plate", "n_replicates", "dose_um"):
        assert made[column].to_dict() == stored[column].to_dict()
    picloram, methotrexate = "HEPG2:3:BRD-K88925363", "HEPG2:3:BRD-K59456551"
    # The file rounds the correlation to two digits; its activity score is right for one only.
    assert made["cc_q75"][picloram] == pytest.approx(0.3377, abs=5e-5)
    assert made["cc_q75"][methotrexate] == pytest.approx(0.14, abs=5e-3)
    assert made["tas"][picloram] == pytest.approx(0.3235, abs=1e-4)
    assert made["tas"][methotrexate] == pytest.approx(0.21025, abs=5e-5)
    assert made.loc["HEPG2:3:BRD-K34157611", ["cc_q75", "tas"]].isna().all()


def test_golden_weights(golden):
    level4 = read_matrix(golden / "distil_gct_n6x978.gctx")
    rows = level4.profile_table["pert_id"].to_numpy() == "BRD-K88925363"
    _, weights, quality, activity = moderated(level4.values[rows])
    np.testing.assert_allclose(weights, [0.33, 0.45, 0.22], atol=5e-3)
    assert quality == pytest.approx(0.3377, abs=5e-5)
    assert activity == pytest.approx(0.3235, abs=1e-4)


def test_correlation_is_spearman():
    z = replicates(4)
    expected = spearmanr(z, axis=1).statistic
    np.testing.assert_allclose(replicate_correlation(z[None])[0], expected, atol=1e-12)


def test_modz_follows_its_formula():
    z = replicates(3)
    rho = np.clip(spearmanr(z, axis=1).statistic, 0, None)
    np.fill_diagonal(rho, 0)
    expected = np.maximum(rho.sum(axis=1) / 2, 0.01)
    signature, weights, _, _ = moderated(z)
    np.testing.assert_allclose(weights, expected / expected.sum())
    np.testing.assert_allclose(signature, (expected / expected.sum()) @ np.clip(z, -10, 10))


def test_opposite_and_constant_replicates_keep_the_least_weight():
    profile = np.linspace(-3, 3, 20)
    _, weights, _, _ = moderated(np.stack([profile, profile, -profile, np.zeros(20)]))
    np.testing.assert_allclose(weights, np.array([0.5, 0.5, 0.01, 0.01]) / 1.02)


def test_one_replicate_passes_through_clipped():
    signature, weights, quality, activity = moderated(np.array([[1.0, -33.0, 12.0]]))
    np.testing.assert_array_equal(signature, [1, -10, 10])
    np.testing.assert_array_equal(weights, [1])
    assert np.isnan([quality, activity]).all()


def test_cc_q75_uses_hazens_rule():
    z = replicates(3, seed=4)
    pairs = np.sort(np.clip(spearmanr(z, axis=1).statistic, 0, None)[np.triu_indices(3, 1)])
    # With three pairs, Hazen's 75th percentile lies a quarter below the largest.
    quality = cc_q75(replicate_correlation(z[None]))
    assert quality[0] == pytest.approx(pairs[2] * 0.75 + pairs[1] * 0.25)


def test_tas_closed_form():
    signatures = np.array([[1.0, -1.0, 0.9, 0.0]] * 2)
    expected = np.sqrt([2 * 0.5, 2 * 0.001]) / np.sqrt(4)
    np.testing.assert_allclose(tas(signatures, np.array([0.5, -0.3]), 4), expected)


def test_collapse_moderates_each_group_in_any_order():
    z = np.vstack([replicates(3, seed=1), replicates(2, seed=2), replicates(1, seed=3)])
    z = z.astype(np.float32)
    landmark = np.arange(50) % 3 > 0
    table = instances(
        [("BRD-2", "PC3", 10, 24)] * 3 + [("BRD-1", "PC3", 0.5, 6)] * 2 + [("BRD-1", "PC3", 10, 6)]
    )
    values, made = collapse_replicates(z, table, landmark=landmark)
    assert made.columns.tolist() == [*SIGNATURE_COLUMNS, "pert_type"]
    assert made["sig_id"].tolist() == ["PC3_24H:BRD-2:10", "PC3_6H:BRD-1:0.5", "PC3_6H:BRD-1:10"]
    assert made["n_replicates"].tolist() == [3, 2, 1]
    for row, group in enumerate((z[:3], z[3:5], z[5:])):
        signature, _, quality, activity = moderated(group, landmark)
        np.testing.assert_allclose(values[row], signature, atol=1e-6)
        np.testing.assert_allclose(made["cc_q75"][row], quality)
        np.testing.assert_allclose(made["tas"][row], activity)
    order = np.random.default_rng(0).permutation(6)
    again, made_again = collapse_replicates(z[order], table.iloc[order], landmark=landmark)
    np.testing.assert_array_equal(again, values)
    pd.testing.assert_frame_equal(made_again, made)


def test_missing_conditions_are_conditions_of_their_own():
    table = instances(
        [("B", None, np.nan, np.nan), ("B", None, np.nan, np.nan), ("B", "PC3", np.nan, 24)]
    )
    values, made = collapse_replicates(replicates(3), table)
    assert made["sig_id"].tolist() == ["NA_NAH:B:NA", "PC3_24H:B:NA"]
    assert made["cell_line"].tolist() == [None, "PC3"]
    assert made["n_replicates"].tolist() == [2, 1]
    assert values.shape == (2, 50)


def test_doses_and_times_that_have_no_value_are_kept_apart_by_their_texts():
    table = instances([("B", "PC3", np.nan, 24)] * 4 + [("B", "PC3", 1, np.nan)])
    table["dose_text"] = ["1 ng/mL", "100 ng/mL", "1 ng/mL", None, None]
    table["time_text"] = [None, None, None, None, "3 passages"]
    _, made = collapse_replicates(replicates(5), table)
    assert made["sig_id"].tolist() == [
        "PC3_24H:B:100ng/mL",
        "PC3_24H:B:1ng/mL",
        "PC3_24H:B:NA",
        "PC3_3passages:B:1",
    ]
    assert made["n_replicates"].tolist() == [1, 2, 1, 1]
    assert made["dose_text"].tolist() == ["100 ng/mL", "1 ng/mL", None, None]


def test_the_batch_of_a_plate_keeps_signatures_apart():
    plates = ["LJP5_PC3_24H_X1_B19", "LJP5_PC3_24H_X2.L2_B20", "LJP6_PC3_24H_X1", "my plate"]
    _, made = collapse_replicates(
        replicates(4), instances([("B", "PC3", 10, 24)] * 4, plate=plates)
    )
    assert made["sig_id"].tolist() == ["LJP5_PC3_24H:B:10", "LJP6_PC3_24H:B:10", "PC3_24H:B:10"]
    assert made["plate"][0] == "LJP5_PC3_24H_X1_B19|LJP5_PC3_24H_X2.L2_B20"


def test_given_signatures_are_kept_and_disagreement_is_missing():
    table = instances(
        [("B", "PC3", 10, 24), ("B", "PC3", 11, 24), ("B", "PC3", 10, 24)],
        sig_id=["s", "s", None],
    )
    _, made = collapse_replicates(replicates(3), table)
    assert made["sig_id"].tolist() == ["PC3_24H:B:10", "s"]
    np.testing.assert_array_equal(made["dose_um"], [10, np.nan])
    assert made["cell_line"].tolist() == ["PC3", "PC3"]


def test_what_cannot_be_collapsed_is_refused():
    conditions = [("B", "PC3", 10, 24), ("C", "PC3", 10, 24)]
    with pytest.raises(InputError, match="profile i1 has no pert_id"):
        collapse_replicates(replicates(2), instances([conditions[0], (None, "PC3", 10, 24)]))
    with pytest.raises(InputError, match="the sig_id s covers several pert_ids"):
        collapse_replicates(replicates(2), instances(conditions, sig_id="s"))
    clash = [("B", "PC3", 10, 24), ("B", "X_PC3", 10, 24)]
    with pytest.raises(InputError, match=r"two conditions .* the same sig_id X_PC3_24H:B:10"):
        collapse_replicates(replicates(2), instances(clash, plate=["X_PC3_24H_X1", None]))
    with pytest.raises(InputError, match="3 profiles have 2 rows"):
        collapse_replicates(replicates(3), instances(conditions))
    with pytest.raises(InputError, match="lacks the column plate"):
        collapse_replicates(replicates(2), instances(conditions).drop(columns="plate"))
