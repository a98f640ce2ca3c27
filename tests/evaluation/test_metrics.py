import warnings

import numpy as np
import pytest
import sklearn.metrics

from moa_jax.evaluation import metrics

SHAPE = (60, 7)


def draw(seed, kind):
    """Random scores and labels; `tied` scores take five values, `constant` ones a single one."""
    rng = np.random.default_rng(seed)
    probs = {
        "random": rng.random(SHAPE),
        "tied": rng.integers(1, 6, SHAPE) / 6,
        "constant": np.full(SHAPE, 0.5),
        "float32": rng.random(SHAPE).astype(np.float32),
    }[kind]
    labels = (rng.random(SHAPE) < np.linspace(0.03, 0.6, SHAPE[1])).astype(np.float32)
    labels[:, 2] = 0
    labels[:, 3] = 1
    labels[0, :2] = 1
    return probs, labels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["random", "tied", "constant", "float32"])
def test_ranking_metrics_are_scikit_learns(seed, kind):
    probs, labels = draw(seed, kind)
    ap, auc = metrics.average_precision(probs, labels), metrics.auroc(probs, labels)
    for column in range(SHAPE[1]):
        y, p = labels[:, column], probs[:, column]
        if column == 2:
            assert np.isnan(ap[column])
        else:
            assert ap[column] == pytest.approx(sklearn.metrics.average_precision_score(y, p), 1e-12)
        if column in (2, 3):
            assert np.isnan(auc[column])
        else:
            assert auc[column] == pytest.approx(sklearn.metrics.roc_auc_score(y, p), 1e-12)
    both = [column for column in range(SHAPE[1]) if column not in (2, 3)]
    expected = sklearn.metrics.roc_auc_score(labels[:, both], probs[:, both], average="macro")
    assert metrics.macro_auroc(probs, labels) == pytest.approx(expected, 1e-12)
    some = [column for column in range(SHAPE[1]) if column != 2]
    for average, columns, ours in (
        ("macro", some, metrics.macro_auprc),
        ("micro", slice(None), metrics.micro_auprc),
    ):
        expected = sklearn.metrics.average_precision_score(
            labels[:, columns], probs[:, columns], average=average
        )
        assert ours(probs, labels) == pytest.approx(expected, 1e-12)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("kind", ["random", "tied", "constant"])
def test_top_k_is_scikit_learns(kind, k):
    probs, _ = draw(0, kind)
    classes = np.random.default_rng(1).integers(0, SHAPE[1], SHAPE[0])
    labels = np.eye(SHAPE[1])[classes]
    expected = sklearn.metrics.top_k_accuracy_score(classes, probs, k=k, labels=np.arange(SHAPE[1]))
    assert metrics.top_k_accuracy(probs, labels, k) == pytest.approx(expected, 1e-12)


def test_top_k_by_hand():
    probs = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]])
    labels = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    # The last row has no label and does not count.
    assert metrics.top_k_accuracy(probs, labels, 1) == pytest.approx(1 / 3)
    assert metrics.top_k_accuracy(probs, labels, 2) == pytest.approx(2 / 3)
    assert metrics.top_k_accuracy(probs, labels, 5) == 1.0
    assert np.isnan(metrics.top_k_accuracy(probs, np.zeros((4, 3)), 1))


@pytest.mark.parametrize("kind", ["random", "tied"])
def test_log_loss_is_scikit_learns(kind):
    probs, labels = draw(5, kind)
    expected = [
        sklearn.metrics.log_loss(labels[:, column], probs[:, column], labels=[0, 1])
        for column in range(SHAPE[1])
    ]
    np.testing.assert_allclose(metrics.column_log_loss(probs, labels), expected, rtol=1e-12)
    assert metrics.log_loss(probs, labels) == pytest.approx(np.mean(expected), 1e-12)


def test_log_loss_closed_form_and_clipping():
    loss = metrics.log_loss(np.array([[0.25], [0.5]]), np.array([[1], [0]]))
    assert loss == pytest.approx((np.log(4) + np.log(2)) / 2)
    worst = metrics.log_loss(np.array([[0.0]]), np.array([[1]]))
    assert worst == pytest.approx(-np.log(metrics.LOG_LOSS_CLIP))
    assert metrics.log_loss(np.array([[1.0]]), np.array([[1]])) == pytest.approx(0, abs=1e-14)


def test_average_precision_closed_form():
    probs = np.array([[0.9], [0.8], [0.7], [0.6]])
    # Hits at places 1 and 3: (1/1 + 2/3) / 2.
    ap = metrics.average_precision(probs, np.array([[1], [0], [1], [0]]))
    assert ap[0] == pytest.approx((1 + 2 / 3) / 2)
    # All tied: the prevalence.
    assert metrics.average_precision(np.zeros((4, 1)), np.array([[1], [0], [0], [0]]))[0] == 0.25


@pytest.mark.parametrize("kind", ["random", "tied"])
def test_order_of_rows_does_not_matter(kind):
    probs, labels = draw(3, kind)
    order = np.random.default_rng(0).permutation(SHAPE[0])
    first, second = metrics.score(probs, labels), metrics.score(probs[order], labels[order])
    assert first == pytest.approx(second, rel=1e-12)


def test_nothing_to_score_is_nan_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = metrics.score(np.ones((0, 2)), np.ones((0, 2)))
        negatives = metrics.score(np.full((3, 2), 0.5), np.zeros((3, 2)))
        table = metrics.per_moa_table(np.ones((0, 2)), np.ones((0, 2)), ["a", "b"])
    assert values.pop("num_compounds") == 0
    assert values.pop("num_moas") == 0
    assert all(np.isnan(value) for value in values.values())
    assert np.isnan(negatives["macro_auprc"])
    assert negatives["log_loss"] == pytest.approx(np.log(2))
    assert table[["prevalence", "auprc", "auroc", "log_loss"]].isna().all(axis=None)


@pytest.mark.parametrize("kind", ["random", "tied", "constant"])
def test_brier_is_scikit_learns(kind):
    probs, labels = draw(6, kind)
    columns = [
        sklearn.metrics.brier_score_loss(labels[:, column], probs[:, column], pos_label=1)
        for column in range(SHAPE[1])
        if column not in (2, 3)
    ]
    both = [column for column in range(SHAPE[1]) if column not in (2, 3)]
    assert metrics.brier(probs[:, both], labels[:, both]) == pytest.approx(np.mean(columns), 1e-12)
    assert np.isnan(metrics.brier(np.ones((0, 2)), np.ones((0, 2))))


def test_score_has_every_metric():
    probs, labels = draw(1, "random")
    values = metrics.score(probs, labels)
    assert list(values) == [
        *("macro_auprc", "micro_auprc", "macro_auroc", "top1", "top5", "log_loss"),
        *("num_compounds", "num_moas"),
    ]
    assert values["num_compounds"] == 60
    assert values["num_moas"] == 6
    assert values["top5"] == metrics.top_k_accuracy(probs, labels, 5)


def test_per_moa_rows_average_to_the_macro_metrics():
    probs, labels = draw(1, "random")
    table = metrics.per_moa_table(probs, labels, list("abcdefg"))
    values = metrics.score(probs, labels)
    assert table["moa"].tolist() == list("abcdefg")
    np.testing.assert_array_equal(table["num_compounds"], labels.sum(axis=0))
    np.testing.assert_allclose(table["prevalence"], labels.mean(axis=0))
    assert table["auprc"].mean() == pytest.approx(values["macro_auprc"])
    assert table["auroc"].mean() == pytest.approx(values["macro_auroc"])
    assert table["log_loss"].mean() == pytest.approx(values["log_loss"])
