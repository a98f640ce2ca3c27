import numpy as np
import pytest

from experiments.explanation_audit.faithfulness import compound_difference, faithfulness_table
from moa_jax.explanation.audit.deletion import FRACTIONS, Curves
from moa_jax.schemas import InputError


def test_differences_are_means_over_compounds():
    first = np.array([1.0, 3.0, 5.0, np.nan])
    found = compound_difference(first, np.zeros(4), ["a", "a", "b", "c"])
    assert found.estimate == pytest.approx((2 + 5) / 2)
    assert (found.low, found.high) == (2, 5)
    with pytest.raises(InputError, match="at least one compound"):
        compound_difference(first[3:], first[3:], ["c"])


def curves_of(power):
    """Curves of two MoAs in eight examples; a smaller power falls and rises faster."""
    points = np.linspace(0, 1, len(FRACTIONS)) ** power
    rows = np.linspace(1, 2, 16).reshape(8, 2, 1)
    return Curves(FRACTIONS, rows * (1 - points), rows * points)


def test_the_table_has_the_better_ranking():
    worst = curves_of(2.0)
    table = faithfulness_table(
        {"exact": curves_of(0.5), "worst": worst},
        ["worst"],
        [f"compound {row // 2}" for row in range(8)],
    )
    assert list(table["measure"]) == [
        "deletion_auc",
        "insertion_auc",
        "comprehensiveness",
        "sufficiency",
    ]
    assert (table["low"] > 0).all()
    assert (table["p_value"] < 0.05).all()
    # All compounds have as many examples, so their mean is that of the examples.
    assert table["control_value"][0] == pytest.approx(worst.deletion_auc.mean(), rel=1e-4)
    with pytest.raises(InputError, match="no curves of the control 'random'"):
        faithfulness_table({"exact": worst}, ["random"], ["a"] * 8)
