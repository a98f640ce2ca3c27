"""Level and scale by evidence: what is given, and what is refused because two readings fit."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.expression.level_and_scale import (
    LINEAR,
    LOG2,
    ZSCORE,
    Scale,
    check_level,
    find_level,
    find_scale,
    log2_expression,
)
from moa_jax.lincs.metadata.releases import describe_profiles
from moa_jax.schemas import InputError

RNG = np.random.default_rng(3)
EXPRESSION = RNG.normal(8, 2, (6, 50)).clip(3).astype(np.float32)
ZSCORES = RNG.normal(0, 2, (6, 50)).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (EXPRESSION, LOG2),
        (np.exp2(EXPRESSION), LINEAR),
        (ZSCORES, ZSCORE),
        # Known only where they are large.
        (np.where(np.abs(ZSCORES) > 3, ZSCORES, 0), ZSCORE),
        (np.zeros((2, 30), np.float32), ZSCORE),
        (np.full((2, 3), np.nan, np.float32), ZSCORE),
        # Too few to tell by their sign.
        (np.array([[0.5, 1.0]], np.float32), ZSCORE),
    ],
)
def test_the_values_tell_their_scale(values, scale):
    assert find_scale(values.astype(np.float32), "m.gct").name == scale


@pytest.mark.parametrize(
    "values",
    [
        # Log2 expression whose background was taken away.
        EXPRESSION - 3.5,
        # Neither fluorescence nor its logarithm.
        np.abs(ZSCORES),
        EXPRESSION * 4,
        # Log10 of fluorescence.
        EXPRESSION.clip(max=15) * np.log10(2),
        # Log2 ratios around 3.
        ZSCORES + 3,
    ],
)
def test_values_of_no_scale_are_refused_and_may_be_named(values):
    values = values.astype(np.float32)
    with pytest.raises(
        InputError, match=r"the scale of m.gct is not recognised: .* --scale=log2, linear"
    ):
        find_scale(values, "m.gct")
    assert find_scale(values, "m.gct", requested=ZSCORE) == Scale(ZSCORE, "it was requested")


def test_the_logarithm_of_fluorescence():
    values = np.array([[0, 0.5, 1, 1024]], np.float32)
    np.testing.assert_array_equal(log2_expression(values), [[0, 0, 0, 10]])


@pytest.mark.parametrize(
    ("level", "scale", "message"),
    [
        (3, ZSCORE, r"--level is 3, log2 .* give --level=4"),
        (4, LOG2, r"--level is 4, z-scores, .* give --level=3, or --scale=zscore"),
        (5, LINEAR, r"--level is 5, z-scores"),
    ],
)
def test_a_level_that_the_values_do_not_have_is_refused(level, scale, message):
    with pytest.raises(InputError, match=message):
        check_level(level, Scale(scale, "so"), "m.gct")


def level_of(table, *, ids=None, named_by="", scale=ZSCORE):
    table = pd.DataFrame({"pert_id": ["A", "B", "C", "D"]}).assign(**table)
    ids = pd.Series(ids or [f"x{row}" for row in range(len(table))])
    profiles = describe_profiles(table, "wells.txt")
    return find_level(
        profiles, ids, named_by=named_by, scale=Scale(scale, "so"), source="wells.txt"
    )[0]


CMAP_WELLS = [f"LJP5_PC3_24H_X1_B19:A0{row}" for row in range(1, 5)]
CMAP_SIGNATURES = [f"LJP5_PC3_24H:BRD-{row}:10" for row in range(4)]


@pytest.mark.parametrize(
    ("table", "evidence", "level"),
    [
        ({}, {}, 5),
        ({}, {"ids": CMAP_WELLS}, 4),
        ({}, {"ids": CMAP_SIGNATURES}, 5),
        ({"det_well": ["A1", "A2", "A3", "A4"]}, {}, 4),
        ({"rna_plate": "P1"}, {}, 4),
        ({"brew_prefix": "LJP5_PC3_24H"}, {}, 5),
        ({"det_plate": "nan", "well": "-666"}, {}, 5),
        ({}, {"named_by": "inst_id"}, 4),
        ({}, {"named_by": "sig_id"}, 5),
        ({"det_plate": "P1"}, {"named_by": "sig_id"}, 5),
        ({"distil_nsample": 3, "det_plate": "P1", "det_well": "A1"}, {}, 5),
        ({"det_plates": "P1|P2"}, {}, 5),
        ({"pert_id": ["DMSO", "dmso", "A", "B"]}, {}, 4),
        ({"sig_id": ["s", "s", "t", "t"], "pert_id": ["A", "A", "B", "B"]}, {}, 4),
        # What is measured decides: log2 expression is of wells.
        ({}, {"scale": LOG2}, 3),
        ({}, {"scale": LINEAR, "ids": CMAP_WELLS}, 3),
        # Conditions that differ in what is not told.
        ({"pert_id": "A"}, {}, 5),
    ],
)
def test_the_metadata_tell_the_level(table, evidence, level):
    assert level_of(table, **evidence) == level


@pytest.mark.parametrize(
    ("table", "evidence"),
    [
        ({"nsample": 3}, {"ids": CMAP_WELLS}),
        ({"nsample": 3}, {"named_by": "inst_id"}),
        ({"nsample": 3}, {"scale": LOG2}),
        ({}, {"ids": CMAP_SIGNATURES, "named_by": "inst_id"}),
        ({"det_well": ["A1", "A2", "A3", "A4"]}, {"named_by": "sig_id"}),
        ({"pert_id": "A", "pert_idose": "10 uM", "det_plate": "P1"}, {"named_by": "sig_id"}),
        ({"pert_id": "A", "pert_idose": "10 uM"}, {}),
    ],
)
def test_two_readings_are_refused(table, evidence):
    with pytest.raises(InputError, match=r"wells.txt .* (give|use) --level="):
        level_of(table, **evidence)
