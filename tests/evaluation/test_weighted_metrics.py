import numpy as np
import pytest
import sklearn.metrics

from moa_jax.evaluation import metrics, weighted_metrics

NUM_COMPOUNDS, NUM_MOAS = 50, 6


def draw(seed, kind):
    rng = np.random.default_rng(seed)
    shape = (NUM_COMPOUNDS, NUM_MOAS)
    probs = {
        "random": rng.random(shape),
        "tied": rng.integers(1, 5, shape) / 5,
        "constant": np.full(shape, 0.5),
    }[kind]
    positive = rng.random(shape) < np.linspace(0.02, 0.5, NUM_MOAS)
    positive[:, 3] = False
    positive[:4] = False
    counts = rng.multinomial(NUM_COMPOUNDS, np.full(NUM_COMPOUNDS, 1 / NUM_COMPOUNDS), size=20)
    return counts.astype(np.float32), probs, positive


@pytest.mark.parametrize("kind", ["random", "tied", "constant"])
@pytest.mark.parametrize("block", [4, 512])
def test_counts_are_repeated_rows(kind, block, monkeypatch):
    monkeypatch.setattr(weighted_metrics, "_BLOCK_POSITIVES", block)
    counts, probs, positive = draw(0, kind)
    found = weighted_metrics.weighted_metrics(counts, probs, positive)
    for row, count in enumerate(counts.astype(int)):
        p, y = np.repeat(probs, count, axis=0), np.repeat(positive, count, axis=0)
        expected = {
            **metrics.score(p, y),
            "top10": metrics.top_k_accuracy(p, y, 10),
            "brier": metrics.brier(p, y),
        }
        for name, values in found.items():
            assert values[row] == pytest.approx(expected[name], rel=1e-12, nan_ok=True), name


@pytest.mark.parametrize("kind", ["random", "tied"])
def test_weights_are_scikit_learns_sample_weights(kind):
    counts, probs, positive = draw(1, kind)
    precision = weighted_metrics.weighted_average_precision(counts, probs, positive)
    area = weighted_metrics.weighted_auroc(counts, probs, positive)
    for row, count in enumerate(counts):
        for column in range(NUM_MOAS):
            y, p = positive[:, column], probs[:, column]
            if not count[y].any():
                assert np.isnan(precision[row, column])
                assert np.isnan(area[row, column])
                continue
            expected = sklearn.metrics.average_precision_score(y, p, sample_weight=count)
            assert precision[row, column] == pytest.approx(expected, 1e-9)
            drawn = count > 0
            expected = sklearn.metrics.roc_auc_score(y[drawn], p[drawn], sample_weight=count[drawn])
            assert area[row, column] == pytest.approx(expected, 1e-9)


def test_compounds_without_weight_change_nothing():
    counts, probs, positive = draw(2, "random")
    padded = np.pad(counts, ((0, 0), (0, 7)))
    rng = np.random.default_rng(0)
    more_probs = np.concatenate([probs, rng.random((7, NUM_MOAS))])
    more_labels = np.concatenate([positive, rng.random((7, NUM_MOAS)) < 0.5])
    first = weighted_metrics.weighted_metrics(counts, probs, positive)
    second = weighted_metrics.weighted_metrics(padded, more_probs, more_labels)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12)


def test_nothing_positive_is_nan():
    counts = np.ones((2, 3), np.float32)
    found = weighted_metrics.weighted_metrics(counts, np.full((3, 2), 0.5), np.zeros((3, 2), bool))
    for name in ("macro_auprc", "micro_auprc", "macro_auroc", "top1", "top5", "top10"):
        assert np.isnan(found[name]).all()
    np.testing.assert_allclose(found["log_loss"], np.log(2))
    np.testing.assert_allclose(found["brier"], 0.25)
