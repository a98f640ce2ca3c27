import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.pretraining.links import link_auroc, random_receivers
from tests.synthetic import make_graph


def test_other_receivers_are_no_edges_and_the_area_is_scikit_learns():
    graph = make_graph()
    rows = np.arange(6)
    other = random_receivers(graph.interacts, rows, 7, seed=0)
    known = set(zip(graph.interacts.senders, graph.interacts.receivers, strict=True))
    for sender, receiver in zip(graph.interacts.senders[rows], other, strict=True):
        assert (sender, receiver) not in known
        assert sender != receiver
    positive = np.array([0.1, 0.9, 0.5], np.float32)
    negative = np.array([0.1, 0.4], np.float32)
    expected = roc_auc_score([1, 1, 1, 0, 0], [*positive, *negative])
    assert link_auroc(positive, negative) == pytest.approx(expected)
