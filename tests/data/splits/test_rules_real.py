"""The rules on the real LINCS 2020 file: nothing is refused, and the reference folds stay."""

import hashlib
import json

import pytest

from moa_jax.data.examples.build import build_examples
from moa_jax.data.splits.leaks import check_no_leaks
from moa_jax.data.splits.manifest import split_rows
from moa_jax.data.splits.rules import make_split
from tests.baselines import test_real_data

dataset = test_real_data.dataset


@pytest.fixture(scope="module")
def lincs(dataset):
    return build_examples(dataset)


@pytest.mark.parametrize(
    ("rule", "fewest"),
    [
        ("compound", (1090, 273, 339)),
        ("scaffold", (1000, 220, 270)),
        ("cell_line", (650, 30, 55)),
        ("cell_line_same_compounds", (1000, 220, 290)),
        ("unseen_moa", (800, 170, 620)),
        ("random_signature", (1090, 265, 335)),
    ],
)
def test_five_folds_pass_the_search_for_leaks(lincs, rule, fewest):
    for fold in range(5):
        split = make_split(rule, lincs, fold=fold)
        counts = check_no_leaks(split, lincs)
        assert counts["dose"] == counts["time"] == 1
        sizes = [len(rows) for rows in split_rows(split, lincs).values()]
        assert all(size >= least for size, least in zip(sizes, fewest, strict=True))


def test_compound_folds_are_those_of_the_published_lines(lincs):
    """Digests of the manifests' parts from before the other rules existed."""
    digests = {
        0: "809d36854120b45ed47bdf82dce185d116d8fbd89ddc2e36bb6c49d27d6a1eae",
        4: "1489a26129b2df8be7c88744f1a0cb2680ff3ea26d5efb4e7b3b03e00bbedeff",
    }
    for fold, digest in digests.items():
        parts = dict(make_split("compound", lincs, fold=fold).parts)
        text = json.dumps(parts, sort_keys=True).encode()
        assert hashlib.sha256(text).hexdigest() == digest
