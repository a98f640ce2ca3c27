"""Real files of signatures and wells, of all levels."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.user_input.plate_signatures import PlateSettings
from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.schemas import InputError
from tests.data.user_input.signature_files import (
    FEATURES,
)


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
