import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moa_jax.benchmark.perturbations.shuffling import permute_between_units
from moa_jax.schemas import InputError


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.integers(0, 5))
def test_nothing_stays_with_its_unit(units, seed):
    rng = np.random.default_rng(seed)
    largest = max(collections.Counter(units).values(), default=0)
    if 2 * largest > len(units):
        with pytest.raises(InputError, match=f"{largest} of {len(units)} belong to"):
            permute_between_units(units, rng=rng, what="items")
        return
    source = permute_between_units(units, rng=rng, what="items")
    assert sorted(source.tolist()) == list(range(len(units)))
    assert all(units[place] != units[origin] for place, origin in enumerate(source))


def test_all_arrangements_are_about_as_likely():
    counts = collections.Counter(
        tuple(permute_between_units(list("abcd"), rng=np.random.default_rng(seed), what="items"))
        for seed in range(1800)
    )
    # The nine permutations of four without a fixed point.
    assert len(counts) == 9
    assert min(counts.values()) > 150
    assert max(counts.values()) < 250
