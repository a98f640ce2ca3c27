import numpy as np
import pytest
from scipy import stats

from experiments.case_studies.contrast import moa_summary
from moa_jax.schemas import InputError

pytestmark = pytest.mark.slow


# Compound A has three signatures, B and C one each.
ATTRIBUTIONS = np.array(
    [
        [3.0, 1.0, 0.0],
        [1.0, 1.0, 0.0],
        [2.0, 1.0, 0.0],
        [4.0, -1.0, 0.0],
        [6.0, -3.0, 0.0],
    ]
)
COMPOUNDS = ("A", "A", "A", "B", "C")
LINES = ("MCF7", "A375", None, "MCF7", "PC3")


def test_compounds_count_once():
    table = moa_summary(ATTRIBUTIONS, COMPOUNDS, LINES, ("up", "mixed", "none"))
    assert table["feature"].tolist() == ["up", "mixed", "none"]
    assert table["mean"].tolist() == [4.0, -1.0, 0.0]
    np.testing.assert_allclose(table["magnitude"], [4.0, 5 / 3, 0.0])
    np.testing.assert_allclose(table["consistency"], [1.0, 0.6, 0.0])
    np.testing.assert_allclose(table["sign_agreement"], [1.0, 2 / 3, 0.0])
    # Of the second gene: MCF7 (1 - 1) / 2, A375 1, PC3 -3.
    np.testing.assert_allclose(table["cell_line_agreement"], [1.0, 1 / 3, 0.0])
    assert table["low"].tolist() == [2.0, -3.0, 0.0]
    assert table["high"].tolist() == [6.0, 1.0, 0.0]


def test_intervals_are_those_of_the_mean_over_compounds():
    rng = np.random.default_rng(1)
    values = rng.normal(2.0, 1.0, size=(60, 1))
    compounds = [f"C{row}" for row in range(60)]
    table = moa_summary(values, compounds, [None] * 60, ["gene"])
    expected = stats.norm.interval(0.95, values.mean(), values.std() / np.sqrt(60))
    np.testing.assert_allclose(table[["low", "high"]].iloc[0], expected, atol=0.03)
    assert table["cell_line_agreement"].isna().all()


def test_order_is_by_magnitude_of_the_mean_then_by_name():
    table = moa_summary(np.array([[1.0, -2.0, 2.0, 0.5]]), ["A"], ["PC3"], ["d", "c", "b", "a"])
    assert table["feature"].tolist() == ["b", "c", "d", "a"]
    assert table["low"].tolist() == table["mean"].tolist() == table["high"].tolist()


def test_no_example_is_refused():
    with pytest.raises(InputError, match="needs at least one compound"):
        moa_summary(np.zeros((0, 2)), [], [], ["a", "b"])
