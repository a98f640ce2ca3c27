"""The lights of the audit follow their written thresholds."""

import re

import numpy as np
import pytest

from moa_jax.explanation.audit.checks import (
    RULES,
    DeletionAreas,
    completeness_check,
    deletion_areas,
    deletion_check,
    dependence_check,
    overall,
    relevance_check,
    stability_check,
)
from moa_jax.explanation.audit.deletion import Curves


@pytest.mark.parametrize(
    ("expression", "light", "share"),
    [(1.0, "green", 0.25), (0.5, "amber", 1 / 7), (0.1, "red", 0.1 / 3.1), (-3.0, "red", -0.5)],
)
def test_genes_must_matter_to_the_answer(expression, light, share):
    check = relevance_check({"expression": expression, "structure": 2.0, "context": -1.0})
    assert check.light == light
    assert check.value == pytest.approx(share)
    assert ("from the other modalities" in check.text) == (expression < 0)


@pytest.mark.parametrize(
    ("gap", "light"), [(0.01, "green"), (0.011, "amber"), (0.05, "amber"), (0.06, "red")]
)
def test_completeness_is_the_median_gap(gap, light):
    check = completeness_check(np.array([0.0, gap, 9.0]))
    assert (check.light, check.value) == (light, gap)
    assert f"{gap:.2%} of it (median over 3 signatures)" in check.text


def areas(ours, absolute_z=0.5, random=(0.4, 0.6)):
    return DeletionAreas("no change", ours, absolute_z, np.array(random))


@pytest.mark.parametrize(
    ("found", "light"),
    [
        # Both replacements must hold.
        ([areas(0.3), areas(0.3)], "green"),
        ([areas(0.3), areas(0.45, random=(0.4, 0.6, 0.7))], "amber"),
        # Better than all random orders, but not than |z|.
        ([areas(0.3, absolute_z=0.2)], "amber"),
        ([areas(0.3), areas(0.5)], "red"),
        ([areas(0.7)], "red"),
    ],
)
def test_deletion_must_beat_the_controls(found, light):
    assert deletion_check(found).light == light


def test_areas_are_means_over_signatures():
    def curves(*signatures):
        # One score, or several in rows.
        values = np.array(signatures, np.float32)
        return Curves((0.0, 1.0), values, np.zeros_like(values))

    ours = curves([[4.0, 0.0]], [[2.0, 0.0]])
    random = curves([[4.0, 4.0], [0.0, 2.0]], [[2.0, 2.0], [2.0, 0.0]])
    found = deletion_areas("no change", ours, ours, random)
    assert (found.ours, found.absolute_z) == (1.5, 1.5)
    np.testing.assert_allclose(found.random, [3.0, 1.0])
    assert found.share_beaten == 0.5


@pytest.mark.parametrize(
    ("overlap", "light"), [([0.3], "green"), ([0.1, 0.4], "amber"), ([0.05], "red"), ([], "grey")]
)
def test_stability_needs_two_signatures(overlap, light):
    pairs = np.array(overlap)
    check = stability_check(pairs, k=50, num_genes=978, of_signatures=pairs)
    assert check.light == light
    assert ("chance is 3%" in check.text) == bool(overlap)


@pytest.mark.parametrize(
    ("correlation", "light"), [(-0.2, "green"), (0.4, "amber"), (0.6, "red"), (np.nan, "grey")]
)
def test_dependence_on_the_model(correlation, light):
    assert dependence_check(correlation).light == light


def test_overall_is_the_worst_light_except_grey():
    green, amber = dependence_check(0.0), dependence_check(0.4)
    grey = dependence_check(float("nan"))
    assert overall([green, grey]) == "green"
    assert overall([green, amber, grey]) == "amber"
    assert overall([grey]) == "grey"


def test_the_rules_name_their_thresholds():
    named = {rule.partition(":")[0]: re.findall(r"\d+(?:\.\d+)?%?", rule) for rule in RULES}
    assert named == {
        "Relevance": ["25%", "10%"],
        "Completeness": ["1%", "5%"],
        "Deletion": [],
        "Stability": ["0.3", "0.1"],
        "Dependence on the model": ["0.2", "0.5"],
        "Overall": [],
    }
