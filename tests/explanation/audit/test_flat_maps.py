"""Whether maps of signatures without effect are flat: by hand, and with effects planted."""

import numpy as np
import pytest

from moa_jax.explanation.attribution.baseline_signatures import no_change
from moa_jax.explanation.attribution.chunked_attribution import attribute
from moa_jax.explanation.attribution.gradients import IntegratedGradients
from moa_jax.explanation.attribution.target import AttributionTarget
from moa_jax.explanation.audit.flat_maps import evenness, flat_maps, with_shuffled_genes
from moa_jax.schemas import InputError
from tests.explanation.attribution.linear_models import every_moa, linear_predictor
from tests.synthetic import make_examples

NUM_GENES, NUM_COMPOUNDS = 200, 30


def planted(seed, *, pointed_when_weak=False):
    """Two strong and two weak signatures of each compound; ten genes drive the strong ones."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"G{row:02d}" for row in range(NUM_COMPOUNDS)], 4)
    is_strong = np.tile([True, True, False, False], NUM_COMPOUNDS)
    maps = rng.normal(size=(len(groups), NUM_GENES))
    shuffled = rng.normal(size=maps.shape)
    pointed = is_strong | pointed_when_weak
    maps[np.ix_(pointed, range(10))] *= 10
    return maps, shuffled, ~is_strong, is_strong, list(groups)


def test_evenness_by_hand():
    rows = np.array([[1.0, -1.0, 1.0, 1.0], [0.0, -3.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0] * 4])
    np.testing.assert_allclose(evenness(rows), [1.0, 0.0, 0.5, 1.0], atol=1e-12)
    # Only the shares count.
    np.testing.assert_allclose(evenness(rows * 7), evenness(rows), atol=1e-12)


def test_flat_maps_of_weak_signatures_pass():
    found = flat_maps(*planted(0))
    assert found.weak == pytest.approx(found.shuffled, abs=0.005)
    assert found.strong < found.weak - 0.05
    assert found.weak_minus_strong.low > 0.05
    assert found.weak_minus_shuffled.low < 0 < found.weak_minus_shuffled.high
    assert found.are_flat


def test_pointed_maps_of_weak_signatures_fail():
    found = flat_maps(*planted(0, pointed_when_weak=True))
    assert abs(found.weak_minus_strong.estimate) < 0.02
    assert found.weak_minus_shuffled.high < -0.05
    assert not found.are_flat


def test_shuffled_strength_shows_no_difference():
    maps, shuffled, is_weak, is_strong, groups = planted(1)
    order = np.random.default_rng(2).permutation(len(groups))
    found = flat_maps(maps, shuffled, is_weak[order], is_strong[order], groups)
    assert found.weak_minus_strong.low < 0 < found.weak_minus_strong.high
    assert not found.are_flat


def test_compounds_count_and_not_their_signatures():
    # One compound has nine even maps, the other a single pointed one; both are weak.
    maps = np.concatenate([np.ones((9, 4)), [[1.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]])
    is_strong = np.arange(11) == 10
    found = flat_maps(maps, maps, ~is_strong, is_strong, ["a"] * 9 + ["b", "c"])
    assert (found.weak, found.strong) == pytest.approx((0.5, 0.5))


def test_both_kinds_of_signatures_are_needed():
    maps, shuffled, is_weak, is_strong, groups = planted(0)
    with pytest.raises(InputError, match="0 signatures without effect and 120 with one"):
        flat_maps(maps, shuffled, is_weak & False, is_strong | True, groups)


def test_shuffled_genes_keep_the_values_of_each_signature_and_unmeasured_genes():
    examples = make_examples(8)
    shuffled = with_shuffled_genes(examples, seed=1)
    np.testing.assert_array_equal(
        np.sort(shuffled.expression[:, [0, 1, 2, 4]]), np.sort(examples.expression[:, [0, 1, 2, 4]])
    )
    np.testing.assert_array_equal(shuffled.expression[:, 3], examples.expression[:, 3])
    assert (shuffled.expression != examples.expression).any()
    # A linear model's contributions are weights times values, so a shuffle changes them.
    predictor = linear_predictor()
    given = AttributionTarget(predictor.task), every_moa(8), IntegratedGradients(4)
    maps = [
        attribute(predictor, own, *given, baselines=no_change(own, predictor.features)).values[:, 0]
        for own in (examples, shuffled)
    ]
    assert np.abs(evenness(maps[0]) - evenness(maps[1])).max() > 0.01
