"""Gates: each threshold from both sides, and what is a note only."""

import dataclasses
import re

import numpy as np
import pytest

from moa_jax.calibration.quality_gates import (
    RunLimits,
    advice,
    check_signatures,
    run_limits,
)
from moa_jax.data.examples.features import fit_features
from tests.synthetic import make_gene_table, make_raw_examples

RAW = make_raw_examples(4)
FEATURES = fit_features(make_raw_examples(), make_gene_table())
NO_LIMITS = RunLimits(strength=np.nan, similarity=np.nan)


def gated(limits=NO_LIMITS, similarity=0.5, examples=RAW, **columns):
    table = examples.table.assign(**columns)
    examples = dataclasses.replace(examples, table=table)
    return check_signatures(examples, FEATURES, limits, np.full(len(table), similarity))


def test_good_signatures_pass():
    quality = gated()
    assert quality.passes.all()
    assert quality.reasons == ((),) * 4
    assert quality.notes == ((),) * 4
    squares = RAW.expression.astype(float) ** 2
    np.testing.assert_allclose(quality.measures["strength"], np.sqrt(squares.mean(axis=1)))


@pytest.mark.parametrize(
    ("column", "values", "reason", "todo"),
    [
        (
            "cc_q75",
            [0.2, 0.199, np.nan, -0.1],
            "replicates disagree: .* is 0.20, at least 0.20",
            "measure more replicates",
        ),
        (
            "tas",
            [0.2, 0.199, np.nan, 0.0],
            "weak: the activity score .* is 0.20, at least 0.20",
            "try a higher dose, a longer time or another cell line",
        ),
    ],
)
def test_replicates_and_activity(column, values, reason, todo):
    quality = gated(**{column: values})
    assert quality.passes.tolist() == [True, False, True, False]
    (only,) = quality.reasons[1]
    assert re.match(reason, only)
    assert advice(only) == f", so {todo}"


def test_strength_counts_where_activity_is_unknown():
    strength = gated().measures["strength"].to_numpy()
    limits = RunLimits(strength=float(np.median(strength)), similarity=np.nan)
    assert gated(limits).passes.all()
    quality = gated(limits, tas=np.nan)
    np.testing.assert_array_equal(quality.passes, strength >= limits.strength)
    assert all(own[0].startswith("weak: the root mean") for own in quality.reasons if own)


def test_far_from_training():
    limits = RunLimits(strength=np.nan, similarity=0.3)
    assert gated(limits, similarity=0.3).passes.all()
    assert gated(limits, similarity=np.nan).passes.all()
    quality = gated(limits, similarity=0.29)
    assert not quality.passes.any()
    assert quality.reasons[0][0].startswith("unlike anything in training: the largest cosine")


def test_too_few_genes_and_no_zscores():
    few = dataclasses.replace(RAW, gene_mask=np.array([True, True, False, False, False]))
    assert gated(examples=few).reasons[0] == (
        "too few genes: 2 of the model's 5 are measured, at least 50% are needed, "
        "so provide a file with more of the landmark genes",
    )
    log2 = dataclasses.replace(RAW, expression=RAW.expression + 12)
    (only,) = gated(examples=log2).reasons[0]
    assert only.startswith("no z-scores: the median distance")
    assert only.endswith("which looks like level 3, so give --level=3")
    both_signs = np.where(np.arange(5) % 2, -50, 50).astype(np.float32)
    (only,) = gated(
        examples=dataclasses.replace(RAW, expression=RAW.expression + both_signs)
    ).reasons[0]
    assert advice(only) == ", so provide z-scores, or set the level of the values with --level"
    # As many genes down as up: a strong signature, until it is beyond belief.
    signs = np.where(np.arange(5) % 2, -1, 1)
    for size, passes in ((5, True), (50, False)):
        shifted = (RAW.expression + size * signs).astype(np.float32)
        strong = dataclasses.replace(RAW, expression=shifted)
        assert gated(examples=strong).passes.all() == passes


def test_what_is_worth_knowing_is_a_note():
    columns = {"cell_line": ["A375", "HELA", None, "MCF7"], "n_replicates": [3.0, 3, 3, 1]}
    quality = gated(**columns, cc_q75=[0.5, 0.5, np.nan, np.nan])
    assert quality.passes.all()
    assert quality.notes == (
        (),
        ("cell line HELA was not in training",),
        ("cell line not given", "correlation of replicates not given"),
        ("one replicate, so its reproducibility is unknown",),
    )


def test_limits_are_kept_by_all_but_one_in_a_hundred():
    values = np.arange(101.0)
    limits = run_limits(values, np.append(values, np.nan))
    assert limits == RunLimits(strength=1.0, similarity=1.0)
    assert np.isnan(run_limits(np.empty(0), np.empty(0)).strength)
