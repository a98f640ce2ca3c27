import warnings

import numpy as np

from moa_jax.evaluation import metrics
from moa_jax.evaluation.calibration import all_pairs_ece, top_answers, top_label_ece
from moa_jax.evaluation.risk_coverage import aurc
from moa_jax.evaluation.scorecard import full_score

NAMES = (
    *metrics.HEADLINE,
    "top10",
    "recall5",
    "recall10",
    "brier",
    "ece",
    "ece_pairs",
    "aurc",
    "e_aurc",
    "accuracy_100",
    "accuracy_50",
    "accuracy_25",
    "accuracy_10",
)


def draw():
    rng = np.random.default_rng(0)
    labels = np.eye(12)[rng.integers(0, 12, 40)]
    labels[5] = 0
    return rng.random((40, 12)) * (0.7 + labels), labels


def test_every_metric_is_there():
    probs, labels = draw()
    found = full_score(probs, labels)
    assert tuple(found) == NAMES
    assert {name: found[name] for name in metrics.HEADLINE} == metrics.score(probs, labels)
    assert found["accuracy_100"] == found["top1"]
    assert found["recall5"] == found["top5"]
    assert found["top10"] == metrics.top_k_accuracy(probs, labels, 10)
    assert found["ece"] == top_label_ece(probs, labels)
    assert found["ece_pairs"] == all_pairs_ece(probs, labels)
    assert found["aurc"] == aurc(*top_answers(probs, labels))
    assert found["accuracy_10"] >= found["accuracy_50"] > found["accuracy_100"]


def test_masked_rows_change_nothing():
    probs, labels = draw()
    mask = np.arange(46) >= 6
    padded = np.pad(probs, ((6, 0), (0, 0)), constant_values=np.nan)
    more_labels = np.pad(labels, ((6, 0), (0, 0)), constant_values=1)
    assert full_score(padded, more_labels, mask) == full_score(probs, labels)


def test_nothing_to_score_is_nan_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = full_score(np.ones((3, 2)), np.ones((3, 2)), np.zeros(3, bool))
    counts = ("num_compounds", "num_moas")
    assert [found[name] for name in counts] == [0, 0]
    assert all(np.isnan(value) for name, value in found.items() if name not in counts)
