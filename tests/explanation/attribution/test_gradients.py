import jax
import jax.numpy as jnp
import numpy as np
import pytest

from moa_jax.explanation.attribution.gradients import (
    ExpectedGradients,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    gauss_legendre,
)

pytestmark = pytest.mark.slow

NUM_EXAMPLES, NUM_GENES, NUM_MOAS = 4, 6, 3
METHODS = [
    IntegratedGradients(8),
    ExpectedGradients(16),
    InputXGradient(),
    SmoothGrad(4),
]


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    return {
        "weights": normal(NUM_GENES, NUM_MOAS),
        "inputs": normal(NUM_EXAMPLES, NUM_GENES),
        "baselines": normal(NUM_EXAMPLES, 2, NUM_GENES),
        "directions": normal(NUM_EXAMPLES, 2, NUM_MOAS),
        "keys": jax.random.split(jax.random.key(0), NUM_EXAMPLES),
    }


def curved(weights):
    return lambda x: jnp.tanh(x @ weights) + 0.3 * (x**2) @ weights


def run(method, outputs, made, *, baselines=None, block=64, rows=slice(None)):
    baselines = made["baselines"] if baselines is None else baselines
    return np.asarray(
        method(
            outputs,
            made["inputs"][rows],
            baselines[rows],
            made["directions"][rows],
            keys=made["keys"][rows],
            block=block,
        )
    )


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_linear_model_is_explained_by_its_weights(method, made):
    found = run(method, lambda x: x @ made["weights"] + 1.0, made)
    start = made["baselines"].mean(axis=1)
    slope = jnp.einsum("gm,etm->etg", made["weights"], made["directions"])
    expected = slope * (made["inputs"] - start)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_integrated_gradients_of_one_variable_are_integrals(made):
    method = IntegratedGradients(32)
    baselines = made["baselines"][:, :1]
    found = run(method, lambda x: jnp.sin(x) @ made["weights"], made, baselines=baselines)
    sines = jnp.sin(made["inputs"]) - jnp.sin(baselines[:, 0])
    slope = jnp.einsum("gm,etm->etg", made["weights"], made["directions"])
    np.testing.assert_allclose(found, slope * sines[:, None], atol=1e-5)


def test_logistic_shares_the_difference_in_proportion(made):
    weights, baselines = made["weights"][:, 0], made["baselines"][:, :1]
    found = run(
        IntegratedGradients(64),
        lambda x: jnp.stack([jax.nn.log_sigmoid(x @ weights)] * NUM_MOAS, axis=1),
        made,
        baselines=baselines,
    )
    part = weights * (made["inputs"] - baselines[:, 0])
    difference = jax.nn.log_sigmoid(made["inputs"] @ weights) - jax.nn.log_sigmoid(
        baselines[:, 0] @ weights
    )
    total = (part / part.sum(axis=1, keepdims=True)) * difference[:, None]
    expected = made["directions"].sum(axis=-1)[..., None] * total[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_contributions_add_up_to_the_difference(made):
    method = IntegratedGradients(64)
    outputs = curved(made["weights"])
    baselines = made["baselines"]
    found = run(method, outputs, made, baselines=baselines).sum(axis=-1)
    weights = method.baseline_weights(baselines.shape[1])
    start = jnp.einsum("b,ebm->em", weights, jax.vmap(outputs, 1, 1)(baselines))
    change = outputs(made["inputs"]) - start
    expected = jnp.einsum("em,etm->et", change, made["directions"])
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_all_examples_at_once_equal_one_after_the_other(method, made):
    outputs = curved(made["weights"])
    together = run(method, outputs, made)
    alone = [run(method, outputs, made, rows=slice(row, row + 1)) for row in range(NUM_EXAMPLES)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_blocks_of_points_do_not_matter(method, made):
    outputs = curved(made["weights"])
    whole, cut = (run(method, outputs, made, block=block) for block in (64, 3))
    np.testing.assert_allclose(whole, cut, rtol=1e-4, atol=1e-5)


def test_expected_gradients_approach_their_expectation(made):
    outputs = curved(made["weights"])
    exact = run(IntegratedGradients(64), outputs, made)
    few, many = (
        np.abs(run(ExpectedGradients(count), outputs, made) - exact).mean() for count in (8, 512)
    )
    assert many < 0.01 < few


def test_smooth_gradients_are_smoothed(made):
    # The mean of (x + noise)^2's slope is that at x; that of the cube's is 3 (x^2 + variance).
    found = run(
        SmoothGrad(4096, noise=0.5),
        lambda x: (x**3) @ made["weights"],
        made,
        baselines=jnp.zeros_like(made["baselines"]),
    )
    slope = jnp.einsum("gm,etm->etg", made["weights"], made["directions"])
    expected = slope * (3 * (made["inputs"] ** 2 + 0.25) * made["inputs"])[:, None]
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=0.1)


def test_three_points_of_gauss_and_legendre_are_exact_to_the_fifth_degree():
    points, weights = gauss_legendre(3)
    for power in range(6):
        assert weights @ points**power == pytest.approx(1 / (power + 1))
