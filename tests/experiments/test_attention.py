"""Attention of the protein network against the closed form, by the known targets."""

import numpy as np
import pytest

from experiments.explanation_audit.attention import (
    ATTENTION,
    CLOSED,
    SHUFFLED,
    FoldRanks,
    fold_ranks,
    protein_shares,
    rank_rows,
    untrained,
    verdict,
    with_shuffled_networks,
)
from moa_jax.models.experts import VIEWS
from tests.experiments.network_models import network_predictor
from tests.synthetic import make_examples

pytestmark = pytest.mark.slow


def test_before_training_attention_is_the_closed_form():
    predictor, examples = network_predictor(), make_examples(6)
    found = protein_shares(predictor, examples, VIEWS)
    assert len(found) == 2 * len(VIEWS)
    for values in found.values():
        np.testing.assert_allclose(values.sum(axis=1), 1.0, rtol=1e-5)
    closed = found["fusion", CLOSED]
    assert np.abs(found["fusion", ATTENTION] - closed).max() > 1e-3
    first = untrained(predictor, examples)
    of_first = protein_shares(first, examples, ("fusion",))
    np.testing.assert_allclose(of_first["fusion", ATTENTION], closed, rtol=1e-3, atol=1e-6)
    names = [name for name in first.params if first.params[name] is not predictor.params[name]]
    assert "protein_network" in names
    assert not {"proteins", "structure_kernel", "expert_scales", "mechanisms"} & set(names)
    other = protein_shares(with_shuffled_networks(predictor, names, seed=0), examples, ("fusion",))
    np.testing.assert_allclose(other["fusion", CLOSED], closed, rtol=1e-5)
    assert np.abs(other["fusion", ATTENTION] - found["fusion", ATTENTION]).max() > 1e-3


def test_shares_are_averaged_over_signatures_and_precision_over_shuffles():
    known = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1]], bool)
    first_right = np.array([[0.4, 0.5, 0.1], [0.6, 0.2, 0.2], [0.5, 0.2, 0.3]])
    shares = {
        ("fusion", CLOSED): first_right,
        ("fusion", f"{SHUFFLED} 0"): first_right,
        ("fusion", f"{SHUFFLED} 1"): 1.0 - first_right,
    }
    found = fold_ranks(shares, known, ("a", "a", "b"), np.array([5, 1, 9]))
    assert found.groups == ("a", "b")
    assert found.rarest.tolist() == [5, 1]
    # Compound a: .5, .35, .15, its target first; b: its targets are second and third.
    closed = found.precision["fusion", CLOSED]
    np.testing.assert_allclose(closed, [1.0, (1 / 2 + 2 / 3) / 2])
    np.testing.assert_allclose(found.share["fusion", CLOSED], [0.5, 0.5])
    # The other way round: third for a, first and second for b.
    np.testing.assert_allclose(
        found.precision["fusion", SHUFFLED], (closed + np.array([1 / 3, 1.0])) / 2
    )


def test_attention_is_shown_only_if_it_ranks_no_lower():
    def fold(attention):
        keys = ("fusion", CLOSED), ("fusion", ATTENTION)
        own = dict(zip(keys, (np.array([0.5, 0.7]), np.array(attention)), strict=True))
        return FoldRanks(("a", "b"), 3, np.array([1, 9]), own, own)

    (closed, ours) = rank_rows([fold([0.4, 0.6])])
    assert closed["minus closed form"] is None
    assert ours["AP"].startswith("0.500 [")
    assert ours["minus closed form"] == "-0.100 [-0.100, -0.100]"
    assert ours["AP, rare targets"].startswith("0.400 [")
    assert "do not show" in verdict([fold([0.4, 0.6])])
    assert "may show" in verdict([fold([0.5, 0.7])])
