"""Results of six compounds, three MoAs and two folds, small enough for tables by hand."""

import math

import numpy as np
import pytest

from moa_jax.benchmark.benchmark_data import BenchmarkData, Parts
from moa_jax.benchmark.collect import Fold, SplitResults
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.evaluation.bootstrap import BootstrapScores
from moa_jax.report.parts import Estimate
from tests.small_sets import examples

MOAS = ("m0", "m1", "m2")
COMPOUNDS = tuple("ABCDEF")
# A and B have m0, C and D have m1, E and F have m2.
LABELS = np.repeat(np.eye(3), 2, axis=0)
FOLDS = ((0, 1, 2), (3, 4, 5))
NO_VALIDATION = (np.zeros((0, 3)), np.zeros((0, 3)))


def make_fold(compounds, probs, validation=NO_VALIDATION, report=None, fit_s=0.0):
    """A fold of compounds with one signature each; `validation` is (probs, labels)."""
    rows = np.array(compounds, dtype=np.int64)
    return Fold(
        rows=rows,
        example_probs=np.asarray(probs, float),
        probs=np.asarray(probs, float),
        compounds=rows,
        validation_probs=np.asarray(validation[0], float),
        validation_labels=np.asarray(validation[1], float),
        report=report or {},
        fit_s=fit_s,
    )


def folds_of(probs, validations=(NO_VALIDATION, NO_VALIDATION), reports=({}, {})):
    """The two folds of a matrix of probabilities, one row per compound."""
    probs = np.asarray(probs, float)
    return tuple(
        make_fold(rows, probs[list(rows)], validation, report)
        for rows, validation, report in zip(FOLDS, validations, reports, strict=True)
    )


def make_results(lines, *, labels=LABELS, name="compound_seed0", **changes):
    """Results of lines, each a mapping of seeds to folds."""
    fields = {
        "name": name,
        "keys": (),
        "compounds": COMPOUNDS,
        "labels": np.asarray(labels, float),
        "trained_moas": (np.ones(3, bool),) * 2,
        "lines": lines,
        **changes,
    }
    if "tested" not in fields:
        fields["tested"] = examples(labels, fields["compounds"], moas=MOAS)
    return SplitResults(**fields)


def bootstrap_scores(**metrics):
    """Scores with the given metrics only; a value is (estimate, samples)."""
    return BootstrapScores(
        estimate={name: float(estimate) for name, (estimate, _) in metrics.items()},
        samples={name: np.array(samples, float) for name, (_, samples) in metrics.items()},
    )


def make_scored(results, *, scores=None, validation=None, comparator=None, num_resamples=100):
    """A scored split with what a table needs, and nothing else."""
    lines = list(results.lines)
    return ScoredSplit(
        results=results,
        scores=scores or {line: bootstrap_scores() for line in lines},
        validation=validation or dict.fromkeys(lines, 0.5),
        comparator=comparator or lines[0],
        num_resamples=num_resamples,
        seed=0,
    )


class HandMadeMaterial(BenchmarkData):
    """Data whose parts are given, one per fold."""

    def __init__(self, parts=(), *, dataset=None, examples=None):
        self._parts = [Parts(*three) for three in parts]
        self.dataset = dataset
        self.examples = examples

    def tested(self, test_data):
        assert not test_data
        return self.examples

    def parts(self, key, *, structure_only_compounds):
        assert not structure_only_compounds
        return self._parts[key.fold]


def assert_rows(found, expected):
    """Rows of a table, with numbers and intervals to six digits."""
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert len(row) == len(wanted), row
        for cell, value in zip(row, wanted, strict=True):
            if isinstance(value, str):
                assert cell == value
            elif isinstance(value, Estimate):
                ends = [value.value, value.low, value.high]
                assert [cell.value, cell.low, cell.high] == pytest.approx(ends, nan_ok=True), row
            else:
                assert cell == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), row


def interval_of(samples):
    """95 % percentile interval of three samples: .05 of the way from each end to the middle."""
    low, middle, high = sorted(samples)
    # The quantile .025 lies at .025 * 2 = .05 between the first and the second of three.
    return low + 0.05 * (middle - low), high - 0.05 * (high - middle)


NAN = math.nan
