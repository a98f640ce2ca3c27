import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from moa_jax.explanation.contrast import contrast_attributions, moa_summary, profile_agreement
from moa_jax.schemas import InputError

pytestmark = pytest.mark.slow

MOAS = ("HDAC", "BET", "MEK")


def test_a_contrast_is_the_attribution_of_the_difference():
    rng = np.random.default_rng(0)
    weight, signature = rng.normal(size=(5, 3)), rng.normal(size=(4, 5))

    def logits(row):
        return jnp.tanh(row @ weight)

    def input_x_gradient(score, row):
        return row * jax.grad(score)(row)

    attributions = np.stack(
        [
            [input_x_gradient(lambda row, moa=moa: logits(row)[moa], row) for moa in range(3)]
            for row in signature
        ]
    )
    found = contrast_attributions(attributions, MOAS, why="HDAC", not_instead="MEK")
    for difference in (
        lambda row: logits(row)[0] - logits(row)[2],
        lambda row: jax.nn.log_softmax(logits(row))[0] - jax.nn.log_softmax(logits(row))[2],
    ):
        expected = [input_x_gradient(difference, row) for row in signature]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("why", "not_instead", "message"),
    [
        ("HDAC", "BRAF", "there is no MoA 'BRAF' to contrast; the model knows 3"),
        ("BET", "BET", "'BET' is contrasted with itself"),
    ],
)
def test_a_contrast_needs_two_known_moas(why, not_instead, message):
    with pytest.raises(InputError, match=message):
        contrast_attributions(np.zeros((1, 3, 2)), MOAS, why=why, not_instead=not_instead)


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
    table = moa_summary(
        np.array([[1.0, -2.0, 2.0, 0.5]]), ["A"], ["PC3"], ["d", "c", "b", "a"], num_resamples=10
    )
    assert table["feature"].tolist() == ["b", "c", "d", "a"]
    assert table["low"].tolist() == table["mean"].tolist() == table["high"].tolist()


def test_whole_explanations_are_compared_by_cosine():
    profiles = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 2.0]])
    # B is the mean of two rows; cosines of A with B, A with C, B with C.
    found = profile_agreement(profiles, ["A", "B", "B", "C"])
    b = np.array([0.5, 1.5]) / np.sqrt(2.5)
    assert found == pytest.approx((b[0] + 0.0 + b[1]) / 3)
    assert np.isnan(profile_agreement(profiles, ["A"] * 4))


def test_no_example_is_refused():
    with pytest.raises(InputError, match="found no compound"):
        moa_summary(np.zeros((0, 2)), [], [], ["a", "b"])
