"""Genes that share a bead, by hand."""

import pandas as pd
import pytest

from moa_jax.data.examples.bead_pairs import bead_pairs, bead_partners
from moa_jax.schemas import InputError

GENES = pd.DataFrame({"bead": ["7", "9", "", None, "9", "8", "7"]})


def test_pairs_are_found_whatever_their_order():
    assert bead_pairs(GENES).tolist() == [[0, 6], [1, 4]]
    assert bead_pairs(GENES.iloc[:4]).shape == (0, 2)


def test_partners_of_genes_that_have_none_are_themselves():
    assert bead_partners(GENES).tolist() == [6, 4, 2, 3, 1, 5, 0]


def test_three_genes_on_a_bead_are_refused():
    with pytest.raises(InputError, match="has 3 genes with the bead 7; expected at most two"):
        bead_partners(pd.DataFrame({"bead": ["7", "7", "7"]}))
