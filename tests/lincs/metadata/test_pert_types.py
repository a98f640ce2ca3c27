"""Vehicles by kind or by name, whoever wrote the table."""

import pandas as pd
import pytest

from moa_jax.lincs.metadata.pert_types import (
    canonical_pert_types,
    is_control,
    is_vehicle_id,
    is_vehicle_name,
)


def kinds(pert_type, pert_id=None, compound=None):
    columns = [pert_type, pert_id, compound]
    size = max(len(column) for column in columns if column is not None)
    filled = [pd.Series(column or [None] * size, dtype=object) for column in columns]
    return canonical_pert_types(*filled).tolist()


@pytest.mark.parametrize(
    "name",
    [
        *("DMSO", "dmso", "0.1% DMSO", "DMSO 0,1 %", "dmso_3", "DMSO.1", "dmso-rep2"),
        *("Vehicle control", "vehicle (DMSO)", "DMSO (0.1% v/v)", "CTL_VEHICLE", "H2O"),
        *("water", "PBS", "phosphate buffered saline", "Dimethyl sulfoxide", "control"),
        *("negative control", "NegCon", "culture medium"),
    ],
)
def test_names_of_vehicles(name):
    assert is_vehicle_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("vorinostat", "dimethyl fumarate", "sulfoxide", "phosphate", "heavy water", "ethanol"),
        *("positive control", "BRD-K1", "1", "P1_v0", "w1", "A03", "well", "v", "rep 1", ""),
        "vehicle vs vorinostat",
    ],
)
def test_names_of_others(name):
    assert not is_vehicle_name(name)


def test_ids_that_name_the_vehicle():
    assert all(map(is_vehicle_id, ["A549_DMSO_3", "CPC006_A375_6H:DMSO:-666", "DMSO", "vehicle.2"]))
    assert not any(map(is_vehicle_id, ["vorinostat_vs_DMSO", "A549_1", "trt_minus_DMSO"]))


@pytest.mark.parametrize(
    "kind",
    [
        *("ctl_vehicle", "CTL_VEHICLE", " Ctl-Vehicle ", "vehicle", "negcon", "Negative Control"),
        *("DMSO", "control", "solvent control", "CTL"),
    ],
)
def test_a_kind_may_be_in_any_case_and_word(kind):
    assert kinds([kind, "TRT_CP"], ["x1", "x2"]) == ["ctl_vehicle", "trt_cp"]


def test_a_name_tells_a_vehicle_where_no_kind_does_or_a_wrong_one():
    assert kinds([None, None], ["DMSO", "A"]) == ["ctl_vehicle", None]
    assert kinds(["trt_cp", "trt_cp"], ["B1", "B2"], ["Water", "A"]) == ["ctl_vehicle", "trt_cp"]
    # The vehicle's name beside the kind of another control.
    assert kinds(["ctl_untrt", "ctl_vector"], ["DMSO", "EMPTY_VECTOR"]) == [
        "ctl_untrt",
        "ctl_vector",
    ]


def test_controls_without_a_kind_of_their_own():
    found = kinds(["control"] * 4, ["DMSO", "staurosporine", "untreated", "ethanol"])
    assert found == ["ctl_vehicle", "ctl_other", "ctl_untrt", "ctl_vehicle"]
    # No name among them is a vehicle's: they are all that there is.
    assert kinds(["control", "trt"], ["S1", "A"]) == ["ctl_vehicle", "trt_cp"]


def test_controls():
    assert all(map(is_control, ["ctl_vehicle", "ctl_vector", "lma_x", "ctl_other"]))
    assert not any(map(is_control, ["trt_cp", "trt_poscon", None, "something"]))
